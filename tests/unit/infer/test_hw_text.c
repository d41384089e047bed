/* SPDX-License-Identifier: Apache-2.0 */
/* What tkx doctor says aloud about machines that are not this one. */
#include <stdlib.h>
#include <string.h>

#include "cli/hw_text.h"
#include "support/suite.h"

static char text[256];

static int warns(const char *features, const char *kernels, tkx_hw_kernels_state state)
{
    tkx_hw_info info = TKX_HW_INFO_INIT;

    strcpy(info.features, features);
    info.n_kernels = 1;
    info.kernels[0] = (tkx_hw_kernels){kernels, state};
    return hw_warning(&info, 0, text, sizeof text);
}

START_TEST(sets_that_the_build_lacks)
{
    ck_assert_int_eq(warns("avx avx2 fma", "avx2", TKX_HW_KERNELS_NOT_BUILT), 1);
    ck_assert_ptr_nonnull(strstr(text, "this CPU has avx2, this build has no kernels"));
    ck_assert_int_eq(warns("avx2 avx512bw", "avx512", TKX_HW_KERNELS_NOT_BUILT), 1);
    ck_assert_int_eq(warns("avx avx512f", "avx512", TKX_HW_KERNELS_NOT_BUILT), 0);
    ck_assert_int_eq(warns("avx512vnni", "avx512vnni", TKX_HW_KERNELS_NOT_BUILT), 1);
    ck_assert_int_eq(warns("avx avx2", "neon", TKX_HW_KERNELS_NOT_BUILT), 0);
    ck_assert_int_eq(warns("avx2x", "avx2", TKX_HW_KERNELS_NOT_BUILT), 0);
}
END_TEST

START_TEST(unverified_and_plain_sets)
{
    ck_assert_int_eq(warns("avx512bw", "avx512", TKX_HW_KERNELS_UNVERIFIED), 1);
    ck_assert_ptr_nonnull(strstr(text, "unverified"));
    ck_assert_ptr_nonnull(strstr(text, "TKX_KERNELS=avx512"));
    ck_assert_int_eq(warns("", "scalar", TKX_HW_KERNELS_USED), 1);
    ck_assert_int_eq(warns("", "scalar", TKX_HW_KERNELS_AVAILABLE), 0);
    ck_assert_int_eq(warns("avx2", "avx2", TKX_HW_KERNELS_USED), 0);
    ck_assert_int_eq(warns("", "avx2", TKX_HW_KERNELS_NO_CPU), 0);
}
END_TEST

START_TEST(a_choice_that_is_not_to_be_had)
{
    tkx_hw_info info = TKX_HW_INFO_INIT;

    setenv("TKX_KERNELS", "avx9", 1);
    info.n_kernels = 1;
    info.kernels[0] = (tkx_hw_kernels){"avx2", TKX_HW_KERNELS_AVAILABLE};
    ck_assert_int_eq(hw_warning(&info, 1, text, sizeof text), 1);
    ck_assert_ptr_nonnull(strstr(text, "TKX_KERNELS=avx9"));
    info.kernels[0].state = TKX_HW_KERNELS_USED;
    ck_assert_int_eq(hw_warning(&info, 1, text, sizeof text), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hw text");
    TCase *tc = tcase_create("hw text");

    tcase_add_test(tc, sets_that_the_build_lacks);
    tcase_add_test(tc, unverified_and_plain_sets);
    tcase_add_test(tc, a_choice_that_is_not_to_be_had);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
