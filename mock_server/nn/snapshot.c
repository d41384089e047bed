/* SPDX-License-Identifier: Apache-2.0 */
/* snapshot.c - counted, immutable copies of an adapter. */
#include "mock_server/nn/snapshot.h"

#include <string.h>

#include "base/error.h"
#include "base/mem.h"

tkx_status nn_snapshot_new(nn_engine *engine, const nn_base *base, nn_adapter *adapter,
                           nn_snapshot **out, tkx_error **err)
{
    nn_snapshot *snapshot = tkx__calloc(1, sizeof *snapshot);

    if (!snapshot) {
        if (adapter)
            nn_adapter_clear(adapter);
        return tkx__fail_memory(err);
    }
    atomic_init(&snapshot->n_refs, 1);
    nn_prefix_store_init(&snapshot->prefixes);
    snapshot->engine = engine;
    snapshot->base = base;
    if (adapter) {
        snapshot->has_adapter = true;
        snapshot->adapter = *adapter;
        memset(adapter, 0, sizeof *adapter);
    }
    *out = snapshot;
    return TKX_OK;
}

tkx_status nn_snapshot_of_model(const nn_model *model, nn_snapshot **out, tkx_error **err)
{
    nn_adapter copy;
    tkx_status st = nn_adapter_copy(&copy, &model->adapter, err);

    if (st != TKX_OK)
        return st;
    return nn_snapshot_new(model->engine, model->adapter.base, &copy, out, err);
}

tkx_status nn_snapshot_of_base(nn_engine *engine, const nn_base *base, nn_snapshot **out,
                               tkx_error **err)
{
    return nn_snapshot_new(engine, base, NULL, out, err);
}

nn_snapshot *nn_snapshot_ref(nn_snapshot *snapshot)
{
    atomic_fetch_add_explicit(&snapshot->n_refs, 1, memory_order_relaxed);
    return snapshot;
}

void nn_snapshot_unref(nn_snapshot *snapshot)
{
    if (!snapshot ||
        atomic_fetch_sub_explicit(&snapshot->n_refs, 1, memory_order_acq_rel) != 1)
        return;
    nn_adapter_clear(&snapshot->adapter);
    nn_prefix_store_clear(&snapshot->prefixes);
    tkx__free(snapshot);
}

bool nn_snapshot_get_lora(const nn_snapshot *snapshot, nn_lora_options *options)
{
    if (snapshot->has_adapter)
        *options = snapshot->adapter.options;
    return snapshot->has_adapter;
}
