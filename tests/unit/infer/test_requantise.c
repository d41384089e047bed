/* SPDX-License-Identifier: Apache-2.0 */
/* Weights quantised while loading: the very bits of the files that other tools made, also
   when they are brought into kernel order on the way. */
#include <stdio.h>
#include <string.h>

#include "infer/kernels/strips.h"
#include "infer/requantise.h"
#include "model/quantise.h"
#include "support/suite.h"

#define MODELS TKX_TEST_DATA "/models/"

typedef struct pair {
    const char *from; /* floats */
    const char *to;   /* the same, quantised elsewhere */
    const char *type;
} pair;

static const pair pairs[] = {
    {"qwen2", "gguf/qwen2-Q8_0.gguf", "q8_0"},
    {"qwen2", "gguf/qwen2-Q4_0.gguf", "Q4_0"},
    {"gguf/qwen2-F32.gguf", "gguf/qwen2-Q4_0.gguf", "q4_0"},
    {"gguf/qwen2-BF16.gguf", "gguf/qwen2-Q8_0.gguf", "q8_0"},
    {"llama", "gguf/llama-Q8_0.gguf", "q8_0"},
    {"llama", "gguf/llama-Q4_0.gguf", "q4_0"},
    {"qwen3", "gguf/qwen3-Q8_0.gguf", "q8_0"},
    {"qwen3", "gguf/qwen3-Q4_0.gguf", "q4_0"},
    {"qwen3moe", "gguf/qwen3moe-Q8_0.gguf", "q8_0"},
};

static tkx__weights *open_weights(const char *name)
{
    tkx__weights *w = NULL;
    tkx_error *err = NULL;
    char path[512];

    snprintf(path, sizeof path, MODELS "%s", name);
    ck_assert_msg(tkx__weights_open(path, &w, &err) == TKX_OK, "%s",
                  tkx_error_message(err));
    return w;
}

/* Row r in the file's order; in buf, where it is not stored so. */
static const void *row_of(const tkx__stored *s, size_t r, unsigned char *buf)
{
    tkx__wtype type = (tkx__wtype)tkx__dtype_get(s->dtype)->gguf_id;
    size_t strip = r / TKX__STRIP_ROWS * TKX__STRIP_ROWS;
    const unsigned char *data = s->data;

    if (!s->is_packed)
        return data + r * s->row_bytes;
    tkx__strip_row(type, data + strip * s->row_bytes, r - strip,
                   s->n_cols / tkx__wtype_block_cols(type), buf);
    return buf;
}

/* Row by row: one of the two may have rows of q and k in another order. */
static void same_matrix(const tkx__weights *a, const tkx__weights *b, size_t layer,
                        tkx__layer_matrix matrix, size_t expert)
{
    const tkx__stored *x = tkx__weights_matrix(a, layer, matrix, expert);
    const tkx__stored *y = tkx__weights_matrix(b, layer, matrix, expert);

    ck_assert_int_eq(x->dtype, y->dtype);
    ck_assert_uint_eq(x->n_rows, y->n_rows);
    ck_assert_uint_eq(x->row_bytes, y->row_bytes);
    for (size_t r = 0; r < x->n_rows; r++) {
        unsigned char buf[2][4096];

        ck_assert_msg(memcmp(row_of(x, tkx__weights_stored_row(a, matrix, r), buf[0]),
                             row_of(y, tkx__weights_stored_row(b, matrix, r), buf[1]),
                             x->row_bytes) == 0,
                      "layer %zu matrix %d expert %zu row %zu", layer, (int)matrix,
                      expert, r);
    }
}

static void same_stored(const tkx__stored *x, const tkx__stored *y)
{
    unsigned char buf[2][4096];

    ck_assert_int_eq(x->dtype, y->dtype);
    for (size_t r = 0; r < x->n_rows; r++)
        ck_assert_mem_eq(row_of(x, r, buf[0]), row_of(y, r, buf[1]), x->row_bytes);
}

static size_t n_calls;

static void on_done(void *ctx, size_t done_bytes)
{
    size_t *last = ctx;

    ck_assert_uint_gt(done_bytes, *last);
    *last = done_bytes;
    n_calls++;
}

START_TEST(equals_the_reference)
{
    const pair *p = &pairs[_i / 2];
    const tkx__kernels *k = NULL;
    tkx__weights *a = open_weights(p->from);
    tkx__weights *b = open_weights(p->to);
    tkx__threads *pool;
    tkx__dtype dtype;
    size_t copied;
    size_t done = 0;
    size_t sum;

    ck_assert_int_eq(tkx__requantise_find(p->type, &dtype, NULL), TKX_OK);
    ck_assert_int_eq(tkx__threads_new(3, &pool, NULL), TKX_OK);
    if (_i % 2)
        ck_assert_int_eq(tkx__kernels_select(NULL, &k, NULL), TKX_OK);
    sum = tkx__requantise_bytes(a, dtype, &copied);
    ck_assert_uint_ge(sum, copied);
    ck_assert_int_eq(tkx__requantise(a, dtype, k, pool, on_done, &done, NULL), TKX_OK);
    ck_assert_uint_eq(done, copied);
    ck_assert_uint_gt(n_calls, a->config.n_layers);
    ck_assert_str_eq(a->type, b->type);
    same_stored(&a->embedding, &b->embedding);
    same_stored(&a->head, &b->head);
    ck_assert(!a->layers[0].matrices[TKX__MAT_O].is_packed || k);
    for (size_t i = 0; i < a->config.n_layers; i++) {
        for (int m = TKX__MAT_Q; m <= TKX__MAT_DOWN; m++) {
            size_t n =
                a->layers[i].experts && m >= TKX__MAT_GATE ? a->config.n_experts : 1;

            for (size_t e = 0; e < n; e++)
                same_matrix(a, b, i, (tkx__layer_matrix)m, e);
        }
    }
    /* once more there is nothing to do */
    ck_assert_int_eq(tkx__requantise(a, dtype, k, pool, NULL, NULL, NULL),
                     TKX_ERR_INVALID_ARGUMENT);
    tkx__threads_free(pool);
    tkx__weights_free(a);
    tkx__weights_free(b);
}
END_TEST

/* Zeros, signs, ties, the largest one first and last. */
START_TEST(blocks_at_the_edges)
{
    float in[32] = {0};
    unsigned char out[34];
    tkx__dtype dtype;

    tkx__quantise_row(TKX__DTYPE_Q4_0, in, 32, out);
    ck_assert_int_eq(out[0] | out[1] << 8, 0x8000); /* 0 / -8 */
    ck_assert_int_eq(out[2], 0x88);
    tkx__quantise_row(TKX__DTYPE_Q8_0, in, 32, out);
    ck_assert_int_eq(out[0] | out[1] | out[2], 0);
    in[3] = -127;
    in[4] = 126.5f;
    in[5] = 0.5f;
    in[6] = -0.5f;
    tkx__quantise_row(TKX__DTYPE_Q8_0, in, 32, out);
    ck_assert_int_eq((signed char)out[5], -127);
    ck_assert_int_eq((signed char)out[6], 127); /* away from zero */
    ck_assert_int_eq((signed char)out[7], 1);
    ck_assert_int_eq((signed char)out[8], -1);
    memset(in, 0, sizeof in);
    in[0] = 4;
    in[17] = -4; /* as large, later: the first one is -8 */
    tkx__quantise_row(TKX__DTYPE_Q4_0, in, 32, out);
    ck_assert_int_eq(out[2] & 15, 0);
    ck_assert_int_eq(out[3] >> 4, 15); /* 8 does not exist */
    ck_assert_int_eq(tkx__requantise_find("q4_k", &dtype, NULL),
                     TKX_ERR_INVALID_ARGUMENT);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("requantise");
    TCase *tc = tcase_create("requantise");

    tcase_add_loop_test(tc, equals_the_reference, 0,
                        2 * (int)(sizeof pairs / sizeof pairs[0]));
    tcase_add_test(tc, blocks_at_the_edges);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
