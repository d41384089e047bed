/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nn/base.h - a base model in memory: shape, weights in float32, rotation table.
 *
 * Matrices are [out, in], row-major.  Those that share an input lie one below the other:
 * q, k and v are one matrix, gate and up another.  Read-only once built.
 */
#ifndef MOCK_NN_BASE_H
#define MOCK_NN_BASE_H

#include <tkx/tokenizer.h>

#include "mock_server/nn/engine.h"

typedef struct nn_config {
    char architecture[16];
    size_t n_layers;
    size_t hidden;
    size_t n_heads;
    size_t n_kv_heads;
    size_t head_dim;
    size_t intermediate; /* of dense layers */
    size_t vocab_size;
    size_t max_context;
    double rms_eps;
    double rope_theta;
    /* llama3 rope scaling; factor 0: none */
    double rope_factor;
    double rope_low_freq_factor;
    double rope_high_freq_factor;
    double rope_original_context;
    double rope_magnitude; /* of cos and sin; 0 counts as 1 */
    bool has_qkv_bias;
    bool has_qk_norm;
    bool is_tied;
    size_t n_experts; /* 0: dense */
    size_t n_experts_used;
    size_t moe_intermediate;
    bool norm_topk_prob;
} nn_config;

typedef struct nn_layer {
    float *norm1;    /* [hidden], before attention */
    float *qkv;      /* [q_rows + 2 * kv_rows, hidden] */
    float *qkv_bias; /* [q_rows + 2 * kv_rows], or NULL */
    float *q_norm;   /* [head_dim], or NULL */
    float *k_norm;
    float *o;     /* [hidden, q_rows] */
    float *norm2; /* [hidden], before the MLP */
    bool is_sparse;
    float *gate_up; /* [2 * intermediate, hidden]; sparse: [n_experts, 2 * moe, hidden] */
    float *down;    /* [hidden, intermediate]; sparse: [n_experts, hidden, moe] */
    float *router;  /* sparse: [n_experts, hidden] */
} nn_layer;

struct nn_base {
    char *name;
    char *path; /* NULL: built in */
    nn_config config;
    float *embedding; /* [vocab, hidden] */
    float *head;      /* [vocab, hidden]; the embedding when tied */
    float *norm;      /* [hidden] */
    nn_layer *layers;
    float *rope_cos; /* [max_context, head_dim / 2] */
    float *rope_sin;
    float *rope_factors; /* [head_dim / 2] divisors of the frequencies, or NULL */
    int64_t *end_ids;
    size_t n_end_ids;
    bool is_bytes;            /* token ids are bytes, 256 ends the text */
    tkx_tokenizer *tokenizer; /* NULL: none was found, or is_bytes */
    uint64_t n_params;
    void **blocks; /* every allocation above, freed together */
    size_t n_blocks;
};

static inline size_t nn_q_rows(const nn_config *c)
{
    return c->n_heads * c->head_dim;
}

static inline size_t nn_kv_rows(const nn_config *c)
{
    return c->n_kv_heads * c->head_dim;
}

/* Rows of the fused q, k, v matrix. */
static inline size_t nn_qkv_rows(const nn_config *c)
{
    return nn_q_rows(c) + 2 * nn_kv_rows(c);
}

/*
 * An empty base with all arrays allocated; the caller fills them, then calls
 * nn_base_finish(). is_sparse[n_layers] may be NULL (all as n_experts says).
 */
tkx_status nn_base_alloc(const char *name, const nn_config *config, const bool *is_sparse,
                         nn_base **out, tkx_error **err);
/* Rotation table, parameter count. */
tkx_status nn_base_finish(nn_base *base, tkx_error **err);
void nn_base_free(nn_base *base);

/* Memory that lives as long as the base, zeroed; NULL when short. */
void *nn_base_keep(nn_base *base, size_t count, size_t size);

/* The built-in byte-level model (builtin.c). */
tkx_status nn_base_builtin(const char *name, size_t max_context, nn_base **out,
                           tkx_error **err);

#endif
