/* SPDX-License-Identifier: Apache-2.0 */
/* test_types_memory.c - decoders and the body under failing allocations; sizes
   refused. */
#include <string.h>

#include "support/fail_alloc.h"
#include "support/suite.h"
#include "types/forward_backward.h"
#include "types/forward_backward_output.h"
#include "types/sample_response.h"
#include "types/session.h"

static tkx_status decode_sample(void)
{
    static const char text[] = "{\"sequences\":[{\"stop_reason\":\"stop\",\"tokens\":[1,"
                               "2],\"logprobs\":[-1,null]}],"
                               "\"topk_prompt_logprobs\":[null,[[1,-1.5],[2,-2]]],"
                               "\"prompt_logprobs\":[null,-1]}";
    tkx_sample_response *r;
    tkx_status st = tkx__sample_response_decode_json(text, sizeof text - 1, &r, NULL);

    tkx_sample_response_free(r);
    return st;
}

static tkx_status decode_search(void)
{
    static const char text[] =
        "{\"sessions\":[{\"session_id\":\"s\",\"created_at\":\"2026-01-01T00:00:00Z\","
        "\"owner\":\"o\",\"project_id\":\"p\",\"checkpoints_count\":1,"
        "\"status\":{\"type\":\"failed\",\"reason\":{\"type\":\"request\"}}}]}";
    tkx_session_search_result *r;
    tkx_status st =
        tkx__session_search_result_decode_json(text, sizeof text - 1, &r, NULL);

    tkx_session_search_result_free(r);
    return st;
}

static tkx_status join_outputs(void)
{
    static const char text[] =
        "{\"loss_fn_outputs\":[{\"logprobs\":{\"data\":[1],\"dtype\":\"float32\"}}],"
        "\"metrics\":{\"a:sum\":1,\"b:unique\":2}}";
    tkx_forward_backward_output *parts[2] = {NULL, NULL};
    tkx_forward_backward_output *whole = NULL;
    tkx_status st =
        tkx__forward_backward_output_decode_json(text, sizeof text - 1, &parts[0], NULL);

    if (st == TKX_OK)
        st = tkx__forward_backward_output_decode_json(text, sizeof text - 1, &parts[1],
                                                      NULL);
    if (st == TKX_OK)
        st = tkx__forward_backward_output_join(parts, 2, &whole, NULL);
    tkx_forward_backward_output_free(parts[0]);
    tkx_forward_backward_output_free(parts[1]);
    tkx_forward_backward_output_free(whole);
    return st;
}

START_TEST(no_failed_allocation_leaks_or_passes)
{
    tkx_status (*const jobs[])(void) = {decode_sample, decode_search, join_outputs};

    for (size_t i = 0; i < sizeof jobs / sizeof *jobs; i++) {
        for (size_t n = 1;; n++) {
            tkx_status st;
            int was_hit;

            fail_alloc_begin(n);
            st = jobs[i]();
            was_hit = fail_alloc_hit();
            ck_assert_int_eq(fail_alloc_end(), 0);
            ck_assert_int_eq(st, was_hit ? TKX_ERR_NO_MEMORY : TKX_OK);
            if (!was_hit)
                break;
        }
    }
}
END_TEST

START_TEST(requests_that_cannot_be_written_are_refused)
{
    tkx_chunk pointer = {
        .kind = TKX_CHUNK_IMAGE_POINTER, .format = "png", .location = "x"};
    tkx_datum datum = {.model_input = {&pointer, 1}};
    tkx_forward_backward_request q = {.model_id = "m",
                                      .seq_id = 1,
                                      .loss = {.name = "ppo"},
                                      .data = &datum,
                                      .n_data = 1};
    tkx__forward_backward_body *body;

    ck_assert_int_eq(tkx__forward_backward_body_new(&q, &body, NULL),
                     TKX_ERR_INVALID_ARGUMENT);
    q.n_data = 0;
    q.seq_id = INT64_C(1) << 31;
    ck_assert_int_eq(tkx__forward_backward_body_new(&q, &body, NULL),
                     TKX_ERR_INVALID_ARGUMENT);
    q.seq_id = 1;
    q.model_id = "\xFF";
    ck_assert_int_eq(tkx__forward_backward_body_new(&q, &body, NULL),
                     TKX_ERR_INVALID_ARGUMENT);
}
END_TEST

START_TEST(shapes_that_do_not_fit_are_refused)
{
    static const char text[] = "{\"loss_fn_outputs\":[{\"x\":{\"data\":[1,2],\"dtype\":"
                               "\"float32\",\"shape\":[3]}}]}";
    tkx_forward_backward_output *output;

    ck_assert_int_eq(
        tkx__forward_backward_output_decode_json(text, sizeof text - 1, &output, NULL),
        TKX_ERR_PARSE);
    ck_assert_ptr_null(output);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("types memory");
    TCase *tc = tcase_create("all");

    tcase_add_test(tc, no_failed_allocation_leaks_or_passes);
    tcase_add_test(tc, requests_that_cannot_be_written_are_refused);
    tcase_add_test(tc, shapes_that_do_not_fit_are_refused);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
