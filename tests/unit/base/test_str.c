/* SPDX-License-Identifier: Apache-2.0 */
/* test_str.c - strict numbers, base64, UTF-8. */
#include <string.h>

#include "base/str.h"
#include "support/suite.h"

START_TEST(numbers_are_strict)
{
    int64_t i;
    uint64_t u;
    double d;

    ck_assert(tkx__parse_i64("-9223372036854775808", &i) && i == INT64_MIN);
    ck_assert(!tkx__parse_i64("9223372036854775808", &i));
    ck_assert(tkx__parse_u64("18446744073709551615", &u) && u == UINT64_MAX);
    ck_assert(!tkx__parse_u64("18446744073709551616", &u));
    ck_assert(!tkx__parse_i64("", &i) && !tkx__parse_i64(" 1", &i) &&
              !tkx__parse_i64("1x", &i) && !tkx__parse_i64("-", &i));
    ck_assert(tkx__parse_f64("-1.5e3", &d) && d == -1500);
    ck_assert(!tkx__parse_f64("1e", &d) && !tkx__parse_f64("nan", &d) &&
              !tkx__parse_f64("0x10", &d));
}
END_TEST

START_TEST(base64_both_ways)
{
    static const struct {
        const char *bytes, *text;
    } cases[] = {
        {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"\xff\xfe", "//4="}};
    char out[16];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t n = strlen(cases[i].bytes);
        size_t m = strlen(cases[i].text);

        ck_assert_uint_eq(tkx__base64_size(n), m);
        tkx__base64_encode(cases[i].bytes, n, out);
        ck_assert_mem_eq(out, cases[i].text, m);
        ck_assert_int_eq(tkx__base64_decode(cases[i].text, m, out), (ptrdiff_t)n);
        ck_assert_mem_eq(out, cases[i].bytes, n);
    }
    ck_assert_int_eq(tkx__base64_decode("__4", 3, out), 2); /* URL-safe, unpadded */
    ck_assert_int_eq(tkx__base64_decode("A", 1, out), -1);
    ck_assert_int_eq(tkx__base64_decode("A*==", 4, out), -1);
}
END_TEST

START_TEST(utf8_prefix_stops_at_the_first_bad_byte)
{
    ck_assert_uint_eq(tkx__utf8_valid_prefix("a\xC3\xA9\xF0\x9F\x98\x80", 7), 7);
    ck_assert_uint_eq(tkx__utf8_valid_prefix("a\xC0\x80", 3), 1);    /* overlong */
    ck_assert_uint_eq(tkx__utf8_valid_prefix("\xED\xA0\x80", 3), 0); /* surrogate */
    ck_assert_uint_eq(tkx__utf8_valid_prefix("ab\xE2\x82", 4), 2);   /* cut */
    ck_assert_uint_eq(tkx__utf8_valid_prefix("\xF4\x90\x80\x80", 4), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("str");
    TCase *tc = tcase_create("str");

    tcase_add_test(tc, numbers_are_strict);
    tcase_add_test(tc, base64_both_ways);
    tcase_add_test(tc, utf8_prefix_stops_at_the_first_bad_byte);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
