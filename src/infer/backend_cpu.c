/* SPDX-License-Identifier: Apache-2.0 */
/* backend_cpu.c - the graph and the KV pool of this machine's memory as a backend. */
#include "base/error.h"
#include "base/mem.h"
#include "infer/backend.h"

struct tkx__backend_state {
    tkx__kv *kv;
    tkx__graph *graph;
};

static const char *why_not(void)
{
    return NULL; /* the scalar kernels run anywhere */
}

static void close_state(tkx__backend_state *state)
{
    if (!state)
        return;
    tkx__graph_free(state->graph);
    tkx__kv_free(state->kv);
    tkx__free(state);
}

static tkx_status open_state(const tkx__backend_setup *setup, tkx__backend_state **out,
                             tkx__kv **kv, tkx_error **err)
{
    tkx__backend_state *state = tkx__calloc(1, sizeof *state);
    tkx_status st;

    if (!state)
        return tkx__fail_memory(err);
    st = tkx__kv_new(&setup->weights->config, setup->graph.compute == TKX__COMPUTE_FAST,
                     setup->kv_blocks, &state->kv, err);
    if (st == TKX_OK)
        st = tkx__graph_new(setup->weights, setup->kernels, setup->pool, state->kv,
                            &setup->graph, &state->graph, err);
    if (st == TKX_OK) {
        *out = state;
        *kv = state->kv;
        return TKX_OK;
    }
    close_state(state);
    return st;
}

static tkx_status admit(tkx__backend_state *state, const tkx__adapter *adapter,
                        tkx_error **err)
{
    return tkx__graph_admit(state->graph, adapter, err);
}

static tkx_status step(tkx__backend_state *state, const tkx__step_part *parts,
                       size_t n_parts, tkx__logits_fn *fn, void *ctx, tkx_error **err)
{
    return tkx__graph_step(state->graph, parts, n_parts, fn, ctx, err);
}

const tkx__backend tkx__backend_cpu = {.name = "cpu",
                                       .why_not = why_not,
                                       .scratch_bytes = tkx__graph_scratch_bytes,
                                       .open = open_state,
                                       .close = close_state,
                                       .admit = admit,
                                       .step = step};
