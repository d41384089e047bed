/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_service.c - what a service's options change on the wire, joining what exists
 * already, and the end of a session.
 */
#include <stdlib.h>
#include <string.h>

#include "client/context.h"
#include "scripted.h"
#include "support/suite.h"

static scripted s;
static tkx_service_options options;
static tkx_future *future;

static void set_up(void)
{
    memset(&s, 0, sizeof s);
    options = (tkx_service_options)TKX_SERVICE_OPTIONS_INIT;
    s.options = &options;
    future = NULL;
}

static void tear_down(void)
{
    tkx_future_unref(future);
    scripted_end(&s);
}

static void start(void)
{
    scripted_begin(&s);
    ck_assert_int_eq(tkx_service_start(s.service, &future, NULL), TKX_OK);
    scripted_expect(&s, future, TKX_OK);
    tkx_future_unref(future);
    future = NULL;
}

START_TEST(it_says_who_it_is)
{
    start();
    const char *agent = fake_io_header(s.io, 0, "user-agent");

    ck_assert_int_eq(strncmp(agent, "tkx/", 4), 0);
    ck_assert_ptr_nonnull(strstr(agent, " libcurl/"));
    ck_assert_str_eq(fake_io_header(s.io, 0, "x-stainless-package-version"), "0.38.0");
    ck_assert_str_eq(fake_io_sent(s.io, 0)->body, "{\"sdk_version\":\"0.38.0\"}");
}
END_TEST

START_TEST(options_change_version_headers_prefix_and_fields)
{
    const char *const headers[] = {"X-Team: a", "User-Agent: mine", "x-team: b"};
    const tkx_json_member extra = {"color", "{\"r\":1}"};

    options.sdk_version = "0.25.0";
    options.extra_headers = headers;
    options.n_extra_headers = 3;
    options.api_prefix = "v9//x/api/v1/";
    options.extra_json = (tkx_json_member_list){&extra, 1};
    start();
    ck_assert_str_eq(fake_io_sent(s.io, 0)->url, "http://x/v9/x/api/v1/client/config");
    ck_assert_str_eq(fake_io_sent(s.io, 0)->body, "{\"sdk_version\":\"0.25.0\"}");
    ck_assert_str_eq(fake_io_header(s.io, 0, "x-stainless-package-version"), "0.25.0");
    ck_assert_str_eq(fake_io_header(s.io, 0, "x-team"), "b");
    ck_assert_str_eq(fake_io_header(s.io, 0, "user-agent"), "mine");
    ck_assert_ptr_nonnull(
        strstr(fake_io_sent(s.io, scripted_last(&s, "create_session"))->body,
               "\"color\":{\"r\":1}"));
}
END_TEST

START_TEST(headers_and_prefixes_that_are_none_are_refused)
{
    const char *const bad[] = {"no colon", "A: b\r\nC: d"};
    tkx_service *other;

    start();
    options.n_extra_headers = 1;
    for (size_t i = 0; i < 2; i++) {
        options.extra_headers = &bad[i];
        ck_assert_int_eq(tkx_service_new(s.context, &options, &other, NULL),
                         TKX_ERR_INVALID_ARGUMENT);
    }
    options.n_extra_headers = 0;
    options.api_prefix = "/api?x=";
    ck_assert_int_eq(tkx_service_new(s.context, &options, &other, NULL),
                     TKX_ERR_INVALID_ARGUMENT);
}
END_TEST

START_TEST(a_session_of_somebody_else_is_kept_alive_and_left_alone)
{
    options.session_id = "T";
    start();
    ck_assert_str_eq(tkx_service_session_id(s.service), "T");
    ck_assert_uint_eq(fake_io_count(s.io, "create_session"), 0);
    fake_io_advance(s.io, 10000);
    ck_assert_str_eq(fake_io_sent(s.io, scripted_last(&s, "session_heartbeat"))->body,
                     "{\"session_id\":\"T\",\"type\":\"session_heartbeat\"}");
    tkx_service_free(s.service);
    s.service = NULL;
    fake_io_turn(s.io);
    ck_assert_uint_eq(fake_io_count(s.io, "/finish"), 0);
}
END_TEST

static void finish(tkx_finish_reason reason, const char *detail, tkx_status status)
{
    ck_assert_int_eq(tkx_service_finish(s.service, reason, detail, &future, NULL),
                     TKX_OK);
    scripted_expect(&s, future, status);
}

START_TEST(the_reason_of_the_end_is_told_once)
{
    tkx_future *late;

    start();
    finish(TKX_FINISH_ERRORED, "loss became nan", TKX_OK);
    ck_assert_str_eq(
        fake_io_sent(s.io, scripted_last(&s, "/finish"))->body,
        "{\"reason\":{\"type\":\"errored\"},\"detail\":\"loss became nan\"}");
    ck_assert_int_eq(tkx_service_get_capabilities(s.service, &late, NULL), TKX_OK);
    scripted_expect(&s, late, TKX_ERR_CLOSED);
    tkx_future_unref(late);
    fake_io_advance(s.io, 60000);
    ck_assert_uint_eq(fake_io_count(s.io, "session_heartbeat"), 0);
    tkx_service_free(s.service);
    s.service = NULL;
    fake_io_turn(s.io);
    ck_assert_uint_eq(fake_io_count(s.io, "/finish"), 1);
}
END_TEST

/* Freed, then closed: the usual end of a program. */
static size_t free_and_begin_to_close(void)
{
    s.held = "/finish";
    start();
    tkx_service_free(s.service);
    s.service = NULL;
    fake_io_turn(s.io);
    tkx__context_begin_close(s.context, 0, 2000);
    fake_io_turn(s.io);
    ck_assert(!tkx__context_is_ended(s.context));
    return scripted_last(&s, "/finish");
}

START_TEST(a_finish_on_its_way_is_waited_for_by_the_close)
{
    size_t i = free_and_begin_to_close();

    fake_io_answer(s.io, i, 200, NULL, "{}");
    fake_io_turn(s.io);
    ck_assert(tkx__context_is_ended(s.context));
}
END_TEST

START_TEST(a_finish_without_an_answer_does_not_hold_the_close_up)
{
    free_and_begin_to_close();
    fake_io_advance(s.io, 2000);
    ck_assert(tkx__context_is_ended(s.context));
}
END_TEST

START_TEST(an_older_service_has_no_finish)
{
    s.missing = "/finish";
    start();
    finish(TKX_FINISH_INTERRUPTED, NULL, TKX_OK);
}
END_TEST

START_TEST(a_finish_that_is_refused_is_told)
{
    s.refused = "/finish";
    start();
    finish(TKX_FINISH_SUCCESS, NULL, TKX_ERR_HTTP);
}
END_TEST

START_TEST(without_a_session_there_is_nothing_to_finish)
{
    scripted_begin(&s);
    finish(TKX_FINISH_SUCCESS, NULL, TKX_OK);
    ck_assert_uint_eq(fake_io_n_sent(s.io), 0);
}
END_TEST

START_TEST(closing_ends_a_finish_under_way)
{
    s.held = "/finish";
    start();
    ck_assert_int_eq(
        tkx_service_finish(s.service, TKX_FINISH_SUCCESS, NULL, &future, NULL), TKX_OK);
    fake_io_turn(s.io);
    tkx_context_close(s.context, 0, 0, NULL);
    scripted_expect(&s, future, TKX_ERR_CLOSED);
}
END_TEST

/* The number of the first sample of a copied client. */
static int64_t first_number(void)
{
    tkx_sampling_options o = TKX_SAMPLING_OPTIONS_INIT;
    tkx_sample_request request = TKX_SAMPLE_REQUEST_INIT;
    const int32_t tokens[] = {1, 2};
    const tkx_chunk chunk = tkx_chunk_text(tokens, 2);
    tkx_sampling *sampling;
    const char *at;

    scripted_begin(&s);
    o.sampling_session_id = "S:sample:0";
    ck_assert_int_eq(tkx_service_create_sampling(s.service, &o, &future, NULL), TKX_OK);
    scripted_expect(&s, future, TKX_OK);
    ck_assert_int_eq(tkx_future_take_sampling(future, &sampling, NULL), TKX_OK);
    tkx_future_unref(future);
    ck_assert_str_eq(tkx_sampling_id(sampling), "S:sample:0");
    ck_assert_str_eq(tkx_sampling_base_model(sampling), "acme/tiny");
    request.prompt = (tkx_model_input){&chunk, 1};
    ck_assert_int_eq(tkx_sampling_sample(sampling, &request, 0, &future, NULL), TKX_OK);
    scripted_expect(&s, future, TKX_OK);
    tkx_sampling_free(sampling);
    ck_assert_uint_eq(fake_io_count(s.io, "create_sampling_session"), 0);
    at = strstr(fake_io_sent(s.io, scripted_last(&s, "asample"))->body, "\"seq_id\":");
    return at ? strtoll(at + 9, NULL, 10) : -1;
}

START_TEST(a_copy_gets_its_numbers_from_the_service)
{
    s.config = "{\"sample_join_sampling_session\":true}";
    ck_assert_int_eq(first_number(), INT64_C(3000000000));
    ck_assert_str_eq(
        fake_io_sent(s.io, scripted_last(&s, "join_sampling_session"))->body,
        "{\"sampling_session_id\":\"S:sample:0\",\"type\":\"join_sampling_session\"}");
}
END_TEST

START_TEST(or_draws_them)
{
    int64_t first = first_number();

    ck_assert_uint_eq(fake_io_count(s.io, "join_sampling_session"), 0);
    ck_assert_int_ge(first, INT64_C(1000000000));
    ck_assert_int_eq(first % 1000000000, 0);
}
END_TEST

START_TEST(also_when_the_service_does_not_know_the_route)
{
    s.config = "{\"sample_join_sampling_session\":true}";
    s.missing = "join_sampling_session";
    ck_assert_int_eq(first_number() % 1000000000, 0);
}
END_TEST

static struct {
    tkx_queue_state state;
    char reason[32];
} seen[8];
static size_t n_seen;

static void on_queue(tkx_future *f, tkx_queue_state state, const char *reason, void *arg)
{
    (void)f, (void)arg;
    seen[n_seen].state = state;
    strcpy(seen[n_seen++].reason, reason ? reason : "");
}

START_TEST(the_queue_is_watched)
{
    tkx_training *training;

    options.on_queue = on_queue;
    s.queue = "{\"queue_state\":\"paused_capacity\",\"queue_state_reason\":\"busy\"}";
    n_seen = 0;
    scripted_begin(&s);
    training = scripted_lora(&s);
    ck_assert_uint_eq(n_seen, 2);
    ck_assert_int_eq(seen[0].state, TKX_QUEUE_STATE_PAUSED_CAPACITY);
    ck_assert_str_eq(seen[0].reason, "busy");
    ck_assert_int_eq(seen[1].state, TKX_QUEUE_STATE_ACTIVE);
    s.queue = "{\"queue_state\":\"something_new\"}";
    ck_assert_int_eq(tkx_training_optim_step(training, NULL, &future, NULL), TKX_OK);
    scripted_expect(&s, future, TKX_OK);
    ck_assert_uint_eq(n_seen, 4); /* a state that nobody knows is told as such */
    ck_assert_int_eq(seen[2].state, TKX_QUEUE_STATE_UNKNOWN);
    ck_assert_int_eq(seen[3].state, TKX_QUEUE_STATE_ACTIVE);
    tkx_training_free(training);
}
END_TEST

START_TEST(models_are_saved_elsewhere_and_unloaded)
{
    const char *const keys[] = {"age1x"};
    const tkx_json_member extra = {"note", "\"n\""};
    tkx_external_options o = TKX_EXTERNAL_OPTIONS_INIT;
    tkx_save_weights_result *saved;
    tkx_training *training;

    scripted_begin(&s);
    training = scripted_lora(&s);
    o.ttl_seconds = 3600;
    o.recipients = keys;
    o.n_recipients = 1;
    o.extra_json = (tkx_json_member_list){&extra, 1};
    ck_assert_int_eq(tkx_training_save_weights_external(training, "x", &o, &future, NULL),
                     TKX_OK);
    scripted_expect(&s, future, TKX_OK);
    ck_assert_int_eq(tkx_future_take_save_weights(future, &saved, NULL), TKX_OK);
    ck_assert_str_eq(saved->path, "tinker://M/external_weights/x");
    ck_assert_int_eq(saved->size_bytes, 9);
    tkx_save_weights_result_free(saved);
    tkx_future_unref(future);
    const char *body =
        fake_io_sent(s.io, scripted_last(&s, "save_weights_external"))->body;
    ck_assert_ptr_nonnull(strstr(body, "\"age_encryption_recipients\":[\"age1x\"]"));
    ck_assert_ptr_nonnull(strstr(body, "\"note\":\"n\""));
    ck_assert_ptr_nonnull(strstr(body, "\"seq_id\":1"));

    ck_assert_int_eq(tkx_training_unload(training, 0, &future, NULL), TKX_OK);
    scripted_expect(&s, future, TKX_OK);
    ck_assert_str_eq(fake_io_sent(s.io, scripted_last(&s, "unload_model"))->body,
                     "{\"model_id\":\"M\",\"type\":\"unload_model\"}");
    tkx_future_unref(future);
    s.missing = "unload_model";
    ck_assert_int_eq(tkx_training_unload(training, 0, &future, NULL), TKX_OK);
    scripted_expect(&s, future, TKX_OK);
    tkx_training_free(training);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("service");
    TCase *tcase = tcase_create("service");

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, it_says_who_it_is);
    tcase_add_test(tcase, options_change_version_headers_prefix_and_fields);
    tcase_add_test(tcase, headers_and_prefixes_that_are_none_are_refused);
    tcase_add_test(tcase, a_session_of_somebody_else_is_kept_alive_and_left_alone);
    tcase_add_test(tcase, the_reason_of_the_end_is_told_once);
    tcase_add_test(tcase, a_finish_on_its_way_is_waited_for_by_the_close);
    tcase_add_test(tcase, a_finish_without_an_answer_does_not_hold_the_close_up);
    tcase_add_test(tcase, an_older_service_has_no_finish);
    tcase_add_test(tcase, a_finish_that_is_refused_is_told);
    tcase_add_test(tcase, without_a_session_there_is_nothing_to_finish);
    tcase_add_test(tcase, closing_ends_a_finish_under_way);
    tcase_add_test(tcase, a_copy_gets_its_numbers_from_the_service);
    tcase_add_test(tcase, or_draws_them);
    tcase_add_test(tcase, also_when_the_service_does_not_know_the_route);
    tcase_add_test(tcase, the_queue_is_watched);
    tcase_add_test(tcase, models_are_saved_elsewhere_and_unloaded);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
