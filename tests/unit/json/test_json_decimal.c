/* SPDX-License-Identifier: Apache-2.0 */
/* test_json_decimal.c - reading equals strtod, printing reads back and is shortest. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/suite.h"
#include "json/decimal.h"

static uint64_t state = 88172645463325252U;

static uint64_t next_random(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static double f64_of(uint64_t bits)
{
    double v;

    memcpy(&v, &bits, sizeof v);
    return v;
}

static float f32_of(uint32_t bits)
{
    float v;

    memcpy(&v, &bits, sizeof v);
    return v;
}

static int digits_of(const char *text)
{
    char digits[64];
    size_t n = 0;

    for (; *text && *text != 'e'; text++)
        if (*text >= '0' && *text <= '9' && (n || *text != '0'))
            digits[n++] = *text;
    while (n && digits[n - 1] == '0')
        n--;
    return (int)n;
}

static void check_f64(double v)
{
    char text[TKX__DECIMAL_MAX + 1];
    char shorter[64];
    size_t n = tkx__decimal_print_f64(v, text);
    int digits;

    ck_assert_uint_le(n, TKX__DECIMAL_MAX);
    text[n] = '\0';
    ck_assert_msg(strtod(text, NULL) == v && signbit(strtod(text, NULL)) == signbit(v),
                  "%a printed as %s", v, text);
    digits = digits_of(text);
    if (digits > 1) {
        snprintf(shorter, sizeof shorter, "%.*e", digits - 2, v);
        ck_assert_msg(strtod(shorter, NULL) != v, "%s is longer than %s", text, shorter);
    }
}

static void check_f32(float v)
{
    char text[TKX__DECIMAL_MAX + 1];
    char shorter[64];
    size_t n = tkx__decimal_print_f32(v, text);
    int digits;

    ck_assert_uint_le(n, TKX__DECIMAL_MAX);
    text[n] = '\0';
    ck_assert_msg(strtof(text, NULL) == v && (float)strtod(text, NULL) == v &&
                      signbit(strtof(text, NULL)) == signbit(v),
                  "%a printed as %s", (double)v, text);
    digits = digits_of(text);
    if (digits > 1) {
        snprintf(shorter, sizeof shorter, "%.*e", digits - 2, (double)v);
        ck_assert_msg(strtof(shorter, NULL) != v, "%s is longer than %s", text, shorter);
    }
}

START_TEST(printed_doubles_read_back_and_are_shortest)
{
    static const double edges[] = {0.0,
                                   -0.0,
                                   1.0,
                                   -1.0,
                                   0.1,
                                   0.3,
                                   1e-12,
                                   5e-324,
                                   1e23,
                                   9e15,
                                   1e16,
                                   1e15,
                                   1e22,
                                   1e21,
                                   2e-308,
                                   1e-5,
                                   1e-4,
                                   123456.789,
                                   9007199254740993.0,
                                   1.7976931348623157e308,
                                   2.2250738585072014e-308,
                                   0.10000000149011612};

    for (size_t i = 0; i < sizeof edges / sizeof *edges; i++)
        check_f64(edges[i]);
    for (uint64_t e = 0; e < 2047; e++) /* powers of two and their neighbours */
        for (int d = -1; d <= 1; d++)
            check_f64(f64_of((e << 52) + (uint64_t)d) ==
                                  f64_of((e << 52) + (uint64_t)d) &&
                              isfinite(f64_of((e << 52) + (uint64_t)d))
                          ? f64_of((e << 52) + (uint64_t)d)
                          : 0.0);
    for (int i = 0; i < 50000; i++) {
        double v = f64_of(next_random());

        if (isfinite(v))
            check_f64(v);
    }
}
END_TEST

START_TEST(printed_floats_read_back_and_are_shortest)
{
    for (uint32_t e = 0; e < 255; e++)
        for (uint32_t f = 0; f < 4; f++) {
            check_f32(f32_of(e << 23 | f));
            check_f32(f32_of(e << 23 | (0x7FFFFF - f)));
        }
    for (int i = 0; i < 50000; i++) {
        float v = f32_of((uint32_t)next_random());

        if (isfinite(v))
            check_f32(v);
    }
    check_f32(-0.0f);
    check_f32(16777216.0f);
    check_f32(33554430.0f);
}
END_TEST

START_TEST(texts_are_the_usual_ones)
{
    static const struct {
        double v;
        const char *text;
    } cases[] = {
        {1, "1.0"},           {0, "0.0"},         {-0.0, "-0.0"},
        {1e-12, "1e-12"},     {0.0001, "0.0001"}, {1e16, "1e16"},
        {1.5e300, "1.5e300"}, {-2.5, "-2.5"},     {1e15, "1000000000000000.0"},
        {0.95, "0.95"},       {5e-324, "5e-324"}, {0.00001, "1e-5"},
    };
    char text[TKX__DECIMAL_MAX + 1];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        text[tkx__decimal_print_f64(cases[i].v, text)] = '\0';
        ck_assert_str_eq(text, cases[i].text);
    }
    text[tkx__decimal_print_f32(0.1f, text)] = '\0';
    ck_assert_str_eq(text, "0.1");
    text[tkx__decimal_print_u64(UINT64_MAX, text)] = '\0';
    ck_assert_str_eq(text, "18446744073709551615");
    text[tkx__decimal_print_i64(INT64_MIN, text)] = '\0';
    ck_assert_str_eq(text, "-9223372036854775808");
    for (uint64_t p = 1, i = 0; i < 19; i++, p *= 10) {
        char want[32];

        for (uint64_t d = 0; d < 3; d++) {
            snprintf(want, sizeof want, "%llu", (unsigned long long)(p + d - 1));
            text[tkx__decimal_print_u64(p + d - 1, text)] = '\0';
            ck_assert_str_eq(text, want);
        }
    }
}
END_TEST

START_TEST(reading_equals_strtod)
{
    char text[64];

    for (int i = 0; i < 50000; i++) {
        uint64_t w = next_random() >> (next_random() % 64);
        int q = (int)(next_random() % 700) - 360;
        double want;

        snprintf(text, sizeof text, "%llue%d", (unsigned long long)w, q);
        want = strtod(text, NULL);
        ck_assert_msg(tkx__decimal_to_f64(w, q) == want, "%s: %a, not %a", text,
                      tkx__decimal_to_f64(w, q), want);
    }
    for (int i = 0; i < 50000; i++) { /* near half way: 17 digits of real doubles */
        double v = f64_of(next_random() & ~(UINT64_C(1) << 63));
        unsigned long long w;
        int q;

        if (!isfinite(v) || v == 0)
            continue;
        snprintf(text, sizeof text, "%.16e", v);
        w = (unsigned long long)(text[0] - '0');
        for (int k = 2; k < 18; k++)
            w = w * 10 + (unsigned long long)(text[k] - '0');
        q = atoi(strchr(text, 'e') + 1) - 16;
        ck_assert(tkx__decimal_to_f64(w, q) == v);
    }
    ck_assert(tkx__decimal_to_f64(1, INT64_MAX) == INFINITY);
    ck_assert(tkx__decimal_to_f64(1, INT64_MIN) == 0);
    ck_assert(tkx__decimal_to_f64(9007199254740993, 0) == 9007199254740992.0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("json decimal");
    TCase *tc = tcase_create("all");

    tcase_add_test(tc, printed_doubles_read_back_and_are_shortest);
    tcase_add_test(tc, printed_floats_read_back_and_are_shortest);
    tcase_add_test(tc, texts_are_the_usual_ones);
    tcase_add_test(tc, reading_equals_strtod);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
