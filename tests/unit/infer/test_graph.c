/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The graph's own promises: recorded logits, and the same bits for any cut of a prompt,
 * any neighbours in a step and any number of threads.
 */
#include <math.h>
#include <stdlib.h>

#include "graph_rig.h"
#include "support/suite.h"

#define N_TOK 33

static int64_t tokens[N_TOK];

static void read_tokens(void)
{
    tkx__safetensors *ref;
    const tkx__tensor *t;

    ck_assert_int_eq(
        tkx__safetensors_open(MODELS "llama/ref/base.safetensors", &ref, NULL), TKX_OK);
    t = tkx__tensors_find(tkx__safetensors_tensors(ref), "p33.tokens");
    for (size_t i = 0; i < N_TOK; i++)
        tokens[i] = ((const int32_t *)t->data)[i];
    tkx__safetensors_free(ref);
}

START_TEST(matches_recorded_logits)
{
    graph_rig r;
    tkx__safetensors *ref;
    const float *want;

    read_tokens();
    rig_open(&r, "llama", TKX__COMPUTE_F32, 2);
    rig_feed(&r, tokens, 0, N_TOK, NULL);
    ck_assert_int_eq(
        tkx__safetensors_open(MODELS "llama/ref/base.safetensors", &ref, NULL), TKX_OK);
    want = tkx__tensors_find(tkx__safetensors_tensors(ref), "p33.logits")->data;
    for (size_t i = 0; i < N_TOK * r.weights->config.vocab_size; i++)
        ck_assert_msg(fabsf(r.logits[i] - want[i]) <= 2e-4f, "logit %zu: %g, expected %g",
                      i, (double)r.logits[i], (double)want[i]);
    tkx__safetensors_free(ref);
    rig_close(&r);
}
END_TEST

static const char *const models[] = {"llama",
                                     "qwen2",
                                     "qwen3-sharded",
                                     "qwen3moe",
                                     "gguf/llama-Q4_0.gguf",
                                     "gguf/qwen3-Q8_0.gguf"};

/* Pieces of 1, 5, 27 in one thread against the whole in three. */
START_TEST(pieces_and_threads_change_no_bit)
{
    static const size_t pieces[] = {1, 5, 27};
    tkx__compute compute = _i % 2 ? TKX__COMPUTE_FAST : TKX__COMPUTE_F32;
    graph_rig a;
    graph_rig b;
    size_t at = 0;

    read_tokens();
    rig_open(&a, models[_i / 2], compute, 3);
    rig_open(&b, models[_i / 2], compute, 1);
    rig_feed(&a, tokens, 0, N_TOK, NULL);
    for (size_t i = 0; i < 3; at += pieces[i++])
        rig_feed(&b, tokens + at, at, pieces[i], NULL);
    ck_assert_uint_eq(a.n_logits, b.n_logits);
    ck_assert_mem_eq(a.logits, b.logits,
                     N_TOK * a.weights->config.vocab_size * sizeof(float));
    rig_close(&b);
    rig_close(&a);
}
END_TEST

typedef struct kept {
    float last[4][512];
    size_t vocab_size;
} kept;

static void keep_last(void *ctx, const tkx__logits_row *rows, size_t n_rows,
                      const float *logits)
{
    kept *k = ctx;

    for (size_t i = 0; i < n_rows; i++)
        memcpy(k->last[rows[i].part], logits + i * k->vocab_size,
               k->vocab_size * sizeof(float));
}

/* Three sequences of different lengths in one step: each as if alone. */
START_TEST(neighbours_change_no_bit)
{
    graph_rig r;
    kept together = {.vocab_size = 336};
    kept alone = {.vocab_size = 336};
    uint32_t blocks[3][2];
    tkx__step_part parts[3];

    read_tokens();
    rig_open(&r, models[_i / 2], _i % 2 ? TKX__COMPUTE_FAST : TKX__COMPUTE_F32, 2);
    for (size_t i = 0; i < 3; i++) {
        blocks[i][0] = tkx__kv_alloc(r.kv);
        blocks[i][1] = tkx__kv_alloc(r.kv);
        parts[i] = (tkx__step_part){.tokens = tokens + i,
                                    .n_tokens = 1 + 15 * i,
                                    .block_ids = blocks[i],
                                    .n_logits = 1};
    }
    ck_assert_int_eq(tkx__graph_step(r.graph, parts, 3, keep_last, &together, NULL),
                     TKX_OK);
    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(tkx__graph_step(r.graph, &parts[i], 1, keep_last, &alone, NULL),
                         TKX_OK);
        ck_assert_mem_eq(alone.last[0], together.last[i], 336 * sizeof(float));
    }
    rig_close(&r);
}
END_TEST

START_TEST(refuses_what_cannot_be_stepped)
{
    graph_rig r;
    int64_t bad[] = {5, 336};
    int64_t negative = -1;
    tkx__step_part part = {.tokens = bad, .n_tokens = 2, .n_logits = 1};

    rig_open(&r, "llama", TKX__COMPUTE_F32, 1);
    part.block_ids = r.blocks;
    ck_assert_int_eq(tkx__graph_step(r.graph, &part, 1, rig_keep, &r, NULL),
                     TKX_ERR_INVALID_ARGUMENT);
    part.tokens = &negative;
    part.n_tokens = 1;
    ck_assert_int_eq(tkx__graph_step(r.graph, &part, 1, rig_keep, &r, NULL),
                     TKX_ERR_INVALID_ARGUMENT);
    ck_assert_int_eq(tkx__graph_step(r.graph, &part, 0, rig_keep, &r, NULL),
                     TKX_ERR_INVALID_ARGUMENT);
    part.n_tokens = 0;
    ck_assert_int_eq(tkx__graph_step(r.graph, &part, 1, rig_keep, &r, NULL),
                     TKX_ERR_INVALID_ARGUMENT);
    ck_assert_uint_eq(r.n_logits, 0);
    rig_close(&r);
}
END_TEST

START_TEST(counts_blocks)
{
    graph_rig r;
    uint32_t id;
    uint32_t copy;

    rig_open(&r, "llama", TKX__COMPUTE_F32, 1);
    ck_assert_uint_eq(tkx__kv_n_available(r.kv), 24);
    id = tkx__kv_alloc(r.kv);
    tkx__kv_ref(r.kv, id);
    copy = tkx__kv_copy(r.kv, id);
    ck_assert_uint_ne(id, copy);
    tkx__kv_unref(r.kv, id);
    ck_assert_uint_eq(tkx__kv_n_refs(r.kv, id), 1);
    ck_assert_uint_eq(tkx__kv_n_available(r.kv), 22);
    tkx__kv_unref(r.kv, id);
    tkx__kv_unref(r.kv, copy);
    ck_assert_uint_eq(tkx__kv_n_available(r.kv), 24);
    while (tkx__kv_alloc(r.kv) != TKX__KV_NONE)
        ;
    ck_assert_uint_eq(tkx__kv_n_available(r.kv), 0);
    ck_assert_uint_eq(tkx__kv_copy(r.kv, 0), TKX__KV_NONE);
    rig_close(&r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("graph");
    TCase *tc = tcase_create("graph");
    int n = 2 * (int)(sizeof models / sizeof models[0]);

    tcase_add_test(tc, matches_recorded_logits);
    tcase_add_loop_test(tc, pieces_and_threads_change_no_bit, 0, n);
    tcase_add_loop_test(tc, neighbours_change_no_bit, 0, n);
    tcase_add_test(tc, refuses_what_cannot_be_stepped);
    tcase_add_test(tc, counts_blocks);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
