/* SPDX-License-Identifier: Apache-2.0 */
/* test_options.c - structs of options older and newer than the library. */
#include <stddef.h>
#include <string.h>

#include "base/options.h"
#include "support/suite.h"

typedef struct thing_options {
    size_t struct_size;
    int first;
    int second;
} thing_options;

typedef struct newer_options {
    thing_options old;
    int third[4];
} newer_options;

START_TEST(null_keeps_the_defaults)
{
    thing_options to = {sizeof to, 1, 2};

    ck_assert_int_eq(tkx__options_overlay(&to, sizeof to, NULL, "thing", NULL), TKX_OK);
    ck_assert_int_eq(to.second, 2);
}
END_TEST

START_TEST(shorter_struct_leaves_later_fields_alone)
{
    thing_options to = {sizeof to, 1, 2};
    thing_options from = {offsetof(thing_options, second), 5, 6};

    ck_assert_int_eq(tkx__options_overlay(&to, sizeof to, &from, "thing", NULL), TKX_OK);
    ck_assert_int_eq(to.first, 5);
    ck_assert_int_eq(to.second, 2);
    ck_assert_uint_eq(to.struct_size, sizeof to);
}
END_TEST

START_TEST(longer_struct_must_be_zero_in_the_tail)
{
    thing_options to = {sizeof to, 1, 2};
    newer_options from = {{sizeof from, 5, 6}, {0}};
    tkx_error *error = NULL;

    ck_assert_int_eq(tkx__options_overlay(&to, sizeof to, &from, "thing", NULL), TKX_OK);
    ck_assert_int_eq(to.second, 6);
    from.third[3] = 1;
    ck_assert_int_eq(tkx__options_overlay(&to, sizeof to, &from, "thing", &error),
                     TKX_ERR_INVALID_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(tkx_error_message(error), "newer tkx"));
    tkx_error_free(error);
}
END_TEST

START_TEST(size_zero_names_the_macro)
{
    thing_options to = {sizeof to, 1, 2};
    thing_options from = {0, 5, 6};
    tkx_error *error = NULL;

    ck_assert_int_eq(tkx__options_overlay(&to, sizeof to, &from, "thing", &error),
                     TKX_ERR_INVALID_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(tkx_error_message(error), "_INIT"));
    tkx_error_free(error);
    ck_assert_int_eq(to.first, 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("options");
    TCase *tc = tcase_create("options");

    tcase_add_test(tc, null_keeps_the_defaults);
    tcase_add_test(tc, shorter_struct_leaves_later_fields_alone);
    tcase_add_test(tc, longer_struct_must_be_zero_in_the_tail);
    tcase_add_test(tc, size_zero_names_the_macro);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
