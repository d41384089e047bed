/* SPDX-License-Identifier: Apache-2.0 */
/* test_weights.c - weights from any container, or all that is wrong with them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "model/mapped.h"
#include "model/weights.h"
#include "support/fail_alloc.h"
#include "support/suite.h"

#define MODELS TKX_TEST_DATA "/models/"

static const char *const good[] = {
    "llama",
    "llama-tied",
    "qwen2",
    "qwen2-f16",
    "qwen3",
    "qwen3-sharded",
    "qwen3moe",
    "qwen3moe-nonorm",
    "gguf/llama-F16.gguf",
    "gguf/llama-Q4_0.gguf",
    "gguf/qwen2-F32.gguf",
    "gguf/qwen3-Q8_0.gguf",
    "gguf/qwen3moe-Q8_0.gguf",
    "gguf/kq-Q2_K.gguf",
};

static tkx__weights *open_model(const char *name)
{
    char path[256];
    tkx__weights *w = NULL;
    tkx_error *err = NULL;

    snprintf(path, sizeof path, MODELS "%s", name);
    ck_assert_msg(tkx__weights_open(path, &w, &err) == TKX_OK, "%s",
                  tkx_error_message(err));
    return w;
}

START_TEST(opens_every_kind)
{
    tkx__weights *w = open_model(good[_i]);

    ck_assert_uint_gt(w->config.n_end_ids, 0);
    for (size_t i = 0; i < w->config.n_layers; i++) {
        ck_assert_ptr_nonnull(tkx__weights_matrix(w, i, TKX__MAT_Q, 0)->data);
        ck_assert_ptr_nonnull(tkx__weights_matrix(w, i, TKX__MAT_DOWN, 0)->data);
    }
    tkx__weights_free(w);
}
END_TEST

/* The folder and the GGUF made from it say the same, row for row in checkpoint order. */
START_TEST(folder_and_gguf_agree)
{
    tkx__weights *a = open_model("llama");
    tkx__weights *b = open_model("gguf/llama-F16.gguf");
    float x[64];
    float y[64];

    ck_assert_uint_eq(a->config.head_dim, b->config.head_dim);
    ck_assert_uint_eq(a->config.n_kv_heads, b->config.n_kv_heads);
    ck_assert_uint_eq(a->config.n_end_ids, b->config.n_end_ids);
    ck_assert_str_eq(a->type, "F32");
    ck_assert_str_eq(b->type, "F16");
    for (size_t r = 0; r < 64; r++) {
        tkx__stored_row(tkx__weights_matrix(a, 1, TKX__MAT_Q, 0), r, x);
        tkx__stored_row(tkx__weights_matrix(b, 1, TKX__MAT_Q, 0),
                        tkx__weights_stored_row(b, TKX__MAT_Q, r), y);
        for (size_t i = 0; i < 64; i++)
            ck_assert_float_le(fabsf(x[i] - y[i]), 1e-3f);
    }
    for (size_t i = 0; i < a->config.head_dim / 2; i++)
        ck_assert_float_le(fabsf(a->inv_freq[i] - b->inv_freq[i]),
                           1e-6f * a->inv_freq[i]);
    tkx__weights_free(b);
    tkx__weights_free(a);
}
END_TEST

static const struct config_case {
    const char *text;
    tkx_status status;
    const char *says;
} bad_configs[] = {
    {"{}", TKX_ERR_PARSE, "model_type"},
    {"{\"rms_norm_eps\": NaN}", TKX_ERR_PARSE, "near byte 17: 'NaN}'"},
    {"{\"model_type\": \"llama\"", TKX_ERR_PARSE, "is not JSON"},
    {"{\"model_type\":\"gpt_oss\"}", TKX_ERR_UNSUPPORTED, "later"},
    {"{\"model_type\":\"mamba\"}", TKX_ERR_UNSUPPORTED, "not known"},
    {"{\"model_type\":\"llama\"}", TKX_ERR_PARSE, "num_hidden_layers"},
#define SIZES(extra)                                                                     \
    "{\"model_type\":\"llama\",\"num_hidden_layers\":2,\"hidden_size\":64,"              \
    "\"num_attention_heads\":4,\"vocab_size\":10,\"intermediate_size\":8," extra "}"
    {SIZES("\"num_key_value_heads\":3"), TKX_ERR_PARSE, "share"},
    {SIZES("\"head_dim\":7"), TKX_ERR_PARSE, "odd"},
    {SIZES("\"head_dim\":-2"), TKX_ERR_PARSE, "head_dim is -2, no whole number"},
    {SIZES("\"head_dim\":\"2\""), TKX_ERR_PARSE, "head_dim is no number"},
    {SIZES("\"hidden_act\":\"gelu\""), TKX_ERR_UNSUPPORTED, "gelu"},
    {SIZES("\"head_dim\":514"), TKX_ERR_PARSE, "514"},
    {SIZES("\"rope_scaling\":{\"type\":\"longrope\",\"factor\":4}"), TKX_ERR_UNSUPPORTED,
     "longrope"},
    {SIZES("\"rope_scaling\":{\"type\":\"yarn\",\"factor\":-4}"), TKX_ERR_PARSE,
     "factor -4"},
    {SIZES("\"rope_scaling\":\"yarn\""), TKX_ERR_PARSE, "rope_scaling is no object"},
    {SIZES("\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8}"), TKX_ERR_PARSE,
     "rotation"},
    {SIZES("\"rope_parameters\":{\"rope_type\":\"default\",\"rope_theta\":10000.0},"
           "\"rope_scaling\":{\"rope_type\":\"dynamic\",\"factor\":4}"),
     TKX_ERR_UNSUPPORTED, "dynamic"}, /* the older spelling is not passed over */
    {SIZES("\"rope_parameters\":{\"rope_type\":\"dynamic\",\"factor\":4}"),
     TKX_ERR_UNSUPPORTED, "dynamic"},
    {SIZES("\"rope_parameters\":{\"rope_theta\":10000.0},\"rope_scaling\":null"), TKX_OK,
     NULL},
    {SIZES("\"rope_theta\":0"), TKX_ERR_PARSE, "rotation"},
    {SIZES("\"layer_types\":[\"full_attention\",\"sliding_attention\"]"),
     TKX_ERR_UNSUPPORTED, "sliding_attention"},
    {SIZES("\"quantization_config\":{}"), TKX_ERR_UNSUPPORTED, "quantization_config"},
    {SIZES("\"num_hidden_layers\":100000"), TKX_OK, NULL}, /* the first of twins counts */
    {SIZES("\"rms_norm_eps\":\"x\""), TKX_ERR_PARSE, "rms_norm_eps"},
};

START_TEST(says_what_a_config_lacks)
{
    const struct config_case *c = &bad_configs[_i];
    static tkx__model_config config;
    tkx_error *err = NULL;

    ck_assert_int_eq(tkx__config_from_json(c->text, strlen(c->text), NULL, 0,
                                           "config.json", &config, &err),
                     c->status);
    if (c->says)
        ck_assert_msg(strstr(tkx_error_message(err), c->says), "%s",
                      tkx_error_message(err));
    tkx_error_free(err);
}
END_TEST

START_TEST(says_that_json_is_too_deep)
{
    static char text[5000] = "{\"a[[\":";
    static tkx__model_config config;
    tkx_error *err = NULL;

    memset(text + strlen(text), '[', sizeof text - 1 - strlen(text));
    ck_assert_int_eq(tkx__config_from_json(text, sizeof text - 1, NULL, 0, "config.json",
                                           &config, &err),
                     TKX_ERR_LIMIT);
    ck_assert_ptr_nonnull(strstr(tkx_error_message(err), "nested more than 1000 deep"));
    tkx_error_free(err);
}
END_TEST

START_TEST(announces_gpt_oss_for_later)
{
    tkx__weights *w;
    tkx_error *err = NULL;

    ck_assert_int_eq(tkx__weights_open(MODELS "gpt-oss", &w, &err), TKX_ERR_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(tkx_error_message(err), "later"));
    tkx_error_free(err);
}
END_TEST

/* A copy of a GGUF file with two tensor names and one dimension changed. */
START_TEST(lists_every_problem)
{
    tkx__mapped whole;
    char path[] = "/tmp/tkx-weights-XXXXXX";
    int fd = mkstemp(path);
    char *copy;
    char *at;
    tkx__weights *w;
    tkx_error *err = NULL;

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(tkx__mapped_open(&whole, MODELS "gguf/qwen2-F32.gguf", NULL),
                     TKX_OK);
    copy = tkx__memdup(whole.data, whole.size);
    for (size_t i = 0; i + 20 < whole.size; i++) {
        at = copy + i;
        if (memcmp(at, "blk.0.attn_q.weight", 19) == 0)
            at[5] = 'x';
        if (memcmp(at, "blk.1.ffn_norm.weight", 21) == 0)
            at[25] = 63; /* behind the name: number of dims, then the only one */
    }
    ck_assert_int_eq(write(fd, copy, whole.size), (ssize_t)whole.size);
    ck_assert_int_eq(tkx__weights_open(path, &w, &err), TKX_ERR_PARSE);
    ck_assert_msg(strstr(tkx_error_message(err), "blk.0.attn_q.weight: missing"), "%s",
                  tkx_error_message(err));
    ck_assert_msg(strstr(tkx_error_message(err),
                         "blk.1.ffn_norm.weight: has shape [63], needs [64]"),
                  "%s", tkx_error_message(err));
    tkx_error_free(err);
    close(fd);
    unlink(path);
    tkx__free(copy);
    tkx__mapped_close(&whole);
}
END_TEST

START_TEST(survives_memory_failure)
{
    for (size_t n = 1;; n++) {
        tkx__weights *w = NULL;
        int ended;

        fail_alloc_begin(n);
        tkx__weights_open(MODELS "qwen3-sharded", &w, NULL);
        ended = !fail_alloc_hit();
        ck_assert_int_eq(w != NULL, ended);
        tkx__weights_free(w);
        ck_assert_int_eq(fail_alloc_end(), 0);
        if (ended)
            break;
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("weights");
    TCase *tc = tcase_create("weights");

    tcase_add_loop_test(tc, opens_every_kind, 0, (int)(sizeof good / sizeof good[0]));
    tcase_add_test(tc, folder_and_gguf_agree);
    tcase_add_loop_test(tc, says_what_a_config_lacks, 0,
                        (int)(sizeof bad_configs / sizeof bad_configs[0]));
    tcase_add_test(tc, says_that_json_is_too_deep);
    tcase_add_test(tc, announces_gpt_oss_for_later);
    tcase_add_test(tc, lists_every_problem);
    tcase_add_test(tc, survives_memory_failure);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
