/* SPDX-License-Identifier: Apache-2.0 */
/* test_rewrite.c - only what names the model and the number changes. */
#include "client/rewrite.h"

#include <string.h>

#include "support/suite.h"

static tkx__buf out;

static void set_up(void)
{
    tkx__buf_init(&out, 4096);
}

static void tear_down(void)
{
    tkx__buf_clear(&out);
}

static const char *json(const char *text, const tkx__rewrite *to)
{
    tkx__buf_reset(&out);
    ck_assert_int_eq(tkx__rewrite_json(text, strlen(text), to, &out, NULL), TKX_OK);
    return tkx__buf_text(&out);
}

static const tkx__rewrite call = {.model_id = "N\"1", .seq_id = 12, .model_seq_id = -1};

START_TEST(members_of_the_top_change)
{
    static const tkx__rewrite model = {
        .session_id = "T", .seq_id = -1, .model_seq_id = 3};

    ck_assert_str_eq(
        json("{\"model_id\": \"M\",\"seq_id\":7 , \"x\":{\"model_id\":\"M\"}}", &call),
        "{\"model_id\": \"N\\\"1\",\"seq_id\":12 , \"x\":{\"model_id\":\"M\"}}");
    ck_assert_str_eq(
        json("{\"a\":[1,{\"seq_id\":1}],\"seq_id\":1,\"model_id\":\"\"}", &call),
        "{\"a\":[1,{\"seq_id\":1}],\"seq_id\":12,\"model_id\":\"N\\\"1\"}");
    ck_assert_str_eq(
        json("{\"session_id\":\"S\",\"model_seq_id\":0,\"seq_id\":1,\"model_id\":\"M\"}",
             &model),
        "{\"session_id\":\"T\",\"model_seq_id\":3,\"seq_id\":1,\"model_id\":\"M\"}");
    ck_assert_str_eq(json("{}", &call), "{}");
    ck_assert_str_eq(json("{\"k\":1}", &call), "{\"k\":1}");
}
END_TEST

START_TEST(what_is_no_object_is_refused)
{
    static const char *const bad[] = {
        "", "[1]", "7", "{\"seq_id\":", "{\"a\":1,}", "{\"a\"}"};

    tkx__buf_reset(&out);
    ck_assert_int_eq(tkx__rewrite_json(bad[_i], strlen(bad[_i]), &call, &out, NULL),
                     TKX_ERR_PARSE);
}
END_TEST

/* model_id "M", seq_id 300, a datum, loss_fn "x", forward_only. */
static const char request[] = "\x0a\x01M\x10\xac\x02\x1a\x03"
                              "abc\x22\x01x\x30\x01";

START_TEST(fields_of_a_request_change)
{
    static const char expected[] = "\x0a\x03N\"1\x10\x0c\x1a\x03"
                                   "abc\x22\x01x\x30\x01";
    static const tkx__rewrite same = {.model_id = "M", .seq_id = 300, .model_seq_id = -1};

    ck_assert_int_eq(tkx__rewrite_proto(request, sizeof request - 1, &call, &out, NULL),
                     TKX_OK);
    ck_assert_uint_eq(out.size, sizeof expected - 1);
    ck_assert_mem_eq(out.data, expected, out.size);
    tkx__buf_reset(&out);
    ck_assert_int_eq(tkx__rewrite_proto(request, sizeof request - 1, &same, &out, NULL),
                     TKX_OK);
    ck_assert_uint_eq(out.size, sizeof request - 1);
    ck_assert_mem_eq(out.data, request, out.size);
}
END_TEST

/* Cut anywhere but between two fields. */
START_TEST(a_cut_request_is_refused)
{
    static const size_t whole[] = {0, 3, 6, 11, 14, 16};
    bool is_whole = false;

    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        is_whole |= whole[i] == (size_t)_i;
    tkx__buf_reset(&out);
    ck_assert_int_eq(tkx__rewrite_proto(request, (size_t)_i, &call, &out, NULL),
                     is_whole ? TKX_OK : TKX_ERR_PARSE);
}
END_TEST

START_TEST(lengths_that_lie_are_refused)
{
    static const char long_field[] = "\x1a\xff\xff\xff\xff\xff\xff\xff\xff\x7f";
    static const char group[] = "\x0b";
    static const char endless[] = "\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";

    ck_assert_int_eq(tkx__rewrite_proto(long_field, 10, &call, &out, NULL),
                     TKX_ERR_PARSE);
    ck_assert_int_eq(tkx__rewrite_proto(group, 1, &call, &out, NULL), TKX_ERR_PARSE);
    ck_assert_int_eq(tkx__rewrite_proto(endless, 12, &call, &out, NULL), TKX_ERR_PARSE);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("rewrite");
    TCase *tc = tcase_create("all");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, members_of_the_top_change);
    tcase_add_loop_test(tc, what_is_no_object_is_refused, 0, 6);
    tcase_add_test(tc, fields_of_a_request_change);
    tcase_add_loop_test(tc, a_cut_request_is_refused, 0, 16);
    tcase_add_test(tc, lengths_that_lie_are_refused);
    suite_add_tcase(s, tc);
    return run_suite(s);
}
