/* SPDX-License-Identifier: Apache-2.0 */
/* test_jv.c - the mock server's JSON values: read, refused, written again. */
#include "mock_server/jv.h"

#include <string.h>

#include "mock_server/jw.h"
#include "support/suite.h"

static tkx__arena arena;

static void open_arena(void)
{
    tkx__arena_init(&arena, 256, 1 << 24);
}

static void close_arena(void)
{
    tkx__arena_clear(&arena);
}

static const jv *parse(const char *text)
{
    const jv *v = NULL;
    ck_assert_msg(jv_parse(&arena, text, strlen(text), &v, NULL) == TKX_OK, "%s", text);
    return v;
}

START_TEST(values_are_read_exactly)
{
    const jv *v =
        parse("{\"a\":-9223372036854775808,\"b\":18446744073709551615,"
              "\"c\":\"x\\n\\u00e9\\ud83d\\ude00\",\"d\":null,\"e\":[1,2.5,-3e2],"
              "\"f\":true,\"g\":3.0}");
    int64_t i;
    uint64_t u;
    double d;
    float f[3];
    ck_assert(jv_i64(jv_get(v, "a"), &i) && i == INT64_MIN);
    ck_assert(!jv_i64(jv_get(v, "b"), &i));
    ck_assert(jv_bits64(jv_get(v, "b"), &u) && u == UINT64_MAX);
    ck_assert(jv_bits64(jv_get(v, "a"), &u) && u == (uint64_t)INT64_MIN);
    ck_assert_str_eq(jv_get_str(v, "c"), "x\n\xc3\xa9\xf0\x9f\x98\x80");
    ck_assert_ptr_null(jv_get(v, "d"));
    ck_assert(jv_get(v, "e")->is_packed && jv_f32s(jv_get(v, "e"), f));
    ck_assert_float_eq(f[2], -300.0f);
    ck_assert(jv_get(v, "f")->is_true);
    ck_assert(jv_i64(jv_get(v, "g"), &i) && i == 3);
    ck_assert(jv_f64(jv_get(v, "g"), &d) && d == 3.0);
}
END_TEST

START_TEST(what_is_no_json_is_refused)
{
    static const char *const bad[] = {
        "",        "{",        "{\"a\"}",  "[1,]",       "[1 2]",          "01",
        "1.",      "-",        "+1",       "NaN",        "\"\\x\"",        "\"\\ud800\"",
        "\"a",     "\"\x01\"", "\"\xff\"", "{\"a\":1}x", "\xef\xbb\xbf{}", "tru",
        "[1,\"a]", "1e",       "{1:2}",    "\"\\u12\"",  "\"abc\\"};
    const jv *v;
    char deep[200];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(jv_parse(&arena, bad[i], strlen(bad[i]), &v, NULL) == TKX_ERR_PARSE,
                      "%s", bad[i]);
    memset(deep, '[', sizeof deep);
    ck_assert_int_eq(jv_parse(&arena, deep, sizeof deep, &v, NULL), TKX_ERR_PARSE);
}
END_TEST

/* Cut anywhere, a text is an error and nothing is read behind its end. */
START_TEST(every_prefix_is_refused)
{
    static const char text[] =
        "{\"k\":[1,-2.5e3,[true,null,\"s\\u00e9\"]],\"l\":{\"m\":0}}";
    const jv *v;
    for (size_t n = 0; n < sizeof text - 1; n++)
        ck_assert_int_eq(jv_parse(&arena, text, n, &v, NULL), TKX_ERR_PARSE);
    ck_assert_int_eq(jv_parse(&arena, text, sizeof text - 1, &v, NULL), TKX_OK);
}
END_TEST

START_TEST(what_was_read_is_written_again)
{
    static const char text[] =
        "{\"a\":[1,2,3],\"b\":[\"x\\u0001\",null,{\"c\":false}],\"n\":1e400}";
    tkx__buf out;
    tkx__buf_init(&out, 4096);
    jw_value(&out, parse(text));
    ck_assert_str_eq(tkx__buf_text(&out), text);
    tkx__buf_reset(&out);
    jw_fmt(&out, "%s %d %f %b %r", "q\"", (int64_t)-5, 0.1, 1, "raw");
    ck_assert_str_eq(tkx__buf_text(&out), "\"q\\\"\" -5 0.1 true raw");
    tkx__buf_reset(&out);
    jw_f32(&out, 0.1f);
    ck_assert_str_eq(tkx__buf_text(&out), "0.1");
    tkx__buf_clear(&out);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("jv");
    TCase *tc = tcase_create("all");
    tcase_add_checked_fixture(tc, open_arena, close_arena);
    tcase_add_test(tc, values_are_read_exactly);
    tcase_add_test(tc, what_is_no_json_is_refused);
    tcase_add_test(tc, every_prefix_is_refused);
    tcase_add_test(tc, what_was_read_is_written_again);
    suite_add_tcase(s, tc);
    return run_suite(s);
}
