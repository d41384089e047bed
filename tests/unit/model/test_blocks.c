/* SPDX-License-Identifier: Apache-2.0 */
/* Decoded blocks equal the recorded values bit for bit, for every type that is decoded.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/blocks.h"
#include "model/gguf.h"
#include "model/safetensors.h"
#include "support/suite.h"

static const char *const types[] = {"F16",  "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0",
                                    "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"};

static const tkx__tensor *of_type(const tkx__gguf *gguf, const char *type)
{
    const tkx__tensors *table = tkx__gguf_tensors(gguf);

    for (size_t i = 0; i < table->n; i++) {
        if (strcmp(tkx__dtype_name(table->items[i].dtype), type) == 0)
            return &table->items[i];
    }
    return NULL;
}

START_TEST(decodes_bit_for_bit)
{
    const char *type = types[_i];
    tkx__gguf *gguf;
    tkx__safetensors *ref;
    char name[64];
    float out[4 * 512];
    const tkx__tensor *stored;
    const tkx__tensor *want;
    const float *values;

    ck_assert_int_eq(
        tkx__gguf_open(TKX_TEST_DATA "/models/gguf/blocks.gguf", &gguf, NULL), TKX_OK);
    ck_assert_int_eq(tkx__safetensors_open(
                         TKX_TEST_DATA "/models/gguf/blocks.ref.safetensors", &ref, NULL),
                     TKX_OK);
    snprintf(name, sizeof name, "values.%s", type);
    stored = of_type(gguf, type);
    want = tkx__tensors_find(tkx__safetensors_tensors(ref), name);
    ck_assert_ptr_nonnull(stored);
    ck_assert_ptr_nonnull(want);
    ck_assert_uint_eq(stored->n_elements, 4 * 512);
    ck_assert_int_eq(tkx__tensor_to_f32(stored, 0, 4 * 512, out, NULL), TKX_OK);
    values = want->data;
    for (size_t i = 0; i < 4 * 512; i++) {
        if (isnan(values[i]) && isnan(out[i]))
            continue;
        ck_assert_msg(memcmp(&out[i], &values[i], 4) == 0,
                      "%s element %zu: %a, expected %a", type, i, (double)out[i],
                      (double)values[i]);
    }
    tkx__safetensors_free(ref);
    tkx__gguf_free(gguf);
}
END_TEST

/* Every half converts to float32 and back to itself. */
START_TEST(halves_survive_the_round_trip)
{
    for (uint32_t h = 0; h < 0x10000; h++) {
        float f = tkx__f16_to_f32((uint16_t)h);

        if (isnan(f))
            ck_assert(isnan(tkx__f16_to_f32(tkx__f32_to_f16(f))));
        else
            ck_assert_uint_eq(tkx__f32_to_f16(f), h);
        f = tkx__bf16_to_f32((uint16_t)h);
        if (!isnan(f))
            ck_assert_uint_eq(tkx__f32_to_bf16(f), h);
    }
}
END_TEST

START_TEST(rounds_to_nearest_even)
{
    ck_assert_uint_eq(tkx__f32_to_f16(0x1.002p0f), 0x3c00); /* half way: to even */
    ck_assert_uint_eq(tkx__f32_to_f16(0x1.006p0f), 0x3c02);
    ck_assert_uint_eq(tkx__f32_to_f16(0x1.00201p0f), 0x3c01);
    ck_assert_uint_eq(tkx__f32_to_f16(65519.0f), 0x7bff);
    ck_assert_uint_eq(tkx__f32_to_f16(65520.0f), 0x7c00); /* infinity */
    ck_assert_uint_eq(tkx__f32_to_f16(0x1p-25f), 0);      /* half of the least: to even */
    ck_assert_uint_eq(tkx__f32_to_f16(0x1.8p-25f), 1);
    ck_assert_uint_eq(tkx__f32_to_f16(-0x1p-40f), 0x8000);
    ck_assert_uint_eq(tkx__f32_to_bf16(0x1.01p0f), 0x3f80);
    ck_assert_uint_eq(tkx__f32_to_bf16(0x1.03p0f), 0x3f82);
}
END_TEST

START_TEST(refuses_what_is_no_whole_block)
{
    static const unsigned char bytes[34];
    tkx__tensor t = {
        .name = "t", .dtype = TKX__DTYPE_Q8_0, .n_dims = 1, .dims = {32}, .data = bytes};
    float out[32];

    ck_assert(tkx__tensor_measure(&t));
    ck_assert_uint_eq(t.size_bytes, 34);
    ck_assert_int_eq(tkx__tensor_to_f32(&t, 0, 32, out, NULL), TKX_OK);
    ck_assert_int_eq(tkx__tensor_to_f32(&t, 0, 33, out, NULL), TKX_ERR_INVALID_ARGUMENT);
    ck_assert_int_eq(tkx__tensor_to_f32(&t, 16, 16, out, NULL), TKX_ERR_INVALID_ARGUMENT);
    t.dims[0] = 31;
    ck_assert(!tkx__tensor_measure(&t));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("blocks");
    TCase *tc = tcase_create("blocks");

    tcase_add_loop_test(tc, decodes_bit_for_bit, 0,
                        (int)(sizeof types / sizeof types[0]));
    tcase_add_test(tc, halves_survive_the_round_trip);
    tcase_add_test(tc, rounds_to_nearest_even);
    tcase_add_test(tc, refuses_what_is_no_whole_block);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
