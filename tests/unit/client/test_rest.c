/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_rest.c - the REST client on the fake io: what each method sends, and the rules of
 * the archive's link.
 */
#include <stdio.h>
#include <string.h>

#include <tkx/rest.h>

#include "client/context.h"
#include "support/fake_io.h"
#include "support/suite.h"

#define PATH "tinker://S:train:0/sampler_weights/x y"
#define CK "http://x/api/v1/training_runs/S:train:0/checkpoints/sampler_weights/x%20y"
#define ARCHIVE CK "/archive"

static fake_io *io;
static tkx_context *context;
static tkx_rest *rest;
static tkx_future *future;
static size_t last; /* the first request after the configuration */

static void answer_config(fake_io *fake, size_t i, void *arg)
{
    (void)arg;
    if (strstr(fake_io_sent(fake, i)->url, "/client/"))
        fake_io_answer(fake, i, 200, NULL, "{}");
}

static void set_up(void)
{
    tkx_context_options options = TKX_CONTEXT_OPTIONS_INIT;

    io = fake_io_new();
    fake_io_serve(io, answer_config, NULL);
    options.base_url = "http://x";
    options.api_key = "tml-secret";
    ck_assert_int_eq(tkx__context_new_on(&options, fake_io_table(io), &context, NULL),
                     TKX_OK);
    ck_assert_int_eq(tkx_rest_new(context, NULL, &rest, NULL), TKX_OK);
}

static void tear_down(void)
{
    tkx_future_unref(future);
    future = NULL;
    tkx_rest_free(rest);
    fake_io_turn(io);
    ck_assert_uint_eq(fake_io_count(io, "create_session"), 0);
    tkx_context_close(context, 0, 0, NULL);
    tkx_context_free(context);
    fake_io_free(io);
}

/* The call was accepted: the request that it made. */
static const fake_request *sent(tkx_status st)
{
    ck_assert_int_eq(st, TKX_OK);
    fake_io_turn(io);
    last = fake_io_find_open(io, 0, NULL);
    ck_assert_msg(last != FAKE_NONE, "nothing was sent");
    return fake_io_sent(io, last);
}

static void expect(tkx_status st, const char *method, const char *url, const char *body)
{
    const fake_request *request = sent(st);

    ck_assert_str_eq(request->method, method);
    ck_assert_str_eq(request->url, url);
    ck_assert_str_eq(request->body, body);
    ck_assert_str_eq(fake_io_header(io, last, "x-api-key"), "tml-secret");
}

/* Answer the open request; the future's status must be that one. */
static void answer(int http, const char *headers, const char *body, tkx_status expected)
{
    fake_io_answer(io, last, http, headers, body);
    fake_io_turn(io);
    ck_assert(tkx_future_is_done(future));
    const tkx_error *error = tkx_future_error(future);
    ck_assert_msg(tkx_error_status(error) == expected, "%s", tkx_error_message(error));
}

static void drop(void)
{
    tkx_future_unref(future);
    future = NULL;
}

START_TEST(lists_and_records_are_asked_for)
{
    tkx_page page = TKX_PAGE_INIT;
    tkx_training_run_list *runs;
    tkx_session_list *sessions;

    page.limit = 5;
    page.offset = 10;
    page.access_scope = "accessible";
    page.project_id = "a b&c";
    expect(tkx_rest_list_training_runs(rest, &page, &future, NULL), "GET",
           "http://x/api/v1/training_runs?limit=5&offset=10&access_scope=accessible"
           "&project_id=a+b%26c",
           "");
    answer(200, NULL,
           "{\"training_runs\":[],\"cursor\":{\"offset\":10,\"limit\":5,"
           "\"total_count\":10}}",
           TKX_OK);
    ck_assert_int_eq(tkx_future_take_session_list(future, &sessions, NULL),
                     TKX_ERR_INVALID_ARGUMENT);
    ck_assert_int_eq(tkx_future_take_training_run_list(future, &runs, NULL), TKX_OK);
    ck_assert_int_eq(runs->cursor.total_count, 10);
    tkx_training_run_list_free(runs);
    drop();
    expect(tkx_rest_get_training_run(rest, "S:train:0", NULL, &future, NULL), "GET",
           "http://x/api/v1/training_runs/S:train:0", "");
    answer(404, NULL, "{\"detail\":\"no such run\"}", TKX_ERR_HTTP);
    drop();
    expect(tkx_rest_list_run_checkpoints(rest, "r?#", &future, NULL), "GET",
           "http://x/api/v1/training_runs/r%3F%23/checkpoints", "");
    answer(200, NULL, "{\"checkpoints\":[]}", TKX_OK);
    drop();
    expect(tkx_rest_list_checkpoints(rest, NULL, &future, NULL), "GET",
           "http://x/api/v1/checkpoints", "");
    answer(200, NULL, "[]", TKX_ERR_PROTOCOL);
    drop();
    expect(tkx_rest_get_sampler(rest, "S:sample:0", &future, NULL), "GET",
           "http://x/api/v1/samplers/S:sample:0", "");
    answer(200, NULL, "{\"sampler_id\":\"S:sample:0\",\"base_model\":\"m\"}", TKX_OK);
}
END_TEST

START_TEST(checkpoints_are_changed)
{
    tkx_copy_weights_request copy = {
        .source_path = PATH, .ttl_seconds = -1, .destination_project_id = "p"};

    expect(tkx_rest_delete_checkpoint(rest, PATH, &future, NULL), "DELETE", CK, "");
    answer(204, NULL, "", TKX_OK);
    drop();
    expect(tkx_rest_publish_checkpoint(rest, PATH, &future, NULL), "POST", CK "/publish",
           "");
    answer(409, NULL, "{\"detail\":\"it is public already\"}", TKX_ERR_HTTP);
    drop();
    expect(tkx_rest_unpublish_checkpoint(rest, PATH, &future, NULL), "DELETE",
           CK "/publish", "");
    answer(200, NULL, "null", TKX_OK);
    drop();
    expect(tkx_rest_set_checkpoint_ttl(rest, PATH, -1, &future, NULL), "PUT", CK "/ttl",
           "{\"ttl_seconds\":null}");
    answer(200, NULL, "", TKX_OK);
    drop();
    sent(tkx_rest_copy_weights(rest, &copy, "tml-owner", &future, NULL));
    ck_assert_str_eq(fake_io_header(io, last, "x-tinker-weights-access-token"),
                     "tml-owner");
    ck_assert_str_eq(fake_io_header(io, last, "x-api-key"), "tml-secret");
    answer(200, NULL, "{\"tinker_path\":\"tinker://c/weights/x\"}", TKX_OK);
    drop();
    sent(tkx_rest_get_weights_info(rest, PATH, "tml-owner", &future, NULL));
    ck_assert_str_eq(fake_io_header(io, last, "x-api-key"), "tml-owner");
    answer(200, NULL, "{\"base_model\":\"m\",\"is_lora\":true}", TKX_OK);
}
END_TEST

/* A copy that is sent again must not become a second copy. */
START_TEST(a_copy_has_one_idempotency_key)
{
    tkx_copy_weights_request copy = {
        .source_path = PATH, .ttl_seconds = -1, .destination_project_id = "p"};
    char key[80];

    sent(tkx_rest_copy_weights(rest, &copy, NULL, &future, NULL));
    snprintf(key, sizeof key, "%s", fake_io_header(io, last, "x-idempotency-key"));
    fake_io_answer(io, last, 500, NULL, "{}");
    fake_io_advance(io, 60000);
    last = fake_io_find_open(io, 0, "copy_weights");
    ck_assert_uint_ne(last, FAKE_NONE);
    ck_assert_str_eq(fake_io_header(io, last, "x-idempotency-key"), key);
    answer(200, NULL, "{\"tinker_path\":\"tinker://c/weights/x\"}", TKX_OK);
}
END_TEST

START_TEST(sessions_and_accounts_are_asked_about)
{
    tkx_session_search search = TKX_SESSION_SEARCH_INIT;

    expect(tkx_rest_list_sessions(rest, NULL, &future, NULL), "GET",
           "http://x/api/v1/sessions", "");
    answer(200, NULL, "{\"sessions\":[\"S\"]}", TKX_OK);
    drop();
    expect(tkx_rest_get_session(rest, "S", "owned", &future, NULL), "GET",
           "http://x/api/v1/sessions/S?access_scope=owned", "");
    answer(200, NULL, "{\"training_run_ids\":[],\"sampler_ids\":[]}", TKX_OK);
    drop();
    expect(tkx_rest_search_sessions(rest, &search, &future, NULL), "POST",
           "http://x/api/v1/sessions/search",
           "{\"user_metadata\":{},\"limit\":50,\"owner\":{\"type\":\"own\"}}");
    answer(200, NULL, "{\"sessions\":[]}", TKX_OK);
    drop();
    expect(tkx_rest_set_session_project(rest, "S", "p", &future, NULL), "PUT",
           "http://x/api/v1/sessions/S/project", "{\"project_id\":\"p\"}");
    answer(204, NULL, "", TKX_OK);
    drop();
    expect(tkx_rest_export_trace(rest, "S", &future, NULL), "GET",
           "http://x/api/v1/sessions/S/trace_export", "");
    answer(200, NULL, "{\"status\":\"pending\"}", TKX_OK);
    drop();
    expect(tkx_rest_get_audit_log(rest, NULL, "2026-01-31", &future, NULL), "GET",
           "http://x/api/v1/audit?event_type=all&day=2026-01-31", "");
    answer(200, NULL, "{\"entries\":[]}", TKX_OK);
    drop();
    expect(tkx_rest_get_billing_usage(rest, "2026-01-01T00:00:00+02:00",
                                      "2026-01-02T00:00:00Z", &future, NULL),
           "GET",
           "http://x/api/v1/billing/usage/events?starting_on=2026-01-01T00%3A00%3A00"
           "%2B02%3A00&ending_before=2026-01-02T00%3A00%3A00Z",
           "");
    answer(200, NULL, "{\"data\":[],\"sessions\":{}}", TKX_OK);
    drop();
    expect(tkx_rest_get_checkpoint_storage(rest, NULL, &future, NULL), "GET",
           "http://x/api/v1/billing/usage/checkpoints/current", "");
    answer(200, NULL, "{\"effective_rate_usd_per_gigabyte_month\":null,\"data\":[]}",
           TKX_OK);
}
END_TEST

START_TEST(names_that_mean_other_places_are_refused)
{
    static const char *const ids[] = {"", ".", "..", NULL};
    tkx_error *err = NULL;

    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        ck_assert_int_eq(tkx_rest_get_session(rest, ids[i], NULL, &future, NULL),
                         TKX_ERR_INVALID_ARGUMENT);
        ck_assert_ptr_null(future);
    }
    ck_assert_int_eq(
        tkx_rest_delete_checkpoint(rest, "tinker://r/weights/..", &future, &err),
        TKX_ERR_INVALID_ARGUMENT);
    tkx_error_free(err);
    ck_assert_int_eq(tkx_rest_get_archive_url(rest, "gold://r/weights/x", &future, NULL),
                     TKX_ERR_INVALID_ARGUMENT);
    fake_io_turn(io);
    ck_assert_uint_eq(fake_io_n_sent(io), 0);
}
END_TEST

/* ---- the archive ---- */

static void expect_link(const char *url, tkx_time_us expires)
{
    tkx_archive_url *link;

    ck_assert_int_eq(tkx_future_take_archive_url(future, &link, NULL), TKX_OK);
    ck_assert_str_eq(link->url, url);
    ck_assert_int_eq(link->expires, expires);
    tkx_archive_url_free(link);
}

START_TEST(a_link_comes_as_json_or_as_a_redirect)
{
    expect(tkx_rest_get_archive_url(rest, PATH, &future, NULL), "GET", ARCHIVE, "");
    ck_assert(fake_io_sent(io, last)->no_redirects);
    answer(200, NULL, "{\"url\":\"https://s/a\",\"expires\":\"1970-01-01T00:00:01Z\"}",
           TKX_OK);
    expect_link("https://s/a", 1000000);
    drop();
    sent(tkx_rest_get_archive_url(rest, PATH, &future, NULL));
    answer(302, "Location: https://s/b\nExpires: Sun, 06 Nov 1994 08:49:37 GMT", "",
           TKX_OK);
    expect_link("https://s/b", INT64_C(784111777000000));
    drop();
    fake_io_set_wall(io, 0);
    sent(tkx_rest_get_archive_url(rest, PATH, &future, NULL));
    answer(307, "Location: https://s/c\nExpires: soon", "", TKX_OK);
    expect_link("https://s/c", INT64_C(900000000) + fake_io_now(io) * 1000);
}
END_TEST

START_TEST(a_link_that_is_no_web_address_is_refused)
{
    sent(tkx_rest_get_archive_url(rest, PATH, &future, NULL));
    answer(302, "Location: file:///etc/passwd", "", TKX_ERR_PROTOCOL);
    drop();
    sent(tkx_rest_get_archive_url(rest, PATH, &future, NULL));
    answer(302, NULL, "", TKX_ERR_PROTOCOL);
}
END_TEST

START_TEST(an_archive_in_the_making_is_asked_for_six_times)
{
    sent(tkx_rest_get_archive_url(rest, PATH, &future, NULL));
    for (int i = 0; i < 5; i++) {
        fake_io_answer(io, last, 503, "retry-after: 1", "{}");
        fake_io_advance(io, 29999);
        ck_assert_uint_eq(fake_io_find_open(io, 0, "archive"), FAKE_NONE);
        fake_io_advance(io, 1);
        last = fake_io_find_open(io, 0, "archive");
        ck_assert_uint_ne(last, FAKE_NONE);
    }
    answer(503, NULL, "{}", TKX_ERR_HTTP);
    ck_assert_uint_eq(fake_io_count(io, "archive"), 6);
}
END_TEST

START_TEST(a_sampler_checkpoint_is_known_by_its_bare_name)
{
    int status = _i ? 405 : 404;

    sent(tkx_rest_get_archive_url(rest, PATH, &future, NULL));
    fake_io_answer(io, last, status, NULL, "{\"detail\":\"no\"}");
    fake_io_turn(io);
    last = fake_io_find_open(io, 0, "/checkpoints/x%20y/archive");
    ck_assert_uint_ne(last, FAKE_NONE);
    answer(404, NULL, "{\"detail\":\"no\"}", TKX_ERR_HTTP);
    ck_assert_int_eq(tkx_error_http_status(tkx_future_error(future)), 404);
}
END_TEST

START_TEST(closing_ends_what_waits)
{
    sent(tkx_rest_get_archive_url(rest, PATH, &future, NULL));
    if (_i)
        fake_io_answer(io, last, 503, NULL, "{}");
    tkx_context_close(context, 0, 0, NULL);
    ck_assert(tkx_future_is_done(future));
    ck_assert_int_eq(tkx_error_status(tkx_future_error(future)), TKX_ERR_CLOSED);
}
END_TEST

/* ---- whole lists, traces, ourselves ---- */

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
    answer_page("http://x/api/v1/training_runs?limit=2&offset=0&project_id=p",
                "{\"training_runs\":[" RUN("a") "," RUN(
                    "b") "],"
                         "\"cursor\":{\"offset\":0,\"limit\":2,\"total_count\":3}}");
    answer_page("http://x/api/v1/training_runs?limit=2&offset=2&project_id=p",
                "{\"training_runs\":[" RUN(
                    "c") "],"
                         "\"cursor\":{\"offset\":2,\"limit\":2,\"total_count\":3}}");
    expect_told("abc", TKX_OK);

    ck_assert_int_eq(
        tkx_rest_each_training_run(rest, NULL, tell_run, &left, &future, NULL), TKX_OK);
    fake_io_turn(io);
    answer_page("http://x/api/v1/training_runs?limit=100&offset=0",
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
    answer_page("http://x/api/v1/sessions?limit=100&offset=0",
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
    Suite *suite = suite_create("rest");
    TCase *tc = tcase_create("rest");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, lists_and_records_are_asked_for);
    tcase_add_test(tc, checkpoints_are_changed);
    tcase_add_test(tc, a_copy_has_one_idempotency_key);
    tcase_add_test(tc, sessions_and_accounts_are_asked_about);
    tcase_add_test(tc, names_that_mean_other_places_are_refused);
    tcase_add_test(tc, a_link_comes_as_json_or_as_a_redirect);
    tcase_add_test(tc, a_link_that_is_no_web_address_is_refused);
    tcase_add_test(tc, an_archive_in_the_making_is_asked_for_six_times);
    tcase_add_loop_test(tc, a_sampler_checkpoint_is_known_by_its_bare_name, 0, 2);
    tcase_add_loop_test(tc, closing_ends_what_waits, 0, 2);
    tcase_add_test(tc, every_run_is_told_over_all_pages);
    tcase_add_test(tc, a_list_that_goes_on_for_ever_ends_with_an_empty_page);
    tcase_add_test(tc, a_walk_ends_with_the_error_of_a_page_and_when_it_is_given_up);
    tcase_add_test(tc, a_search_follows_the_cursor_until_it_stands_still);
    tcase_add_test(tc, a_trace_is_asked_for_until_it_is_there);
    tcase_add_test(tc, closing_ends_a_trace_that_is_waited_for);
    tcase_add_test(tc, the_service_says_how_it_is_and_what_it_has);
    tcase_add_test(tc, a_plain_key_does_not_say_whose_it_is);
    tcase_add_test(tc, a_token_says_whose_it_is);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
