/* SPDX-License-Identifier: Apache-2.0 */
/* nn/snapshot.h - inside a snapshot. */
#ifndef MOCK_NN_SNAPSHOT_H
#define MOCK_NN_SNAPSHOT_H

#include <stdatomic.h>

#include "mock_server/nn/adapter.h"
#include "mock_server/nn/model.h"
#include "mock_server/nn/prefix.h"
#include "mock_server/nn/sample.h"

struct nn_snapshot {
    atomic_size_t n_refs;
    nn_engine *engine;
    const nn_base *base;
    bool has_adapter;
    nn_adapter adapter;
    nn_prefix_store prefixes;
};

/* The adapter is taken (moved), also on failure. */
tkx_status nn_snapshot_new(nn_engine *engine, const nn_base *base, nn_adapter *adapter,
                           nn_snapshot **out, tkx_error **err);

#endif
