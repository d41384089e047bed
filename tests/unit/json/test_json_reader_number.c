/* SPDX-License-Identifier: Apache-2.0 */
/* test_json_reader_number.c - exact integers, lenient floats, arrays of numbers. */
#include <math.h>
#include <string.h>

#include "support/suite.h"
#include "json/reader.h"

static tkx__arena arena;

static void set_up(void)
{
    tkx__arena_init(&arena, 256, 1 << 20);
}

static void tear_down(void)
{
    tkx__arena_clear(&arena);
}

static tkx__json_reader on(const char *text, unsigned flags)
{
    tkx__json_reader r;

    tkx__json_reader_init(&r, text, strlen(text), &arena, flags);
    return r;
}

START_TEST(integers_are_exact)
{
    static const struct {
        const char *text;
        int64_t value;
    } cases[] = {{"0", 0},
                 {"-0", 0},
                 {"9007199254740993", 9007199254740993},
                 {"9223372036854775807", INT64_MAX},
                 {"-9223372036854775808", INT64_MIN},
                 {"12.0", 12},
                 {"1e3", 1000}};
    int64_t v;
    uint64_t u;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tkx__json_reader r = on(cases[i].text, 0);

        ck_assert_msg(tkx__json_read_i64(&r, &v), "%s", cases[i].text);
        ck_assert_int_eq(v, cases[i].value);
    }
    tkx__json_reader r = on("18446744073709551615", 0);
    ck_assert(tkx__json_read_u64(&r, &u));
    ck_assert(u == UINT64_MAX);
}
END_TEST

START_TEST(integers_beyond_64_bits_are_refused)
{
    static const char *const bad[] = {"9223372036854775808",
                                      "-9223372036854775809",
                                      "1.5",
                                      "1e30",
                                      "18446744073709551616",
                                      "null",
                                      "\"1\""};
    int64_t v;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        tkx__json_reader r = on(bad[i], 0);

        ck_assert_msg(!tkx__json_read_i64(&r, &v), "%s", bad[i]);
    }
}
END_TEST

START_TEST(number_kinds_are_told_apart)
{
    tkx__json_number n;
    tkx__json_reader r = on("[1,18446744073709551615,18446744073709551616,1.0]", 0);
    int kinds[4] = {0};

    tkx__json_read_array(&r);
    for (int i = 0; i < 4; i++) {
        ck_assert(tkx__json_read_element(&r));
        ck_assert(tkx__json_read_number(&r, &n));
        kinds[i] = (int)n.kind;
    }
    ck_assert_int_eq(kinds[0], TKX__JSON_I64);
    ck_assert_int_eq(kinds[1], TKX__JSON_U64);
    ck_assert_int_eq(kinds[2], TKX__JSON_F64);
    ck_assert_int_eq(kinds[3], TKX__JSON_F64);
}
END_TEST

START_TEST(floats_read_like_strtod)
{
    static const struct {
        const char *text;
        double value;
    } cases[] = {{"0.1", 0.1},
                 {"1e-12", 1e-12},
                 {"123456789012345678901234567890", 123456789012345678901234567890.0},
                 {"0.000000000000000000000000012345678901234567", 1.2345678901234567e-26},
                 {"0.10000000149011612", 0.10000000149011612},
                 {"1e400", INFINITY},
                 {"1e-400", 0},
                 {"2.2250738585072011e-308", 2.2250738585072011e-308},
                 {"1e99999999999999999999", INFINITY}};
    double v;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tkx__json_reader r = on(cases[i].text, 0);

        ck_assert(tkx__json_read_f64(&r, &v));
        ck_assert_msg(v == cases[i].value, "%s: %a", cases[i].text, v);
    }
}
END_TEST

START_TEST(lenient_floats_are_an_option)
{
    static const char text[] = "[NaN,Infinity,-Infinity,null,\"NaN\",\"-Infinity\",1.5]";
    tkx__json_reader r = on(text, TKX__JSON_LENIENT);
    float *v;
    size_t n;

    ck_assert(tkx__json_read_f32s(&r, &v, &n));
    ck_assert_uint_eq(n, 7);
    ck_assert(isnan(v[0]) && isnan(v[3]) && isnan(v[4]));
    ck_assert(v[1] == INFINITY && v[2] == -INFINITY && v[5] == -INFINITY && v[6] == 1.5f);
    r = on(text, 0);
    ck_assert(!tkx__json_read_f32s(&r, &v, &n));
    r = on("[\"nope\"]", TKX__JSON_LENIENT);
    ck_assert(!tkx__json_read_f32s(&r, &v, &n));
}
END_TEST

/* Numbers as text, flags as words or numbers, numbers as flags; none of it unless asked
   for, and a value that is refused is not taken. */
START_TEST(lenient_scalars_wear_other_clothes)
{
    static const char text[] =
        "[\" -1.5 "
        "\",\"+inf\",true,\"12\",false,\"-9223372036854775808\",1,0,\"Yes\",\"oFF\"]";
    tkx__json_reader r = on(text, TKX__JSON_LENIENT);
    double d[3];
    int64_t v[3];
    bool b[4];

    ck_assert(tkx__json_read_array(&r));
    for (int i = 0; i < 3; i++)
        ck_assert(tkx__json_read_element(&r) && tkx__json_read_f64(&r, &d[i]));
    for (int i = 0; i < 3; i++)
        ck_assert(tkx__json_read_element(&r) && tkx__json_read_i64(&r, &v[i]));
    for (int i = 0; i < 4; i++) {
        ck_assert(tkx__json_read_element(&r));
        tkx__json_read_bool(&r, &b[i]);
    }
    ck_assert(!tkx__json_read_element(&r));
    ck_assert_int_eq(r.status, TKX_OK);
    ck_assert(d[0] == -1.5 && d[1] == INFINITY && d[2] == 1);
    ck_assert(v[0] == 12 && v[1] == 0 && v[2] == INT64_MIN);
    ck_assert(b[0] && !b[1] && b[2] && !b[3]);

    static const char *const no_numbers[] = {"\"\"",    "\"1x\"",  "\"0x1\"", "\"-\"",
                                             "\"+-1\"", "\"1 2\"", "[1]"};
    for (size_t i = 0; i < sizeof no_numbers / sizeof *no_numbers; i++) {
        r = on(no_numbers[i], TKX__JSON_LENIENT);
        ck_assert_msg(!tkx__json_read_i64(&r, &v[0]), "%s", no_numbers[i]);
        r = on(no_numbers[i], TKX__JSON_LENIENT);
        ck_assert_msg(!tkx__json_read_f64(&r, &d[0]), "%s", no_numbers[i]);
    }
    r = on("2", TKX__JSON_LENIENT);
    ck_assert(!tkx__json_read_bool(&r, &b[0]) && r.status != TKX_OK);
    r = on("\"12\"", 0);
    ck_assert(!tkx__json_read_i64(&r, &v[0]));
    r = on("1", 0);
    ck_assert(!tkx__json_read_bool(&r, &b[0]) && r.status != TKX_OK);
}
END_TEST

START_TEST(arrays_of_integers)
{
    tkx__json_reader r = on("[ 1, -2 ,3,1234567890123456789,-9223372036854775808]", 0);
    int64_t *v;
    int32_t *w;
    size_t n;

    ck_assert(tkx__json_read_i64s(&r, &v, &n));
    ck_assert_uint_eq(n, 5);
    ck_assert(v[0] == 1 && v[1] == -2 && v[2] == 3 && v[3] == 1234567890123456789 &&
              v[4] == INT64_MIN);
    r = on("[]", 0);
    ck_assert(tkx__json_read_i64s(&r, &v, &n));
    ck_assert_uint_eq(n, 0);
    r = on("[2147483648]", 0);
    ck_assert(!tkx__json_read_i32s(&r, &w, &n));
    r = on("[01]", 0);
    ck_assert(!tkx__json_read_i64s(&r, &v, &n));
    r = on("[1,[2]]", 0);
    ck_assert(!tkx__json_read_i64s(&r, &v, &n));
    r = on("[\"a]\",1,2,3]", 0);
    ck_assert(!tkx__json_read_i64s(&r, &v, &n));
}
END_TEST

START_TEST(arrays_do_not_outgrow_the_arena)
{
    tkx__arena small;
    tkx__json_reader r;
    double *v;
    size_t n;

    tkx__arena_init(&small, 64, 256);
    tkx__json_reader_init(&r,
                          "[1,2,3,4,5,6,7,8,9,1,2,3,4,5,6,7,8,9,1,2,3,4,5,6,7,8,9,1,2,3]",
                          62, &small, 0);
    while (tkx__arena_alloc(&small, 1, 32))
        ;
    ck_assert(!tkx__json_read_f64s(&r, &v, &n));
    ck_assert_int_eq(tkx__json_status(&r, "test", NULL), TKX_ERR_NO_MEMORY);
    tkx__arena_clear(&small);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("json numbers");
    TCase *tc = tcase_create("all");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, integers_are_exact);
    tcase_add_test(tc, integers_beyond_64_bits_are_refused);
    tcase_add_test(tc, number_kinds_are_told_apart);
    tcase_add_test(tc, floats_read_like_strtod);
    tcase_add_test(tc, lenient_floats_are_an_option);
    tcase_add_test(tc, lenient_scalars_wear_other_clothes);
    tcase_add_test(tc, arrays_of_integers);
    tcase_add_test(tc, arrays_do_not_outgrow_the_arena);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
