/* SPDX-License-Identifier: Apache-2.0 */
/*
 * models/rig.h - a model opened for one way of computing, fed one sequence at a time.
 */
#ifndef TESTS_CONFORMANCE_MODELS_RIG_H
#define TESTS_CONFORMANCE_MODELS_RIG_H

#include <stdbool.h>

#include "infer/graph.h"
#include "infer/sample.h"
#include "model/safetensors.h"

/* The rows of the table of tolerances. */
typedef enum rig_path {
    RIG_F32,  /* float32 activations and KV */
    RIG_KV16, /* the same, K and V in float16 */
    RIG_FAST, /* what --compute fast does with these weights */
    RIG_N_PATHS
} rig_path;

typedef struct rig {
    rig_path path;
    tkx__weights *weights;
    const tkx__kernels *kernels;
    tkx__threads *pool;
    tkx__kv *kv;
    tkx__graph *graph;
    tkx__token_sampler *sampler;
    size_t vocab_size;
    bool is_moe;
    bool is_8bit; /* this path brings activations to 8 bits for some weight */
    uint32_t *blocks;
    size_t n_fed;                /* positions of the sequence so far */
    const tkx__adapter *adapter; /* NULL: the base */
    tkx__adapter *owned;         /* to let go of at the end */
} rig;

tkx_status rig_open(rig *r, const char *path, rig_path way, tkx_error **err);
void rig_close(rig *r);
const char *rig_path_name(rig_path path);

/* Load an adapter and use it from now on; NULL path: the base again. */
tkx_status rig_use(rig *r, const char *path, tkx_error **err);

void rig_restart(rig *r); /* forget the sequence */
/* Feed n tokens; logits of all of them to out [n][vocab_size]. */
tkx_status rig_feed(rig *r, const int64_t *tokens, size_t n, float *out, tkx_error **err);

#endif
