/* SPDX-License-Identifier: Apache-2.0 */
/*
 * infer/backend.h - what computes a model: the table that the scheduler goes through.
 *
 * A backend takes the weights as they are mapped, keeps the memory of its KV blocks, and
 * steps.  Which sequences share a step, who holds which block, prefix cache and drawing
 * are the scheduler's, the same for all.  Logits come back in host memory.
 */
#ifndef TKX_INFER_BACKEND_H
#define TKX_INFER_BACKEND_H

#include "infer/graph.h"

typedef struct tkx__backend_state tkx__backend_state;

/* Borrowed, and alive until close(). */
typedef struct tkx__backend_setup {
    const tkx__weights *weights;
    const tkx__kernels *kernels; /* of the host */
    tkx__threads *pool;          /* of the host */
    tkx__graph_options graph;
    size_t kv_blocks;
} tkx__backend_setup;

typedef struct tkx__backend {
    const char *name;
    /* NULL when this machine can; else why not, in static words.  Asked at most once. */
    const char *(*why_not)(void);
    /* Bytes of its memory beside weights and KV blocks. */
    size_t (*scratch_bytes)(const tkx__model_config *config,
                            const tkx__graph_options *options);
    /* *kv is the pool of its blocks, freed by close(). */
    tkx_status (*open)(const tkx__backend_setup *setup, tkx__backend_state **out,
                       tkx__kv **kv, tkx_error **err);
    void (*close)(tkx__backend_state *state); /* accepts NULL */
    /* As tkx__graph_admit() and tkx__graph_step(). */
    tkx_status (*admit)(tkx__backend_state *state, const tkx__adapter *adapter,
                        tkx_error **err);
    tkx_status (*step)(tkx__backend_state *state, const tkx__step_part *parts,
                       size_t n_parts, tkx__logits_fn *fn, void *ctx, tkx_error **err);
} tkx__backend;

extern const tkx__backend tkx__backend_cpu;

/* By name; NULL: the first that this machine can.  INVALID_ARGUMENT for a name that is
   none, UNSUPPORTED for one that cannot be used here, with the reason. */
tkx_status tkx__backend_find(const char *name, const tkx__backend **out, tkx_error **err);

#endif
