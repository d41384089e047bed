/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model/config.h - what a model is: architecture and dimensions, from config.json or from
 * the metadata of a GGUF file.
 *
 * Every number is within bounds that make products of two of them safe; values that do
 * not fit together are refused here, before any tensor is looked at.
 */
#ifndef TKX_MODEL_CONFIG_H
#define TKX_MODEL_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tkx/error.h>

#include "model/gguf.h"

typedef enum tkx__arch {
    TKX__ARCH_LLAMA = 0,
    TKX__ARCH_QWEN2,
    TKX__ARCH_QWEN3,
    TKX__ARCH_QWEN3MOE,
    TKX__N_ARCHS
} tkx__arch;

typedef enum tkx__rope_scaling {
    TKX__ROPE_PLAIN = 0,
    TKX__ROPE_LINEAR, /* every frequency divided by factor */
    TKX__ROPE_LLAMA3, /* low frequencies divided, the middle blended */
    TKX__ROPE_YARN    /* the same with a ramp over dimensions, and a magnitude */
} tkx__rope_scaling;

typedef struct tkx__rope_config {
    double theta;
    tkx__rope_scaling scaling;
    double factor;
    double low_freq_factor;
    double high_freq_factor;
    double original_max_positions;
    double beta_fast;   /* yarn: turns in the original context where the ramp begins */
    double beta_slow;   /* and where it ends */
    bool is_ramp_exact; /* its ends are not rounded to whole dimensions */
    double magnitude;   /* cos and sin are multiplied by it; 1 but in yarn */
} tkx__rope_config;

#define TKX__MAX_END_IDS 32
#define TKX__MAX_LAYERS 1024

typedef struct tkx__model_config {
    tkx__arch arch;
    size_t n_layers;
    size_t hidden_size;
    size_t intermediate_size; /* of dense layers */
    size_t n_heads;
    size_t n_kv_heads;
    size_t head_dim;
    size_t vocab_size;
    size_t max_positions;
    float rms_norm_eps;
    tkx__rope_config rope;
    size_t sliding_window; /* a token sees that many, itself included; 0: all */
    bool is_sliding[TKX__MAX_LAYERS]; /* in which layers */
    bool is_tied;                     /* head and embedding are one matrix */
    bool has_qkv_bias;
    bool has_o_bias;
    bool has_mlp_bias;
    bool has_qk_norm;

    size_t n_experts; /* 0: dense */
    size_t n_experts_per_tok;
    size_t moe_intermediate_size;
    bool norm_topk_prob;
    bool is_moe_layer[TKX__MAX_LAYERS];

    int64_t bos_id;                    /* -1: none */
    int64_t end_ids[TKX__MAX_END_IDS]; /* generation ends after one of these */
    size_t n_end_ids;
} tkx__model_config;

const char *tkx__arch_name(tkx__arch arch); /* as GGUF spells it: "qwen3moe" */

/*
 * From DIR/config.json and, for the end ids, DIR/generation_config.json.
 * Errors: UNSUPPORTED for an architecture or option that is not computed here (those
 *         planned say so); PARSE for what is missing or cannot be.
 */
tkx_status tkx__config_from_dir(const char *dir, tkx__model_config *out, tkx_error **err);
/* The same from texts; generation may be NULL. */
tkx_status tkx__config_from_json(const char *config, size_t config_size,
                                 const char *generation, size_t generation_size,
                                 const char *what, tkx__model_config *out,
                                 tkx_error **err);
tkx_status tkx__config_from_gguf(const tkx__gguf *gguf, const char *what,
                                 tkx__model_config *out, tkx_error **err);

/* Checks of the whole that both readers end with. */
tkx_status tkx__config_check(const tkx__model_config *config, const char *what,
                             tkx_error **err);

/* The inverse frequencies [head_dim / 2] of the rotation, in double, rounded once. */
void tkx__rope_inv_freq(const tkx__model_config *config, float *out);
/* The magnitude that yarn's paper gives a factor. */
double tkx__rope_yarn_magnitude(double factor);
/* The positions that yarn is meant for, where they are more than `max_positions`: configs
   often keep those of the training. */
size_t tkx__rope_yarn_reach(const tkx__rope_config *rope, size_t max_positions);
/* Errors: PARSE for parameters that no rotation can be made of. */
tkx_status tkx__rope_check(const tkx__rope_config *rope, const char *what,
                           tkx_error **err);

#endif
