/* SPDX-License-Identifier: Apache-2.0 */
/* test_json_reader.c - structure, strings, and what is refused. */
#include <stdio.h>
#include <string.h>

#include "support/suite.h"
#include "json/reader.h"

/* Reads text as one value of any shape. */
static tkx_status whole(const char *text, size_t n, unsigned flags, char *message)
{
    tkx__json_reader r;
    tkx__arena arena;
    tkx_error *err = NULL;
    tkx_status st;

    tkx__arena_init(&arena, 256, 1 << 20);
    tkx__json_reader_init(&r, text, n, &arena, flags);
    tkx__json_skip(&r);
    st = tkx__json_finish(&r, "test", &err);
    if (message)
        snprintf(message, 200, "%s", tkx_error_message(err));
    tkx_error_free(err);
    tkx__arena_clear(&arena);
    return st;
}

START_TEST(good_texts_are_taken_and_every_prefix_is_refused)
{
    static const char *const good[] = {
        "{}",
        "[]",
        " [ 1 , 2.5e+3 , -0 , 0.1e-7 ] ",
        "\"\"",
        "{\"a\":{\"b\":[null,true,false]}}",
        "\"\\u00e9\\ud83d\\ude00\\n\\/\"",
        "[[[[]]],{}]",
        "{\"k\":\"v\",\"k\":1}",
        "[\"\xC3\xA9 and \xF0\x9F\x98\x80 in a longer text\"]",
    };

    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        size_t n = strlen(good[i]);

        ck_assert_msg(whole(good[i], n, 0, NULL) == TKX_OK, "%s", good[i]);
        while (n && good[i][n - 1] == ' ')
            n--;
        for (size_t k = 0; k < n; k++)
            ck_assert_msg(whole(good[i], k, 0, NULL) != TKX_OK, "%.*s", (int)k, good[i]);
    }
}
END_TEST

START_TEST(bad_texts_are_refused)
{
    static const char *const bad[] = {
        "",
        " ",
        "{",
        "[1,]",
        "[,1]",
        "{,}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "[1 2]",
        "01",
        "1.",
        ".5",
        "+1",
        "1e",
        "1e+",
        "-",
        "--1",
        "0x10",
        "NaN",
        "Infinity",
        "nul",
        "truex",
        "[1]]",
        "1 2",
        "\"\x01\"",
        "\"\t\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\ud800\"",
        "\"\\ud800\\u0041\"",
        "\"\\udc00\"",
        "\"\xC0\xAF\"",
        "\"\xED\xA0\x80\"",
        "\"\xFF\"",
        "\xEF\xBB\xBF{}",
        "'a'",
        "[1}",
        "{\"a\":1]",
        "\"abc",
        "\"abc\\",
        "/* */1",
        "[1,2",
        "\"\\u00",
    };

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(whole(bad[i], strlen(bad[i]), 0, NULL) == TKX_ERR_PARSE, "%s",
                      bad[i]);
    ck_assert_int_eq(whole("[NaN,Infinity,-Infinity]", 24, TKX__JSON_LENIENT, NULL),
                     TKX_OK);
    ck_assert_int_eq(whole("[Nan]", 5, TKX__JSON_LENIENT, NULL), TKX_ERR_PARSE);
}
END_TEST

START_TEST(nesting_is_limited)
{
    char text[2 * TKX__JSON_MAX_DEPTH + 4];

    memset(text, '[', TKX__JSON_MAX_DEPTH);
    memset(text + TKX__JSON_MAX_DEPTH, ']', TKX__JSON_MAX_DEPTH);
    ck_assert_int_eq(whole(text, 2 * TKX__JSON_MAX_DEPTH, 0, NULL), TKX_OK);
    memset(text, '[', TKX__JSON_MAX_DEPTH + 1);
    ck_assert_int_eq(whole(text, TKX__JSON_MAX_DEPTH + 1, 0, NULL), TKX_ERR_LIMIT);
}
END_TEST

START_TEST(messages_name_place_and_key)
{
    char message[200];

    whole("{\"a\": 1, \"rank\": x}", 19, 0, message);
    ck_assert_str_eq(message, "test: expected a value at byte 17 (key \"rank\")");
}
END_TEST

START_TEST(members_are_pulled_one_by_one)
{
    static const char text[] =
        "{\"skip\":[{\"x\":[1,{}]}],\"name\":\"a\\u0062\",\"on\":true,"
        "\"n\":null,\"list\":[3,4],\"\\u006bey\":7}";
    tkx__json_reader r;
    tkx__arena arena;
    tkx__json_text key;
    const char *name = NULL;
    bool is_on = false;
    int n_nulls = 0;
    int64_t sum = 0;
    int64_t v;

    tkx__arena_init(&arena, 256, 1 << 20);
    tkx__json_reader_init(&r, text, sizeof text - 1, &arena, 0);
    tkx__json_read_object(&r);
    while (tkx__json_read_key(&r, &key)) {
        if (tkx__json_text_is(&key, "name")) {
            tkx__json_read_string(&r, &name);
        } else if (tkx__json_text_is(&key, "on")) {
            tkx__json_read_bool(&r, &is_on);
        } else if (tkx__json_text_is(&key, "list")) {
            tkx__json_read_array(&r);
            while (tkx__json_read_element(&r) && tkx__json_read_i64(&r, &v))
                sum += v;
        } else if (tkx__json_text_is(&key, "key")) {
            tkx__json_read_i64(&r, &v);
            sum += v * 100;
        } else if (tkx__json_take_null(&r)) {
            n_nulls++;
        } else {
            tkx__json_skip(&r);
        }
    }
    ck_assert_int_eq(tkx__json_finish(&r, "test", NULL), TKX_OK);
    ck_assert_str_eq(name, "ab");
    ck_assert(is_on);
    ck_assert_int_eq(n_nulls, 1);
    ck_assert_int_eq(sum, 707);
    tkx__arena_clear(&arena);
}
END_TEST

START_TEST(strings_with_a_nul_are_views_only)
{
    static const char text[] = "\"a\\u0000b\"";
    tkx__json_reader r;
    tkx__arena arena;
    tkx__json_text view;
    const char *copy;

    tkx__arena_init(&arena, 256, 1 << 20);
    tkx__json_reader_init(&r, text, sizeof text - 1, &arena, 0);
    ck_assert(tkx__json_read_text(&r, &view));
    ck_assert_uint_eq(view.size, 3);
    ck_assert_mem_eq(view.data, "a\0b", 3);
    tkx__json_reader_init(&r, text, sizeof text - 1, &arena, 0);
    ck_assert(!tkx__json_read_string(&r, &copy));
    ck_assert_ptr_null(copy);
    tkx__arena_clear(&arena);
}
END_TEST

START_TEST(skipping_gives_the_raw_text)
{
    tkx__json_reader r;
    tkx__arena arena;
    tkx__json_text raw;

    tkx__arena_init(&arena, 256, 1 << 20);
    tkx__json_reader_init(&r, " {\"a\": [1, 2]} ", 15, &arena, 0);
    tkx__json_skip_raw(&r, &raw);
    ck_assert(tkx__json_text_is(&raw, "{\"a\": [1, 2]}"));
    ck_assert_int_eq(tkx__json_finish(&r, "test", NULL), TKX_OK);
    tkx__arena_clear(&arena);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("json reader");
    TCase *tc = tcase_create("all");

    tcase_add_test(tc, good_texts_are_taken_and_every_prefix_is_refused);
    tcase_add_test(tc, bad_texts_are_refused);
    tcase_add_test(tc, nesting_is_limited);
    tcase_add_test(tc, messages_name_place_and_key);
    tcase_add_test(tc, members_are_pulled_one_by_one);
    tcase_add_test(tc, strings_with_a_nul_are_views_only);
    tcase_add_test(tc, skipping_gives_the_raw_text);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
