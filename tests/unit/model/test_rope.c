/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_rope.c - rotation and windows as config.json asks for them.
 *
 * Frequencies and magnitudes were computed in double by the library that writes these
 * files (its function for yarn, on the same parameters).
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/config.h"
#include "support/suite.h"

static tkx__model_config config;

static void read_config(const char *type, const char *keys)
{
    char text[1000];
    tkx_error *err = NULL;

    snprintf(text, sizeof text,
             "{\"model_type\":\"%s\",\"num_hidden_layers\":3,\"hidden_size\":64,"
             "\"num_attention_heads\":4,\"vocab_size\":10,\"intermediate_size\":8,"
             "\"head_dim\":16,\"max_position_embeddings\":512,\"num_experts\":2,"
             "\"num_experts_per_tok\":1,\"moe_intermediate_size\":8,%s}",
             type, keys);
    ck_assert_msg(tkx__config_from_json(text, strlen(text), NULL, 0, "config.json",
                                        &config, &err) == TKX_OK,
                  "%s", tkx_error_message(err));
}

static const struct rotation {
    const char *keys;
    double magnitude;
    size_t max_positions;
    double inv_freq[8];
} rotations[] = {
    {"\"rope_scaling\":{\"type\":\"yarn\",\"factor\":4.0,"
     "\"original_max_position_embeddings\":64}",
     1.138629436111989,
     512,
     {1, 0.237170825, 0.05, 0.00790569415, 0.0025, 0.000790569415, 0.00025,
      7.90569415e-05}},
    {"\"rope_parameters\":{\"rope_theta\":5000.0,\"rope_type\":\"yarn\",\"factor\":3.0,"
     "\"beta_fast\":8.0,\"beta_slow\":2.0,\"truncate\":false,"
     "\"original_max_position_embeddings\":100}",
     1.109861228866811,
     512,
     {1, 0.282361759, 0.0396402372, 0.0136698892, 0.00471404521, 0.00162563295,
      0.00056059761, 0.000193321427}},
    /* the original context is the whole one, 0 turns mean the default */
    {"\"rope_theta\":5000,\"rope_scaling\":{\"rope_type\":\"yarn\",\"factor\":3,"
     "\"mscale\":0.7,\"mscale_all_dim\":1.2,\"beta_fast\":0,\"beta_slow\":null}",
     0.9514675827635608,
     1536,
     {1, 0.298868981, 0.0872085218, 0.0246058005, 0.00659966329, 0.00162563295,
      0.00056059761, 0.000193321427}},
    /* without a factor it is the ratio of contexts; the key outside the object wins */
    {"\"rope_theta\":5000,\"original_max_position_embeddings\":64,"
     "\"rope_scaling\":{\"rope_type\":\"yarn\",\"attention_factor\":1.3,"
     "\"original_max_position_embeddings\":100}",
     1.3,
     512,
     {1, 0.244267917, 0.0495502965, 0.00512620844, 0.00176776695, 0.000609612355,
      0.000210224104, 7.2495535e-05}},
    /* a context so short that the ramp has no length */
    {"\"rope_theta\":1e6,\"rope_scaling\":{\"type\":\"yarn\",\"factor\":4,"
     "\"original_max_position_embeddings\":4}",
     1.138629436111989,
     512,
     {1, 0.0444569853, 0.00790569415, 0.00140585331, 0.00025, 4.44569853e-05,
      7.90569415e-06, 1.40585331e-06}},
};

START_TEST(scales_as_the_makers_do)
{
    const struct rotation *want = &rotations[_i];
    float inv_freq[8];

    read_config("qwen2", want->keys);
    tkx__rope_inv_freq(&config, inv_freq);
    ck_assert_double_eq_tol(config.rope.magnitude, want->magnitude, 1e-14);
    ck_assert_uint_eq(config.max_positions, want->max_positions);
    for (size_t i = 0; i < 8; i++)
        ck_assert_double_eq_tol((double)inv_freq[i], want->inv_freq[i],
                                1e-7 * want->inv_freq[i]);
}
END_TEST

static const struct window {
    const char *type;
    const char *keys;
    size_t size;
    bool layers[3];
} windows[] = {
    {"qwen2", "\"sliding_window\":8", 0, {false}},
    {"qwen2", "\"use_sliding_window\":true,\"sliding_window\":null", 0, {false}},
    {"qwen2",
     "\"use_sliding_window\":true,\"sliding_window\":8,\"max_window_layers\":1",
     8,
     {false, true, true}},
    {"qwen3", "\"use_sliding_window\":true", 4096, {false}}, /* from layer 28 on */
    {"qwen3",
     "\"use_sliding_window\":true,\"sliding_window\":8,\"layer_types\":"
     "[\"full_attention\",\"sliding_attention\",\"full_attention\"]",
     8,
     {false, true, false}},
    {"qwen3_moe", "\"use_sliding_window\":true", 4096, {true, true, true}},
    {"llama", "\"use_sliding_window\":true,\"sliding_window\":8", 0, {false}},
};

START_TEST(finds_the_layers_with_a_window)
{
    const struct window *want = &windows[_i];

    read_config(want->type, want->keys);
    ck_assert_uint_eq(config.sliding_window, want->size);
    for (size_t i = 0; i < 3; i++)
        ck_assert_int_eq(config.is_sliding[i], want->layers[i]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rope");
    TCase *tc = tcase_create("rope");

    tcase_add_loop_test(tc, scales_as_the_makers_do, 0,
                        (int)(sizeof rotations / sizeof rotations[0]));
    tcase_add_loop_test(tc, finds_the_layers_with_a_window, 0,
                        (int)(sizeof windows / sizeof windows[0]));
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
