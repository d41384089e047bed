/* SPDX-License-Identifier: Apache-2.0 */
/* test_header_set.c - header lines chained for libcurl. */
#include "net/header_set.h"
#include "support/fail_alloc.h"
#include "support/suite.h"

START_TEST(joins_lines_and_chains_them)
{
    const tkx__header headers[] = {
        {"X-First", "0"}, {"Accept", "x/y"}, {"X-Empty", ""}, {"x-last", "1"}};
    tkx__header_set *set = tkx__header_set_new(headers, 4);
    const struct curl_slist *list = tkx__header_set_list(set);

    ck_assert_uint_eq(tkx__header_set_count(set), 4);
    ck_assert_str_eq(tkx__header_set_line(set, 1), "Accept: x/y");
    ck_assert_str_eq(list->data, "X-First: 0\r\nx-last: 1");
    ck_assert_str_eq(list->next->data, "X-Empty;"); /* libcurl sends "X-Empty:" */
    ck_assert_str_eq(list->next->next->data, "Accept: x/y");
    ck_assert_ptr_null(list->next->next->next);
    tkx__header_set_unref(tkx__header_set_ref(set));
    ck_assert_str_eq(tkx__header_set_line(set, 3), "x-last: 1");
    tkx__header_set_unref(set);
    tkx__header_set_unref(NULL);
}
END_TEST

START_TEST(empty_set_and_short_memory)
{
    tkx__header_set *set = tkx__header_set_new(NULL, 0);

    ck_assert_ptr_null(tkx__header_set_list(set));
    tkx__header_set_unref(set);
    fail_alloc_begin(1);
    ck_assert_ptr_null(tkx__header_set_new(NULL, 0));
    ck_assert_int_eq(fail_alloc_end(), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("header_set");
    TCase *tc = tcase_create("header_set");

    tcase_add_test(tc, joins_lines_and_chains_them);
    tcase_add_test(tc, empty_set_and_short_memory);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
