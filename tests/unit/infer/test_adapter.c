/* SPDX-License-Identifier: Apache-2.0 */
/* Opening adapters: what fits, what does not, and that the error lists all of it. */
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "infer/adapter.h"
#include "infer/adapter_in.h"
#include "model/safetensors.h"
#include "support/fail_alloc.h"
#include "support/suite.h"

#define LLAMA TKX_TEST_DATA "/models/llama"
#define PREFIX "base_model.model.model.layers."

static tkx__weights *weights;

static void open_weights(void)
{
    ck_assert_int_eq(tkx__weights_open(LLAMA, &weights, NULL), TKX_OK);
}

static void close_weights(void)
{
    tkx__weights_free(weights);
}

static float zeros[64 * 1024];

static tkx__tensor named(const char *name, size_t rows, size_t cols)
{
    return (tkx__tensor){.name = name, .n_dims = 2, .dims = {rows, cols}, .data = zeros};
}

/* Open an adapter of these tensors and this config. */
static tkx_status parse(const char *config, const tkx__tensor *tensors, size_t n,
                        tkx__adapter **out, tkx_error **err)
{
    tkx__buf file;
    tkx_status st;

    tkx__buf_init(&file, 1 << 24);
    ck_assert_int_eq(
        tkx__safetensors_write(tensors, n, NULL, 0, tkx__write_to_buf, &file, NULL),
        TKX_OK);
    st = tkx__adapter_parse(config, strlen(config), file.data, file.size, "test", weights,
                            out, err);
    tkx__buf_clear(&file);
    return st;
}

/* Of some layers, and of all. */
static const char plain[] = "{\"r\":4,\"lora_alpha\":8,\"layers_to_transform\":[1]}";
static const char whole[] = "{\"r\":4,\"lora_alpha\":8}";

static void expect_says(tkx_error *err, const char *says)
{
    ck_assert_msg(strstr(tkx_error_message(err), says), "no '%s' in: %s", says,
                  tkx_error_message(err));
}

START_TEST(takes_a_pair)
{
    tkx__tensor pair[] = {named(PREFIX "1.attn.k_proj.lora_A.weight", 4, 64),
                          named("model.layers.1.self_attn.k_proj.lora_B.weight", 32, 4)};
    tkx__adapter *a;

    ck_assert_int_eq(parse(plain, pair, 2, &a, NULL), TKX_OK);
    ck_assert_uint_eq(tkx__adapter_get_info(a).n_matrices, 1);
    ck_assert_float_eq(tkx__adapter_scale(a), 2);
    ck_assert_ptr_nonnull(tkx__adapter_find(a, 1, TKX__MAT_K, 0));
    ck_assert_ptr_null(tkx__adapter_find(a, 0, TKX__MAT_K, 0));
    ck_assert_ptr_null(tkx__adapter_head(a));
    ck_assert_ptr_eq(tkx__adapter_ref(a), a);
    tkx__adapter_unref(a);
    tkx__adapter_unref(a);
}
END_TEST

static tkx__tensor of_experts(const char *name, size_t first, size_t rows, size_t cols)
{
    return (tkx__tensor){
        .name = name, .n_dims = 3, .dims = {first, rows, cols}, .data = zeros};
}

static void open_experts(void)
{
    close_weights();
    ck_assert_int_eq(
        tkx__weights_open(TKX_TEST_DATA "/models/qwen3moe-nonorm", &weights, NULL),
        TKX_OK);
}

/* A or B may be shared by all experts; both are an error, in either order. */
START_TEST(shares_one_of_a_and_b)
{
    static const char a_name[] = PREFIX "0.mlp.experts.w1.lora_A.weight";
    static const char b_name[] = PREFIX "0.mlp.experts.w1.lora_B.weight";
    tkx__tensor pair[] = {of_experts(a_name, 1, 4, 64), of_experts(b_name, 4, 48, 4)};
    tkx__tensor other[] = {of_experts(b_name, 1, 48, 4), of_experts(a_name, 4, 4, 64)};
    tkx__tensor both[] = {of_experts(b_name, 1, 48, 4), of_experts(a_name, 1, 4, 64)};
    tkx__adapter *a;
    tkx_error *err = NULL;

    open_experts();
    ck_assert_int_eq(parse(plain, pair, 2, &a, NULL), TKX_OK);
    ck_assert_uint_eq(tkx__adapter_get_info(a).n_matrices, 4);
    tkx__adapter_unref(a);
    ck_assert_int_eq(parse(plain, other, 2, &a, NULL), TKX_OK);
    tkx__adapter_unref(a);
    ck_assert_int_eq(parse(plain, both, 2, &a, &err), TKX_ERR_INVALID_ARGUMENT);
    expect_says(err, "both have a first dimension of 1");
    tkx_error_free(err);
}
END_TEST

/* Empty tensors stand for what was not trained, also where the base has no experts. */
START_TEST(passes_over_place_holders)
{
    tkx__tensor tensors[] = {named(PREFIX "0.self_attn.k_proj.lora_A.weight", 4, 64),
                             named(PREFIX "0.self_attn.k_proj.lora_B.weight", 32, 4),
                             of_experts(PREFIX "0.mlp.experts.w1.lora_A.weight", 0, 0, 0),
                             of_experts(PREFIX "1.mlp.experts.w1.lora_A.weight", 0, 0, 0),
                             named(PREFIX "9.mlp.up_proj.lora_A.weight", 0, 0)};
    tkx__adapter *a;
    tkx_error *err = NULL;

    open_experts();
    ck_assert_int_eq(parse(plain, tensors, 4, &a, NULL), TKX_OK);
    ck_assert_uint_eq(tkx__adapter_get_info(a).n_matrices, 1);
    tkx__adapter_unref(a);
    ck_assert_int_eq(parse(plain, tensors, 5, &a, &err), TKX_ERR_INVALID_ARGUMENT);
    expect_says(err, "layers.9.mlp");
    tkx_error_free(err);
}
END_TEST

/* A layer, or one expert, without what the others have: unless the config picks layers,
   or an empty tensor stands there. */
START_TEST(misses_what_other_layers_have)
{
    tkx__tensor pair[] = {named(PREFIX "0.self_attn.k_proj.lora_A.weight", 4, 64),
                          named(PREFIX "0.self_attn.k_proj.lora_B.weight", 32, 4),
                          named(PREFIX "1.self_attn.k_proj.lora_A.weight", 0, 0)};
    tkx__tensor expert[] = {named(PREFIX "0.mlp.experts.2.up_proj.lora_A.weight", 4, 64),
                            named(PREFIX "0.mlp.experts.2.up_proj.lora_B.weight", 48, 4)};
    tkx__adapter *a;
    tkx_error *err = NULL;

    ck_assert_int_eq(parse(whole, pair, 2, &a, &err), TKX_ERR_INVALID_ARGUMENT);
    expect_says(err, "layers.1.k_proj: is missing");
    tkx_error_free(err);
    err = NULL;
    ck_assert_int_eq(parse(plain, pair, 2, &a, NULL), TKX_OK);
    tkx__adapter_unref(a);
    ck_assert_int_eq(parse(whole, pair, 3, &a, NULL), TKX_OK);
    tkx__adapter_unref(a);
    open_experts();
    ck_assert_int_eq(parse(whole, expert, 2, &a, &err), TKX_ERR_INVALID_ARGUMENT);
    expect_says(err, "layers.0.experts.3.up_proj: is missing");
    ck_assert_ptr_null(strstr(tkx_error_message(err), "layers.0.experts.2.up_proj"));
    tkx_error_free(err);
}
END_TEST

START_TEST(lists_everything_that_does_not_fit)
{
    tkx__tensor bad[] = {
        named(PREFIX "0.self_attn.q_proj.lora_A.weight", 4, 63),
        named(PREFIX "0.self_attn.q_proj.lora_B.weight", 64, 4),
        named(PREFIX "7.self_attn.q_proj.lora_A.weight", 4, 64),
        named(PREFIX "0.mlp.experts.0.up_proj.lora_A.weight", 4, 64),
        named(PREFIX "0.self_attn.w_proj.lora_A.weight", 4, 64),
        named(PREFIX "0.mlp.up_proj.lora_B.weight", 160, 4),
        named("base_model.model.model.embed_tokens.lora_embedding_A", 4, 336),
        named("base_model.model.lm_head.lora_A.weight", 4, 64),
        named("base_model.model.lm_head.lora_B.weight", 335, 4),
    };
    tkx__adapter *a;
    tkx_error *err = NULL;

    ck_assert_int_eq(
        parse("{\"r\":4,\"lora_alpha\":8,\"use_dora\":true,\"bias\":\"all\"}", bad, 9, &a,
              &err),
        TKX_ERR_INVALID_ARGUMENT);
    expect_says(err, "has shape [4, 63], needs [4, 64]");
    expect_says(err, "layers.7.self_attn.q_proj.lora_A.weight: is not used");
    expect_says(err, "experts.0.up_proj.lora_A.weight: is not used: the base");
    expect_says(err, "w_proj.lora_A.weight: is not used: no adapter tensor");
    expect_says(err, "layers.0.up_proj: has a lora_B and no lora_A");
    expect_says(err, "lora_embedding_A: is not used");
    expect_says(err, "has shape [335, 4], needs [336, 4]");
    expect_says(err, "use_dora");
    expect_says(err, "bias is all");
    ck_assert_ptr_null(strstr(tkx_error_message(err), "q_proj: has a")); /* it has both */
    ck_assert_ptr_null(strstr(tkx_error_message(err), "has a lora_A and no"));
    tkx_error_free(err);
}
END_TEST

static const struct config_case {
    const char *text;
    const char *says; /* NULL: accepted */
} configs[] = {
    {"{\"r\":4,\"lora_alpha\":32.0,\"use_dora\":false,\"rank_pattern\":{},\"modules_to_"
     "save\":null,"
     "\"bias\":\"none\",\"target_modules\":\"all-linear\",\"init_lora_weights\":"
     "\"gaussian\"}",
     NULL},
    {"{\"r\":4}", "lora_alpha"},
    {"{\"lora_alpha\":4}", "r is not a rank"},
    {"{\"r\":0,\"lora_alpha\":4}", "r is not a rank"},
    {"{\"r\":4.5,\"lora_alpha\":4}", "r is not a rank"},
    {"{\"r\":1e9,\"lora_alpha\":4}", "r is not a rank"},
    {"{\"r\":4,\"lora_alpha\":4,\"peft_type\":\"IA3\"}", "peft_type"},
    {"{\"r\":4,\"lora_alpha\":4,\"rank_pattern\":{\"q\":8}}", "rank_pattern"},
    {"{\"r\":4,\"lora_alpha\":4,\"alpha_pattern\":{\"q\":8}}", "alpha_pattern"},
    {"{\"r\":4,\"lora_alpha\":4,\"modules_to_save\":[\"lm_head\"]}", "modules_to_save"},
    {"{\"r\":4,\"lora_alpha\":4,\"layer_replication\":[[0,1]]}", "layer_replication"},
    {"{\"r\":4,\"lora_alpha\":4,\"init_lora_weights\":\"pissa_niter_4\"}", "pissa"},
    {"{\"r\":4,\"lora_alpha\":4,\"use_whatever\":true}", "use_whatever"},
    {"{\"r\":4,\"lora_alpha\":4,\"fan_in_fan_out\":true}", "fan_in_fan_out"},
    {"{\"r\":4,\"lora_alpha\":4,\"target_modules\":[\"k_proj\",\"lm_head\"]}",
     "lm_head: is named in target_modules"},
    {"{\"r\":4,\"lora_alpha\":4,\"target_modules\":[\"k_proj\"]}", NULL},
    {"[]", "object"},
};

START_TEST(reads_configs)
{
    tkx__tensor pairs[] = {named(PREFIX "0.self_attn.k_proj.lora_A.weight", 4, 64),
                           named(PREFIX "0.self_attn.k_proj.lora_B.weight", 32, 4),
                           named(PREFIX "1.self_attn.k_proj.lora_A.weight", 4, 64),
                           named(PREFIX "1.self_attn.k_proj.lora_B.weight", 32, 4)};
    tkx__adapter *a = NULL;
    tkx_error *err = NULL;
    tkx_status st = parse(configs[_i].text, pairs, 4, &a, &err);

    if (configs[_i].says) {
        ck_assert_int_ne(st, TKX_OK);
        expect_says(err, configs[_i].says);
    } else {
        ck_assert_msg(st == TKX_OK, "%s", tkx_error_message(err));
    }
    tkx_error_free(err);
    tkx__adapter_unref(a);
}
END_TEST

START_TEST(parses_names)
{
    adapter_name n;

    ck_assert(tkx__adapter_name_parse(PREFIX "12.mlp.experts.w2.lora_B.weight", &n));
    ck_assert(n.module == ADAPTER_ALL_EXPERTS && n.matrix == TKX__MAT_DOWN && n.is_b &&
              n.layer == 12);
    ck_assert(
        tkx__adapter_name_parse(PREFIX "3.mlp.experts.17.gate_proj.lora_A.weight", &n));
    ck_assert(n.has_expert && n.expert == 17 && n.matrix == TKX__MAT_GATE && !n.is_b);
    ck_assert(tkx__adapter_name_parse(
        "base_model.model.model.unembed_tokens.lora_A.weight", &n));
    ck_assert(n.module == ADAPTER_HEAD);
    ck_assert(
        !tkx__adapter_name_parse(PREFIX "3.mlp.gate.lora_A.weight", &n)); /* the router */
    ck_assert(!tkx__adapter_name_parse(PREFIX "99999999.mlp.up_proj.lora_A.weight", &n));
    ck_assert(!tkx__adapter_name_parse(PREFIX "1.mlp.up_proj.lora_A.weight.x", &n));
    ck_assert(!tkx__adapter_name_parse(PREFIX "1.mlp.up_proj.lora_C.weight", &n));
    ck_assert(!tkx__adapter_name_parse("", &n));
}
END_TEST

START_TEST(survives_memory_failure)
{
    for (size_t n = 1;; n++) {
        tkx__adapter *a = NULL;
        int ended;

        fail_alloc_begin(n);
        tkx__adapter_open(LLAMA "/adapters/r4", weights, &a, NULL);
        ended = !fail_alloc_hit();
        ck_assert_int_eq(a != NULL, ended);
        tkx__adapter_unref(a);
        ck_assert_int_eq(fail_alloc_end(), 0);
        if (ended)
            break;
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("adapter");
    TCase *tc = tcase_create("adapter");

    tcase_add_checked_fixture(tc, open_weights, close_weights);
    tcase_add_test(tc, takes_a_pair);
    tcase_add_test(tc, shares_one_of_a_and_b);
    tcase_add_test(tc, passes_over_place_holders);
    tcase_add_test(tc, misses_what_other_layers_have);
    tcase_add_test(tc, lists_everything_that_does_not_fit);
    tcase_add_loop_test(tc, reads_configs, 0, (int)(sizeof configs / sizeof configs[0]));
    tcase_add_test(tc, parses_names);
    tcase_add_test(tc, survives_memory_failure);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
