/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nn/decode.h - inference with a KV cache: rows of tokens in, logits out.
 *
 * A row is the next token of some sequence.  Its keys and values are appended to that
 * sequence's own cache; it attends to an optional shared prefix and then to its own.
 */
#ifndef MOCK_NN_DECODE_H
#define MOCK_NN_DECODE_H

#include "mock_server/nn/adapter.h"
#include "mock_server/nn/work.h"

/* Keys and values of one sequence, in pieces of NN_KV_PIECE positions. */
enum { NN_KV_PIECE = 64 };

typedef struct nn_kv {
    float **pieces; /* each [n_layers, 2, NN_KV_PIECE, kv_rows] */
    size_t n_pieces;
    size_t n; /* positions */
} nn_kv;

/* Room for n positions in all; false when memory is short. */
bool nn_kv_reserve(nn_kv *kv, const nn_config *config, size_t n);
void nn_kv_clear(nn_kv *kv);

typedef struct nn_row {
    int64_t token;
    const nn_kv *prefix; /* shared, complete; NULL: none */
    nn_kv *own;          /* room for one more was reserved; rows of one batch that share
                            an own follow each other in order */
} nn_row;

typedef struct nn_decoder {
    const nn_base *base;
    const nn_adapter *adapter; /* NULL: the bare base */
    size_t max_rows;
    bool is_prefill; /* products through OpenBLAS: bits depend on the number of rows */
    float *x, *xn, *qkv, *att, *mid, *gate_up, *act, *h, *lora, *scores, *rstd;
    float *expert_out;
    int32_t *picks;
    float *logits; /* [max_logit_rows, vocab] */
    size_t max_logit_rows;
} nn_decoder;

/* Scratch of a decoder from the work (measure with an empty one). */
void nn_decoder_take(nn_work *work, nn_decoder *decoder, size_t max_context);

/* Through all layers; afterwards x[n_rows, hidden] is the normed output. */
void nn_decode(nn_decoder *decoder, const nn_row *rows, size_t n_rows);
/* decoder->logits[n] of rows first .. first + n of the last nn_decode(). */
void nn_decode_logits(nn_decoder *decoder, size_t first, size_t n);

#endif
