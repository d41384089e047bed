/* SPDX-License-Identifier: Apache-2.0 */
/* test_json_writer.c - commas, escapes, numbers, sticky failures. */
#include <math.h>

#include "support/suite.h"
#include "json/writer.h"

static tkx__buf buf;
static tkx__json_writer w;

static void set_up(void)
{
    tkx__buf_init(&buf, 1 << 20);
    tkx__json_writer_init(&w, &buf, 0);
}

static void tear_down(void)
{
    tkx__buf_clear(&buf);
}

START_TEST(commas_stand_between_members)
{
    static const int64_t ints[] = {1, -2, INT64_MIN};
    static const float floats[] = {0.0f, 1.5f, 0.1f};

    tkx__json_begin_object(&w);
    tkx__json_member_string(&w, "a", "x\"\\\n\x01\xC3\xA9");
    tkx__json_member_string(&w, "none", NULL);
    tkx__json_put_key(&w, "l");
    tkx__json_begin_array(&w);
    tkx__json_begin_object(&w);
    tkx__json_end_object(&w);
    tkx__json_put_bool(&w, true);
    tkx__json_begin_array(&w);
    tkx__json_end_array(&w);
    tkx__json_end_array(&w);
    tkx__json_put_key(&w, "i");
    tkx__json_put_i64s(&w, ints, 3);
    tkx__json_put_key(&w, "f");
    tkx__json_put_f32s(&w, floats, 3);
    tkx__json_put_key(&w, "b");
    tkx__json_put_base64(&w, "\x89PNG", 4);
    tkx__json_put_key(&w, "u");
    tkx__json_put_u64(&w, UINT64_MAX);
    tkx__json_end_object(&w);
    ck_assert_int_eq(tkx__json_written(&w, "test", NULL), TKX_OK);
    ck_assert_str_eq(
        tkx__buf_text(&buf),
        "{\"a\":\"x\\\"\\\\\\n\\u0001\xC3\xA9\",\"none\":null,\"l\":[{},true,[]],"
        "\"i\":[1,-2,-9223372036854775808],\"f\":[0.0,1.5,0.1],"
        "\"b\":\"iVBORw==\",\"u\":18446744073709551615}");
}
END_TEST

START_TEST(long_arrays_cross_blocks)
{
    int64_t values[1000];

    for (int i = 0; i < 1000; i++)
        values[i] = i;
    tkx__json_put_i64s(&w, values, 1000);
    ck_assert_int_eq(tkx__json_written(&w, "test", NULL), TKX_OK);
    ck_assert_uint_eq(buf.size, 2 + 10 + 90 * 2 + 900 * 3 + 999);
    ck_assert_mem_eq(buf.data + buf.size - 8, "998,999]", 8);
}
END_TEST

START_TEST(non_finite_values_fail_or_become_null)
{
    static const float floats[] = {1.0f, NAN};
    static const double doubles[] = {INFINITY};

    tkx__json_put_f32s(&w, floats, 2);
    ck_assert_int_eq(tkx__json_written(&w, "test", NULL), TKX_ERR_INVALID_ARGUMENT);
    tkx__buf_reset(&buf);
    tkx__json_writer_init(&w, &buf, TKX__JSON_NON_FINITE_NULL);
    tkx__json_begin_array(&w);
    tkx__json_put_f32s(&w, floats, 2);
    tkx__json_put_f64s(&w, doubles, 1);
    tkx__json_put_f64(&w, NAN);
    tkx__json_end_array(&w);
    ck_assert_int_eq(tkx__json_written(&w, "test", NULL), TKX_OK);
    ck_assert_str_eq(tkx__buf_text(&buf), "[[1.0,null],[null],null]");
}
END_TEST

START_TEST(bad_text_and_full_buffers_are_told)
{
    tkx__json_put_string(&w, "\xFF");
    tkx__json_put_i64(&w, 1);
    ck_assert_int_eq(tkx__json_written(&w, "test", NULL), TKX_ERR_INVALID_ARGUMENT);
    tkx__buf_clear(&buf);
    tkx__buf_init(&buf, 10);
    tkx__json_writer_init(&w, &buf, 0);
    tkx__json_put_string(&w, "0123456789");
    ck_assert_int_eq(tkx__json_written(&w, "test", NULL), TKX_ERR_LIMIT);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("json writer");
    TCase *tc = tcase_create("all");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, commas_stand_between_members);
    tcase_add_test(tc, long_arrays_cross_blocks);
    tcase_add_test(tc, non_finite_values_fail_or_become_null);
    tcase_add_test(tc, bad_text_and_full_buffers_are_told);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
