/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_rest.c - the REST client on the fake io: what each method sends, and the rules of
 * the archive's link.
 */
#include <stdio.h>
#include <string.h>

#include <tkx/rest.h>

#include "rest_rig.h"
#include "support/suite.h"

#define PATH "tinker://S:train:0/sampler_weights/x y"
#define CK "http://x/api/v1/training_runs/S:train:0/checkpoints/sampler_weights/x%20y"
#define ARCHIVE CK "/archive"

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
           "http://x/api/v1/training_runs/S:train:0?access_scope=owned", "");
    answer(404, NULL, "{\"detail\":\"no such run\"}", TKX_ERR_HTTP);
    drop();
    expect(tkx_rest_list_run_checkpoints(rest, "r?#", &future, NULL), "GET",
           "http://x/api/v1/training_runs/r%3F%23/checkpoints", "");
    answer(200, NULL, "{\"checkpoints\":[]}", TKX_OK);
    drop();
    expect(tkx_rest_list_checkpoints(rest, NULL, &future, NULL), "GET",
           "http://x/api/v1/checkpoints?limit=100&offset=0", "");
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
           "http://x/api/v1/sessions?limit=20&offset=0&access_scope=owned", "");
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

START_TEST(a_link_that_is_pushed_back_is_asked_for_again)
{
    sent(tkx_rest_get_archive_url(rest, PATH, &future, NULL));
    fake_io_answer(io, last, 429, NULL, "{}");
    ck_assert_uint_eq(fake_io_find_open(io, 0, "archive"), FAKE_NONE);
    fake_io_advance(io, 2000);
    last = fake_io_find_open(io, 0, "archive");
    ck_assert_uint_ne(last, FAKE_NONE);
    answer(200, NULL,
           "{\"url\":\"https://store/x\",\"expires\":\"2030-01-01T00:00:00Z\"}", TKX_OK);
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

int main(void)
{
    Suite *suite = suite_create("rest");
    TCase *tc = tcase_create("rest");

    tcase_add_checked_fixture(tc, rest_set_up, rest_tear_down);
    tcase_add_test(tc, lists_and_records_are_asked_for);
    tcase_add_test(tc, checkpoints_are_changed);
    tcase_add_test(tc, a_copy_has_one_idempotency_key);
    tcase_add_test(tc, sessions_and_accounts_are_asked_about);
    tcase_add_test(tc, names_that_mean_other_places_are_refused);
    tcase_add_test(tc, a_link_comes_as_json_or_as_a_redirect);
    tcase_add_test(tc, a_link_that_is_no_web_address_is_refused);
    tcase_add_test(tc, an_archive_in_the_making_is_asked_for_six_times);
    tcase_add_test(tc, a_link_that_is_pushed_back_is_asked_for_again);
    tcase_add_loop_test(tc, a_sampler_checkpoint_is_known_by_its_bare_name, 0, 2);
    tcase_add_loop_test(tc, closing_ends_what_waits, 0, 2);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
