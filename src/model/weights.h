/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model/weights.h - the weights of a model, by role, from a Hugging Face folder or a GGUF
 * file alike.
 *
 * Opening maps the files and checks every tensor the architecture has for presence, shape
 * and type, listing all that is wrong; only then is any pointer given out.  Matrices stay
 * as stored, in the mapping; vectors (norms, biases) are decoded to float32.
 * Immutable once open: any thread.
 */
#ifndef TKX_MODEL_WEIGHTS_H
#define TKX_MODEL_WEIGHTS_H

#include <stdbool.h>
#include <stddef.h>

#include <tkx/error.h>

#include "model/config.h"
#include "model/dtype.h"

/* A stored matrix [n_rows = outputs, n_cols = inputs]; data lies at any alignment. */
typedef struct tkx__stored {
    const void *data; /* NULL: the model has none */
    tkx__dtype dtype;
    size_t n_rows;
    size_t n_cols;
    size_t row_bytes;
    bool is_packed; /* in kernel order (infer/kernels/strips.h), by whoever copied it */
} tkx__stored;

/* The matrices of a layer that a product is made with, each of which can be adapted but
   the router. */
typedef enum tkx__layer_matrix {
    TKX__MAT_Q = 0, /* [n_heads * head_dim, hidden] */
    TKX__MAT_K,     /* [n_kv_heads * head_dim, hidden] */
    TKX__MAT_V,
    TKX__MAT_O,    /* [hidden, n_heads * head_dim] */
    TKX__MAT_GATE, /* [intermediate, hidden]; of each expert in a layer of experts */
    TKX__MAT_UP,
    TKX__MAT_DOWN,   /* [hidden, intermediate] */
    TKX__MAT_ROUTER, /* [n_experts, hidden] */
    TKX__N_LAYER_MATRICES
} tkx__layer_matrix;

typedef enum tkx__layer_vector {
    TKX__VEC_ATTN_NORM = 0, /* [hidden] */
    TKX__VEC_MLP_NORM,
    TKX__VEC_Q_NORM, /* [head_dim] */
    TKX__VEC_K_NORM,
    TKX__VEC_Q_BIAS, /* as many as the matrix has rows */
    TKX__VEC_K_BIAS,
    TKX__VEC_V_BIAS,
    TKX__VEC_O_BIAS,
    TKX__VEC_GATE_BIAS,
    TKX__VEC_UP_BIAS,
    TKX__VEC_DOWN_BIAS,
    TKX__N_LAYER_VECTORS
} tkx__layer_vector;

typedef struct tkx__layer_weights {
    tkx__stored matrices[TKX__N_LAYER_MATRICES]; /* gate, up, down unused with experts */
    const float *vectors[TKX__N_LAYER_VECTORS];  /* NULL: the architecture has none */
    /* [n_experts] gates, then ups, then downs; NULL in a dense layer. */
    tkx__stored *experts;
} tkx__layer_weights;

typedef struct tkx__weights {
    tkx__model_config config;
    tkx__stored embedding; /* [vocab_size, hidden] */
    tkx__stored head;      /* the same as embedding when tied */
    const float *norm;     /* [hidden] */
    const float *inv_freq; /* [head_dim / 2], scaling and rope_freqs applied */
    tkx__layer_weights *layers;
    /* Rows of q and k are in pair order (2i, 2i+1) instead of halves: a llama GGUF. */
    bool is_qk_interleaved;
    bool is_gguf;
    size_t size_bytes;     /* of the mapped files */
    const char *type;      /* the type most of the matrix bytes have, such as "Q4_0" */
    const tkx__gguf *gguf; /* NULL for a folder */
    const char *path;
    struct tkx__weights_own *own;
} tkx__weights;

/* path is a folder with config.json, or a GGUF file. */
tkx_status tkx__weights_open(const char *path, tkx__weights **out, tkx_error **err);
void tkx__weights_free(tkx__weights *weights);

/* Memory that lives as long as the weights, for copies of matrices, one block at most;
   not zeroed.  NULL: there is none. */
void *tkx__weights_own_block(tkx__weights *weights, size_t size_bytes);
/* True when a byte stands in a mapped file. */
bool tkx__weights_holds(const tkx__weights *weights, const void *byte);
/* Bytes of a matrix were copied elsewhere and are not read again: the pages of the mapped
   file behind them leave this process's memory. */
void tkx__weights_forget(const tkx__weights *weights, const void *bytes, size_t size);

/* Any matrix of a layer; expert is ignored in dense layers and for attention. */
const tkx__stored *tkx__weights_matrix(const tkx__weights *weights, size_t layer,
                                       tkx__layer_matrix matrix, size_t expert);

/*
 * Where row `row` of a matrix, counted in checkpoint order, is stored: elsewhere in q and
 * k when their rows are interleaved.  Biases of q and k are moved alike.
 */
size_t tkx__weights_stored_row(const tkx__weights *weights, tkx__layer_matrix matrix,
                               size_t row);

/* Stored row `row` of a matrix that is not packed, decoded: [n_cols]. */
void tkx__stored_row(const tkx__stored *stored, size_t row, float *out);

#endif
