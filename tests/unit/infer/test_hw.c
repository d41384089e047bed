/* SPDX-License-Identifier: Apache-2.0 */
/* test_hw.c - the machine is described plausibly; kernels are named with a state. */
#include <string.h>

#include <check.h>

#include <tkx/hw.h>

#include "infer/hw_limits.h"
#include "support/suite.h"

START_TEST(figures_are_plausible)
{
    tkx_hw_info info = TKX_HW_INFO_INIT;
    int n_used = 0;

    ck_assert_int_eq(tkx_hw_probe(0, &info, NULL), TKX_OK);
    ck_assert_uint_ge(info.n_usable_cpus, 1);
    ck_assert_uint_le(info.memory_limit_bytes, info.memory_bytes);
    ck_assert_uint_le(info.memory_available_bytes, info.memory_limit_bytes);
    ck_assert(info.read_bytes_per_s == 0); /* not asked for */
    for (size_t i = 0; i < info.n_kernels; i++) {
        n_used += info.kernels[i].state == TKX_HW_KERNELS_USED;
        if (strcmp(info.kernels[i].name, "scalar") == 0)
            ck_assert_int_le((int)info.kernels[i].state, TKX_HW_KERNELS_AVAILABLE);
    }
    ck_assert_int_eq(n_used, 1);
}
END_TEST

START_TEST(a_margin_is_left)
{
    const uint64_t gib = (uint64_t)1 << 30;

    ck_assert_uint_eq(tkx__hw_memory_room(0), 0);
    ck_assert_uint_eq(tkx__hw_memory_room(5 * gib), 5 * gib - gib / 2);
    ck_assert_uint_eq(tkx__hw_memory_room(16 * gib), 15 * gib);
    ck_assert_uint_eq(tkx__hw_memory_room(100 * gib), 95 * gib);
}
END_TEST

START_TEST(bandwidth_when_asked)
{
    tkx_hw_info info = TKX_HW_INFO_INIT;

    ck_assert_int_eq(tkx_hw_probe(TKX_HW_MEASURE, &info, NULL), TKX_OK);
    ck_assert(info.read_bytes_per_s > 0);
}
END_TEST

/* A caller built with a shorter struct gets what fits; one without a size, an error. */
START_TEST(struct_size_is_respected)
{
    tkx_hw_info info;
    tkx_error *err = NULL;

    memset(&info, 0x55, sizeof info);
    info.struct_size = offsetof(tkx_hw_info, features);
    ck_assert_int_eq(tkx_hw_probe(0, &info, NULL), TKX_OK);
    ck_assert_int_eq(info.features[0], 0x55);
    info.struct_size = 0;
    ck_assert_int_eq(tkx_hw_probe(0, &info, &err), TKX_ERR_INVALID_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(tkx_error_message(err), "TKX_HW_INFO_INIT"));
    tkx_error_free(err);
}
END_TEST

START_TEST(a_missing_model_is_not_found)
{
    tkx_hw_info info = TKX_HW_INFO_INIT;
    tkx_hw_fit fits[TKX_HW_MAX_FITS];
    size_t n;

    ck_assert_int_eq(tkx_hw_probe(0, &info, NULL), TKX_OK);
    ck_assert_int_eq(tkx_hw_fit_model("/nonexistent/x.gguf", &info, fits, &n, NULL),
                     TKX_ERR_NOT_FOUND);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("hw");
    Suite *s = suite_create("hw");

    tcase_add_test(tc, figures_are_plausible);
    tcase_add_test(tc, a_margin_is_left);
    tcase_add_test(tc, bandwidth_when_asked);
    tcase_add_test(tc, struct_size_is_respected);
    tcase_add_test(tc, a_missing_model_is_not_found);
    suite_add_tcase(s, tc);
    return run_suite(s);
}
