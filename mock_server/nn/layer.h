/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nn/layer.h - one transformer layer over a block of rows, forward and backward.
 *
 * A block is a few whole sequences laid end to end: m rows, sequence i being rows
 * starts[i] .. starts[i + 1].  Only attention looks across rows.
 */
#ifndef MOCK_NN_LAYER_H
#define MOCK_NN_LAYER_H

#include "mock_server/nn/adapter.h"
#include "mock_server/nn/work.h"

typedef struct nn_block {
    const nn_base *base;
    const nn_adapter *adapter; /* NULL: the bare base */
    size_t m;
    size_t n_sequences;
    const size_t *starts; /* [n_sequences + 1] */
    size_t longest;       /* rows of the longest sequence */
} nn_block;

/* What the experts of a layer keep: rows sorted by expert, r = m * n_experts_used of
 * them. */
typedef struct nn_expert_acts {
    float *probs;    /* [m, n_experts] */
    bool *is_picked; /* [m, n_experts] */
    size_t *offsets; /* [n_experts + 1] into the sorted rows */
    size_t *tokens;  /* [r] row of the block */
    float *weights;  /* [r] share in the output */
    float *x;        /* [r, hidden] */
    float *h_gu;     /* [r, 2 rank] */
    float *gate_up;  /* [r, 2 moe] */
    float *act;      /* [r, moe] */
    float *h_down;   /* [r, rank] */
    float *out;      /* [r, hidden] */
} nn_expert_acts;

/* What the backward pass of a layer needs from its forward pass. */
typedef struct nn_acts {
    float *x;             /* [m, hidden], the layer's input */
    float *rstd1, *rstd2; /* [m] */
    float *xn1;           /* [m, hidden], after the first norm */
    float *h_qkv;         /* [m, 3 rank] */
    float *raw;           /* [m, q + kv] before q/k norm; NULL without one */
    float *rstd_qk;       /* [m, n_heads + n_kv_heads] */
    float *qkv;           /* [m, q + 2 kv], rotated */
    float *lse;           /* [n_heads, rows] of each sequence in turn */
    float *att;           /* [m, q] */
    float *h_o;           /* [m, rank] */
    float *mid;           /* [m, hidden], after attention */
    float *xn2;           /* [m, hidden] */
    float *h_gu;          /* [m, 2 rank] */
    float *gate_up;       /* [m, 2 intermediate] */
    float *act;           /* [m, intermediate] */
    float *h_down;        /* [m, rank] */
    nn_expert_acts experts;
} nn_acts;

/* Scratch shared by all layers. */
typedef struct nn_layer_scratch {
    float *s, *ds; /* [NN_ATTENTION_TILE, longest] */
    float *wide;   /* [m, widest of qkv and intermediate], and of sorted rows */
    float *narrow; /* [m, hidden], and of sorted rows */
    float *att;    /* [m, q] */
    float *dh;     /* [m, 3 rank], and of sorted rows */
    float *shares; /* [m, n_experts], derivative */
} nn_layer_scratch;

void nn_acts_take(nn_work *work, const nn_block *block, bool is_sparse, nn_acts *acts);
void nn_layer_scratch_take(nn_work *work, const nn_block *block, nn_layer_scratch *s);

/* acts->x is set; y[m, hidden] gets the output (y may be the next layer's acts->x). */
void nn_layer_forward(const nn_block *block, size_t layer, nn_acts *acts,
                      const nn_layer_scratch *scratch, float *y);
/*
 * dx[m, hidden]: derivative of the output in, of the input out (left unfinished when
 * is_first: nothing below is trained).  acts is used up.
 */
void nn_layer_back(const nn_block *block, size_t layer, nn_acts *acts,
                   const nn_layer_scratch *scratch, float *gradient, float *dx,
                   bool is_first);

/* The MLP of a sparse layer (experts.c): y += experts(xn2). */
void nn_experts_forward(const nn_block *block, size_t layer, nn_acts *acts, float *y);
/* dy[m, hidden] of the MLP's output; dxn2[m, hidden] is set. */
void nn_experts_back(const nn_block *block, size_t layer, nn_acts *acts,
                     const nn_layer_scratch *scratch, float *gradient, const float *dy,
                     float *dxn2);

#endif
