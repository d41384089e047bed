/* SPDX-License-Identifier: Apache-2.0 */
/* test_sample_request.c - what may be asked of a sample, and how it is answered. */
#include "mock_server/sample_request.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "support/suite.h"

static tkx__arena arena;
static sample_request request;

static void open_arena(void)
{
    tkx__arena_init(&arena, 256, 1 << 24);
}

static void close_arena(void)
{
    tkx__arena_clear(&arena);
}

static tkx_status read_request(mock_dialect dialect, const char *params, const char *rest)
{
    char text[2048];
    const jv *body;
    const char *kept;
    snprintf(text, sizeof text,
             "{\"prompt\":{\"chunks\":[{\"tokens\":[1,2]},{\"tokens\":[3]}]},"
             "\"sampling_params\":%s%s}",
             params, rest);
    kept = tkx__arena_strndup(&arena, text, strlen(text));
    ck_assert_int_eq(jv_parse(&arena, kept, strlen(kept), &body, NULL), TKX_OK);
    return sample_request_read(&arena, body, dialect, &request, NULL);
}

START_TEST(stops_have_four_forms)
{
    ck_assert_int_eq(read_request(DIALECT_HOSTED, "{}", ""), TKX_OK);
    ck_assert(request.nn.use_default_stop && request.nn.to_context_end);
    ck_assert_uint_eq(request.nn.n_prompt, 3);
    ck_assert_int_eq(request.nn.prompt[2], 3);
    ck_assert_int_eq(read_request(DIALECT_HOSTED, "{\"stop\":[]}", ""), TKX_OK);
    ck_assert(!request.nn.use_default_stop);
    ck_assert_int_eq(read_request(DIALECT_HOSTED, "{\"stop\":\"ab\"}", ""), TKX_OK);
    ck_assert_uint_eq(request.nn.n_stop_strings, 1);
    ck_assert_mem_eq(request.nn.stop_strings[0].text, "ab", 2);
    ck_assert_int_eq(read_request(DIALECT_HOSTED, "{\"stop\":[\"a\",\"b\"]}", ""),
                     TKX_OK);
    ck_assert_uint_eq(request.nn.n_stop_strings, 2);
    ck_assert_int_eq(read_request(DIALECT_HOSTED, "{\"stop\":[7,8]}", ""), TKX_OK);
    ck_assert_uint_eq(request.nn.n_stop_tokens, 2);
    ck_assert_int_ne(
        read_request(DIALECT_SKYRL, "{\"max_tokens\":1,\"stop\":\"ab\"}", ""), TKX_OK);
    ck_assert_int_ne(read_request(DIALECT_SKYRL, "{}", ""), TKX_OK);
}
END_TEST

START_TEST(values_out_of_range_are_refused)
{
    static const char *const bad[] = {"{\"max_tokens\":0}",
                                      "{\"temperature\":-1}",
                                      "{\"top_p\":0}",
                                      "{\"top_p\":1.5}",
                                      "{\"top_k\":-2}",
                                      "{\"seed\":\"x\"}",
                                      "{\"seed\":18446744073709551616}",
                                      "{\"stop\":5}",
                                      "{\"stop\":[1,\"a\"]}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(read_request(DIALECT_HOSTED, bad[i], "") != TKX_OK, "%s", bad[i]);
    ck_assert_int_ne(read_request(DIALECT_HOSTED, "{}", ",\"num_samples\":0"), TKX_OK);
    ck_assert_int_ne(read_request(DIALECT_HOSTED, "{}", ",\"prompt_logprobs_last_n\":1"),
                     TKX_OK);
    ck_assert_int_ne(
        read_request(DIALECT_HOSTED, "{}",
                     ",\"prompt_logprobs\":true,\"prompt_logprobs_last_n\":3"),
        TKX_OK);
    ck_assert_int_eq(read_request(DIALECT_HOSTED, "{\"seed\":-1}", ""), TKX_OK);
    ck_assert(request.nn.seed == UINT64_MAX);
}
END_TEST

/* A cell that is not listed asks nothing; the answer has the layout of the question. */
START_TEST(sparse_targets_are_answered_sparse)
{
    float scored[] = {0, -0.5f, -0.25f, 0};
    nn_sample_result result = {.n_prompt = 3, .prompt_target_logprobs = scored};
    tkx__buf out;
    ck_assert_int_eq(
        read_request(DIALECT_HOSTED, "{}",
                     ",\"target_prompt_logprobs\":{\"dtype\":\"int64\",\"data\":[9,8],"
                     "\"shape\":[2,2],\"sparse_crow_indices\":[0,1,2],"
                     "\"sparse_col_indices\":[1,0]}"),
        TKX_OK);
    ck_assert_int_eq(request.nn.prompt_targets[0], -1);
    ck_assert_int_eq(request.nn.prompt_targets[1], 9);
    tkx__buf_init(&out, 4096);
    sample_result_json(&request, &result, DIALECT_HOSTED, &out);
    ck_assert_ptr_nonnull(strstr(out.data, "\"data\":[-0.5,-0.25]"));
    ck_assert_ptr_nonnull(strstr(out.data, "\"sparse_crow_indices\":[0,1,2]"));
    tkx__buf_clear(&out);
}
END_TEST

/* The documents' example, byte for byte. */
START_TEST(protobuf_is_as_the_documents_have_it)
{
    static const unsigned char want[] = {
        0x0a, 0x16, 0x08, 0x01, 0x12, 0x08, 5,    0,    0,    0,    6,    0,    0,
        0,    0x1a, 0x08, 0,    0,    0x80, 0xbf, 0,    0,    0,    0xc0, 0x12, 0x08,
        0,    0,    0xc0, 0x7f, 0,    0,    0x80, 0xbf, 0x1a, 0x28, 0x0a, 0x10, 0,
        0,    0,    0,    0,    0,    0,    0,    11,   0,    0,    0,    9,    0,
        0,    0,    0x12, 0x10, 0x80, 0x4f, 0xc3, 0xc7, 0x80, 0x4f, 0xc3, 0xc7, 0,
        0,    0x80, 0xbf, 0,    0,    0xc0, 0xbf, 0x18, 0x02, 0x20, 0x02};
    int32_t tokens[] = {5, 6}, top[] = {0, 0, 11, 9};
    float logprobs[] = {-1, -2}, prompt[] = {NAN, -1};
    float top_logprobs[] = {-99999.0f, -99999.0f, -1, -1.5f};
    nn_sequence sequence = {.n_tokens = 2, .tokens = tokens, .logprobs = logprobs};
    nn_sample_result result = {.n_sequences = 1,
                               .sequences = &sequence,
                               .n_prompt = 2,
                               .prompt_logprobs = prompt,
                               .prompt_topk = {2, 2, top, top_logprobs}};
    sample_request plain = {.nn = NN_SAMPLE_REQUEST_INIT};
    tkx__buf out;
    tkx__buf_init(&out, 4096);
    sample_result_proto(&plain, &result, DIALECT_HOSTED, &out);
    ck_assert_uint_eq(out.size, sizeof want);
    ck_assert_mem_eq(out.data, want, sizeof want);
    tkx__buf_reset(&out);
    sample_result_json(&plain, &result, DIALECT_HOSTED, &out);
    ck_assert_ptr_nonnull(
        strstr(out.data,
               "\"prompt_logprobs\":[null,-1],\"topk_prompt_logprobs\":[null,[[11,-1],[9,"
               "-1.5]]]"));
    tkx__buf_clear(&out);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("sample_request");
    TCase *tc = tcase_create("all");
    tcase_add_checked_fixture(tc, open_arena, close_arena);
    tcase_add_test(tc, stops_have_four_forms);
    tcase_add_test(tc, values_out_of_range_are_refused);
    tcase_add_test(tc, sparse_targets_are_answered_sparse);
    tcase_add_test(tc, protobuf_is_as_the_documents_have_it);
    suite_add_tcase(s, tc);
    return run_suite(s);
}
