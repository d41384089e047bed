/* SPDX-License-Identifier: Apache-2.0 */
/* Adapters in a step: beside each other, beside the base, loaded and dropped in between.
 */
#include <stdlib.h>

#include "graph_rig.h"
#include "support/suite.h"

static const int64_t tokens[12] = {5, 9, 200, 41, 7, 7, 100, 3, 250, 18, 66, 1};

typedef struct kept {
    float last[4][336];
} kept;

static void keep(void *ctx, const tkx__logits_row *rows, size_t n_rows,
                 const float *logits)
{
    kept *k = ctx;

    for (size_t i = 0; i < n_rows; i++)
        memcpy(k->last[rows[i].part], logits + i * 336, sizeof k->last[0]);
}

static const struct setup {
    const char *model;
    const char *adapters[2];
} setups[] = {
    {"llama", {"r4", "r8-unembed"}},
    {"gguf/llama-Q8_0.gguf",
     {"../llama/adapters/r4", "../llama/adapters/r5-attn-rslora"}},
    {"qwen3moe", {"r4", "r4-experts"}},
};

static tkx__adapter *open_adapter(graph_rig *r, const struct setup *s, int i)
{
    char path[300];
    tkx__adapter *a = NULL;
    tkx_error *err = NULL;

    if (strncmp(s->adapters[i], "../", 3) == 0)
        snprintf(path, sizeof path, MODELS "%s", s->adapters[i] + 3);
    else
        snprintf(path, sizeof path, MODELS "%s/adapters/%s", s->model, s->adapters[i]);
    ck_assert_msg(tkx__adapter_open(path, r->weights, &a, &err) == TKX_OK, "%s",
                  tkx_error_message(err));
    ck_assert_int_eq(tkx__graph_admit(r->graph, a, NULL), TKX_OK);
    return a;
}

/* Base, one adapter, another, the base again, all in one step: each as if alone. */
START_TEST(share_a_step)
{
    graph_rig r;
    tkx__step_part parts[4];
    uint32_t blocks[4];
    tkx__adapter *a;
    tkx__adapter *b;
    kept together;
    kept alone;

    rig_open(&r, setups[_i / 2].model, _i % 2 ? TKX__COMPUTE_FAST : TKX__COMPUTE_F32, 2);
    a = open_adapter(&r, &setups[_i / 2], 0);
    b = open_adapter(&r, &setups[_i / 2], 1);
    for (size_t i = 0; i < 4; i++) {
        blocks[i] = tkx__kv_alloc(r.kv);
        parts[i] = (tkx__step_part){.tokens = tokens,
                                    .n_tokens = 12 - i,
                                    .block_ids = &blocks[i],
                                    .adapter = i == 1   ? a
                                               : i == 2 ? b
                                                        : NULL,
                                    .n_logits = 1};
    }
    ck_assert_int_eq(tkx__graph_step(r.graph, parts, 4, keep, &together, NULL), TKX_OK);
    for (size_t i = 0; i < 4; i++) {
        ck_assert_int_eq(tkx__graph_step(r.graph, &parts[i], 1, keep, &alone, NULL),
                         TKX_OK);
        ck_assert_mem_eq(alone.last[0], together.last[i], sizeof alone.last[0]);
    }
    parts[1].adapter = NULL; /* and it did change something */
    ck_assert_int_eq(tkx__graph_step(r.graph, &parts[1], 1, keep, &alone, NULL), TKX_OK);
    ck_assert_int_ne(memcmp(alone.last[0], together.last[1], sizeof alone.last[0]), 0);
    tkx__adapter_unref(b);
    tkx__adapter_unref(a);
    rig_close(&r);
}
END_TEST

/* Logits of tokens 0 .. 12 of four parts. */
typedef struct every {
    float rows[4][13][336];
    size_t first; /* token of the step that is number 0 */
    size_t n;
} every;

static void keep_every(void *ctx, const tkx__logits_row *rows, size_t n_rows,
                       const float *logits)
{
    every *e = ctx;

    for (size_t i = 0; i < n_rows; i++)
        memcpy(e->rows[rows[i].part][e->first + rows[i].token], logits + i * 336,
               sizeof e->rows[0][0]);
    e->n += n_rows;
}

/* Twelve tokens, then one more; logits of the last n_logits[part] of the twelve. */
static every *feed(graph_rig *r, tkx__adapter *const adapters[4],
                   const size_t n_logits[4])
{
    every *e = calloc(1, sizeof *e);
    tkx__step_part parts[4];
    uint32_t blocks[4];

    for (size_t i = 0; i < 4; i++) {
        blocks[i] = tkx__kv_alloc(r->kv);
        parts[i] = (tkx__step_part){.tokens = tokens,
                                    .n_tokens = 12,
                                    .block_ids = &blocks[i],
                                    .adapter = adapters[i],
                                    .n_logits = n_logits[i]};
    }
    ck_assert_int_eq(tkx__graph_step(r->graph, parts, 4, keep_every, e, NULL), TKX_OK);
    for (size_t i = 0; i < 4; i++) {
        parts[i].n_tokens = parts[i].n_logits = 1;
        parts[i].pos = e->first = 12;
    }
    ck_assert_int_eq(tkx__graph_step(r->graph, parts, 4, keep_every, e, NULL), TKX_OK);
    return e;
}

/* The last layer works on wanted tokens alone; these get what they get beside others, and
   so do the tokens after them. */
START_TEST(unwanted_ones_change_no_bit)
{
    static const size_t all[4] = {12, 12, 12, 12};
    static const size_t some[3][4] = {{1, 0, 3, 12}, {0, 2, 1, 1}, {0, 0, 0, 0}};
    graph_rig r;
    tkx__adapter *a;
    every *want;

    rig_open(&r, setups[_i / 2].model, _i % 2 ? TKX__COMPUTE_FAST : TKX__COMPUTE_F32, 2);
    a = open_adapter(&r, &setups[_i / 2], 0);
    want = feed(&r, (tkx__adapter *const[4]){NULL, a, a, NULL}, all);
    for (size_t i = 0; i < 3; i++) {
        every *got = feed(&r, (tkx__adapter *const[4]){NULL, a, a, NULL}, some[i]);
        size_t n = 4;

        for (size_t p = 0; p < 4; p++) {
            n += some[i][p];
            ck_assert_mem_eq(got->rows[p][12 - some[i][p]],
                             want->rows[p][12 - some[i][p]],
                             (some[i][p] + 1) * sizeof got->rows[0][0]);
        }
        ck_assert_uint_eq(got->n, n);
        free(got);
    }
    free(want);
    tkx__adapter_unref(a);
    rig_close(&r);
}
END_TEST

/* In half precision: no float32 is left in dense layers, and logits hardly move. */
START_TEST(can_be_halved)
{
    graph_rig r;
    tkx__step_part part = {.tokens = tokens, .n_tokens = 12, .n_logits = 1};
    const tkx__lora *pair;
    tkx__adapter *a;
    uint32_t block;
    kept whole;
    kept halved;

    rig_open(&r, "llama", TKX__COMPUTE_FAST, 1);
    a = open_adapter(&r, &setups[0], 0);
    block = tkx__kv_alloc(r.kv);
    part.block_ids = &block;
    part.adapter = a;
    ck_assert_int_eq(tkx__graph_step(r.graph, &part, 1, keep, &whole, NULL), TKX_OK);
    ck_assert_int_eq(tkx__adapter_arrange(a, r.kernels, NULL), TKX_OK);
    pair = tkx__adapter_find(a, 0, TKX__MAT_Q, 0);
    ck_assert_ptr_nonnull(pair);
    ck_assert_int_ne((int)pair->a.type, TKX__W_F32);
    ck_assert_int_ne((int)pair->b.type, TKX__W_F32);
    ck_assert_int_eq(tkx__graph_step(r.graph, &part, 1, keep, &halved, NULL), TKX_OK);
    for (size_t i = 0; i < 336; i++)
        ck_assert_float_eq_tol(whole.last[0][i], halved.last[0][i], 1e-2f);
    tkx__adapter_unref(a);
    rig_close(&r);
}
END_TEST

START_TEST(must_be_admitted)
{
    graph_rig r;
    tkx__adapter *a = NULL;
    tkx__step_part part = {.tokens = tokens, .n_tokens = 3, .n_logits = 1};
    kept k;

    rig_open(&r, "llama", TKX__COMPUTE_F32, 1);
    ck_assert_int_eq(tkx__adapter_open(MODELS "llama/adapters/r4", r.weights, &a, NULL),
                     TKX_OK);
    part.block_ids = r.blocks;
    part.adapter = a;
    ck_assert_int_eq(tkx__graph_step(r.graph, &part, 1, keep, &k, NULL),
                     TKX_ERR_INVALID_ARGUMENT);
    ck_assert_int_eq(tkx__graph_admit(r.graph, a, NULL), TKX_OK);
    ck_assert_int_eq(tkx__graph_step(r.graph, &part, 1, keep, &k, NULL), TKX_OK);
    tkx__adapter_unref(a);
    rig_close(&r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("graph_adapters");
    TCase *tc = tcase_create("graph_adapters");

    tcase_add_loop_test(tc, share_a_step, 0, 2 * (int)(sizeof setups / sizeof setups[0]));
    tcase_add_loop_test(tc, unwanted_ones_change_no_bit, 0,
                        2 * (int)(sizeof setups / sizeof setups[0]));
    tcase_add_test(tc, can_be_halved);
    tcase_add_test(tc, must_be_admitted);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
