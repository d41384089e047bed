/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_rest_lists.c - calls of the REST client that make several requests or none: walks
 * over whole lists, traces that are waited for, and who we are.
 */
#include <stdio.h>
#include <string.h>

#include <tkx/credentials.h>

#include "rest_rig.h"
#include "support/suite.h"

static char told[200];

static int tell(const char *name, void *user_data)
{
    int *left = user_data;

    strcat(told, name);
    return left && --*left == 0;
}

static int tell_run(const tkx_training_run *run, void *user_data)
{
    return tell(run->training_run_id, user_data);
}

static int tell_checkpoint(const tkx_checkpoint *checkpoint, void *user_data)
{
    return tell(checkpoint->checkpoint_id, user_data);
}

static int tell_found(const tkx_session_summary *session, void *user_data)
{
    return tell(session->session_id, user_data);
}

#define RUN(ID)                                                                          \
    "{\"training_run_id\":\"" ID "\",\"base_model\":\"b\",\"model_owner\":\"o\","        \
    "\"is_lora\":true,\"last_request_time\":\"2026-01-02T03:04:05Z\"}"

static void answer_page(const char *url, const char *body)
{
    last = fake_io_find_open(io, 0, NULL);
    ck_assert_str_eq(fake_io_sent(io, last)->url, url);
    fake_io_answer(io, last, 200, NULL, body);
}

static void expect_told(const char *text, tkx_status status)
{
    ck_assert(tkx_future_is_done(future));
    ck_assert_int_eq(tkx_error_status(tkx_future_error(future)), status);
    ck_assert_str_eq(told, text);
    told[0] = '\0';
    drop();
}

START_TEST(every_run_is_told_over_all_pages)
{
    tkx_page page = TKX_PAGE_INIT;
    int left = 2;

    page.limit = 2;
    page.project_id = "p";
    ck_assert_int_eq(
        tkx_rest_each_training_run(rest, &page, tell_run, NULL, &future, NULL), TKX_OK);
    fake_io_turn(io);
    answer_page(
        "http://x/api/v1/training_runs?limit=2&offset=0&access_scope=owned&project_id=p",
        "{\"training_runs\":[" RUN("a") "," RUN(
            "b") "],"
                 "\"cursor\":{\"offset\":0,\"limit\":2,\"total_count\":3}}");
    answer_page(
        "http://x/api/v1/training_runs?limit=2&offset=2&access_scope=owned&project_id=p",
        "{\"training_runs\":[" RUN(
            "c") "],"
                 "\"cursor\":{\"offset\":2,\"limit\":2,\"total_count\":3}}");
    expect_told("abc", TKX_OK);

    ck_assert_int_eq(
        tkx_rest_each_training_run(rest, NULL, tell_run, &left, &future, NULL), TKX_OK);
    fake_io_turn(io);
    answer_page("http://x/api/v1/training_runs?limit=100&offset=0&access_scope=owned",
                "{\"training_runs\":[" RUN("a") "," RUN("b") "," RUN(
                    "c") "],"
                         "\"cursor\":{\"offset\":0,\"limit\":100,\"total_count\":9}}");
    expect_told("ab", TKX_OK);
}
END_TEST

START_TEST(a_list_that_goes_on_for_ever_ends_with_an_empty_page)
{
    ck_assert_int_eq(
        tkx_rest_each_checkpoint(rest, NULL, tell_checkpoint, NULL, &future, NULL),
        TKX_OK);
    fake_io_turn(io);
    answer_page("http://x/api/v1/checkpoints?limit=1000&offset=0",
                "{\"checkpoints\":[],\"cursor\":{\"offset\":0,\"limit\":1,"
                "\"total_count\":9}}");
    expect_told("", TKX_OK);
    ck_assert_int_eq(tkx_rest_each_session(rest, NULL, tell, NULL, &future, NULL),
                     TKX_OK);
    fake_io_turn(io);
    answer_page("http://x/api/v1/sessions?limit=100&offset=0&access_scope=owned",
                "{\"sessions\":[\"x\",\"y\"]}");
    expect_told("xy", TKX_OK);
}
END_TEST

START_TEST(a_walk_ends_with_the_error_of_a_page_and_when_it_is_given_up)
{
    ck_assert_int_eq(tkx_rest_each_session(rest, NULL, tell, NULL, &future, NULL),
                     TKX_OK);
    fake_io_turn(io);
    last = fake_io_find_open(io, 0, NULL);
    fake_io_answer(io, last, 403, NULL, "{}");
    expect_told("", TKX_ERR_PERMISSION);
    ck_assert_int_eq(tkx_rest_each_session(rest, NULL, tell, NULL, &future, NULL),
                     TKX_OK);
    fake_io_turn(io);
    tkx_future_cancel(future);
    fake_io_turn(io);
    last = fake_io_find_open(io, 0, NULL);
    fake_io_answer(io, last, 200, NULL, "{\"sessions\":[\"x\"]}");
    expect_told("", TKX_ERR_CANCELLED);
}
END_TEST

#define FOUND(ID)                                                                        \
    "{\"session_id\":\"" ID                                                              \
    "\",\"created_at\":\"2026-01-02T03:04:05Z\",\"owner\":\"o\","                        \
    "\"project_id\":\"p\",\"checkpoints_count\":0}"

START_TEST(a_search_follows_the_cursor_until_it_stands_still)
{
    tkx_session_search search = TKX_SESSION_SEARCH_INIT;
    static const char cursor[] =
        "{\"last_created_at\":\"2026-01-02T03:04:05Z\",\"last_session_id\":\"b\"}";
    char page[600];

    search.display_name = "n";
    ck_assert_int_eq(
        tkx_rest_each_found_session(rest, &search, tell_found, NULL, &future, NULL),
        TKX_OK);
    fake_io_turn(io);
    snprintf(page, sizeof page, "{\"sessions\":[" FOUND("a") "],\"next_cursor\":%s}",
             cursor);
    answer_page("http://x/api/v1/sessions/search", page);
    last = fake_io_find_open(io, 0, NULL);
    ck_assert_ptr_nonnull(strstr(fake_io_sent(io, last)->body, cursor));
    ck_assert_ptr_nonnull(strstr(fake_io_sent(io, last)->body, "\"display_name\":\"n\""));
    answer_page("http://x/api/v1/sessions/search", page);
    expect_told("aa", TKX_OK);
}
END_TEST

START_TEST(a_trace_is_asked_for_until_it_is_there)
{
    tkx_trace_export *trace;

    expect(tkx_rest_wait_for_trace(rest, "s", &future, NULL), "GET",
           "http://x/api/v1/sessions/s/trace_export", "");
    fake_io_answer(io, last, 200, NULL, "{\"status\":\"pending\"}");
    fake_io_advance(io, 4999);
    ck_assert_uint_eq(fake_io_count(io, "trace_export"), 1);
    fake_io_advance(io, 1);
    last = fake_io_find_open(io, last + 1, NULL);
    fake_io_answer(io, last, 200, NULL, "{\"status\":\"ready\",\"url\":\"http://t\"}");
    ck_assert_int_eq(tkx_future_take_trace_export(future, &trace, NULL), TKX_OK);
    ck_assert_str_eq(trace->url, "http://t");
    tkx_trace_export_free(trace);
    drop();
    expect(tkx_rest_wait_for_trace(rest, "s", &future, NULL), "GET",
           "http://x/api/v1/sessions/s/trace_export", "");
    answer(200, NULL, "{\"status\":\"failed\",\"error\":\"too large\"}",
           TKX_ERR_REQUEST_FAILED);
    ck_assert_int_eq(tkx_rest_wait_for_trace(rest, "..", &future, NULL),
                     TKX_ERR_INVALID_ARGUMENT);
}
END_TEST

START_TEST(closing_ends_a_trace_that_is_waited_for)
{
    expect(tkx_rest_wait_for_trace(rest, "s", &future, NULL), "GET",
           "http://x/api/v1/sessions/s/trace_export", "");
    fake_io_answer(io, last, 200, NULL, "{\"status\":\"pending\"}");
    tkx_context_close(context, 0, 0, NULL);
    ck_assert_int_eq(tkx_error_status(tkx_future_error(future)), TKX_ERR_CLOSED);
}
END_TEST

START_TEST(the_service_says_how_it_is_and_what_it_has)
{
    tkx_health *health;

    expect(tkx_rest_get_health(rest, &future, NULL), "GET", "http://x/api/v1/healthz",
           "");
    answer(200, NULL, "{\"status\":\"ok\"}", TKX_OK);
    ck_assert_int_eq(tkx_future_take_health(future, &health, NULL), TKX_OK);
    ck_assert_str_eq(health->status, "ok");
    tkx_health_free(health);
    drop();
    expect(tkx_rest_get_capabilities(rest, &future, NULL), "GET",
           "http://x/api/v1/get_server_capabilities", "");
    answer(200, NULL, "{\"supported_models\":[]}", TKX_OK);
    drop();
}
END_TEST

/* With the very key that is asked about, not with the client's own. */
START_TEST(a_key_is_looked_at_and_deleted)
{
    tkx_api_key_info *info;

    ck_assert_int_eq(tkx_rest_delete_api_key(rest, "two words", &future, NULL),
                     TKX_ERR_INVALID_ARGUMENT);
    ck_assert_str_eq(sent(tkx_rest_get_api_key(rest, "tml-b", &future, NULL))->url,
                     "http://x/api/v1/auth/apikey/me");
    ck_assert_str_eq(fake_io_header(io, last, "x-api-key"), "tml-b");
    answer(200, NULL,
           "{\"key_id\":7,\"name\":\"n\",\"note\":\"\",\"details\":{\"org_details\":{"
           "\"name\":\"o\"},\"user_details\":{\"email\":\"e\"}}}",
           TKX_OK);
    ck_assert_int_eq(tkx_future_take_api_key_info(future, &info, NULL), TKX_OK);
    ck_assert_int_eq(info->key_id, 7);
    tkx_api_key_info_free(info);
    drop();
    ck_assert_str_eq(sent(tkx_rest_delete_api_key(rest, "tml-b", &future, NULL))->method,
                     "DELETE");
    ck_assert_str_eq(fake_io_sent(io, last)->url, "http://x/api/v1/auth/apikey/me");
    ck_assert_str_eq(fake_io_header(io, last, "x-api-key"), "tml-b");
    answer(204, NULL, "", TKX_OK);
}
END_TEST

START_TEST(a_plain_key_does_not_say_whose_it_is)
{
    ck_assert_int_eq(tkx_rest_whoami(rest, &future, NULL), TKX_OK);
    fake_io_turn(io);
    ck_assert_int_eq(tkx_error_status(tkx_future_error(future)), TKX_ERR_UNSUPPORTED);
}
END_TEST

/* {"sub":"urn:u","email":"","org_id":"o","iat":1,"exp":4100000000} */
#define JWT                                                                              \
    "eyJhbGciOiJub25lIn0."                                                               \
    "eyJzdWIiOiJ1cm46dSIsImVtYWlsIjoiIiwib3JnX2lkIjoibyIsImlhdCI6MSwi"                   \
    "ZXhwIjo0MTAwMDAwMDAwfQ.c2ln"

static void exchange(fake_io *fake, size_t i, void *arg)
{
    const char *url = fake_io_sent(fake, i)->url;

    (void)arg;
    if (strstr(url, "client/config"))
        fake_io_answer(fake, i, 200, NULL, "{\"pjwt_auth_enabled\":true}");
    else
        fake_io_answer(fake, i, 200, NULL,
                       strstr(url, "auth/token") ? "{\"jwt\":\"" JWT "\"}" : "{}");
}

START_TEST(a_token_says_whose_it_is)
{
    tkx_identity *identity;

    fake_io_serve(io, exchange, NULL);
    ck_assert_int_eq(tkx_rest_whoami(rest, &future, NULL), TKX_OK);
    fake_io_turn(io);
    ck_assert_int_eq(tkx_future_take_identity(future, &identity, NULL), TKX_OK);
    ck_assert_str_eq(identity->user_urn, "urn:u");
    ck_assert_str_eq(identity->org_urn, "tml:organization:o");
    ck_assert_ptr_null(identity->email);
    tkx_identity_free(identity);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rest_lists");
    TCase *tc = tcase_create("rest_lists");

    tcase_add_checked_fixture(tc, rest_set_up, rest_tear_down);
    tcase_add_test(tc, every_run_is_told_over_all_pages);
    tcase_add_test(tc, a_list_that_goes_on_for_ever_ends_with_an_empty_page);
    tcase_add_test(tc, a_walk_ends_with_the_error_of_a_page_and_when_it_is_given_up);
    tcase_add_test(tc, a_search_follows_the_cursor_until_it_stands_still);
    tcase_add_test(tc, a_trace_is_asked_for_until_it_is_there);
    tcase_add_test(tc, closing_ends_a_trace_that_is_waited_for);
    tcase_add_test(tc, the_service_says_how_it_is_and_what_it_has);
    tcase_add_test(tc, a_key_is_looked_at_and_deleted);
    tcase_add_test(tc, a_plain_key_does_not_say_whose_it_is);
    tcase_add_test(tc, a_token_says_whose_it_is);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
