/* SPDX-License-Identifier: Apache-2.0 */
/* What differs between the services that the server can stand for. */
#include "e2e/mock_run.h"

#include <stdlib.h>

#include "support/suite.h"

static const char *const hosted25[] = {"--dialect", "hosted25", NULL};
static const char *const skyrl[] = {"--dialect", "skyrl", NULL};
static const char *const strict[] = {"--strict", "--metadata-bytes", "1", NULL};

static long status_of(mock_run *r, const char *path, const char *body)
{
    mock_answer a = mock_post(&r->server, path, "%s", body);
    long status = a.status;
    mock_answer_free(&a);
    return status;
}

START_TEST(the_older_generation_lacks_the_newer_routes)
{
    mock_run r = {0};
    run_open(&r, hosted25);
    ck_assert_int_eq(status_of(&r, "/api/v1/retrieve_futures", "{}"), 404);
    ck_assert_int_eq(status_of(&r, "/api/v1/sessions/x/finish", "{}"), 404);
    ck_assert_int_eq(
        status_of(
            &r, "/api/v1/load_weights",
            "{\"session_id\":\"s\",\"model_seq_id\":1,\"path\":\"tinker://a/weights/b\","
            "\"optimizer\":false}"),
        422);
    run_step(&r);
    run_close(&r);
}
END_TEST

START_TEST(skyrl_fails_promises_with_400)
{
    mock_run r = {0};
    mock_answer a, b;
    run_open(&r, skyrl);
    ck_assert_int_eq(strncmp(r.model, "model_", 6), 0);
    a = mock_post(&r.server, "/api/v1/forward_backward",
                  "{\"forward_backward_input\":{\"data\":[" RUN_DATUM
                  "],\"loss_fn\":\"unheard\"},\"model_id\":\"%s\",\"seq_id\":1}",
                  r.model);
    b = mock_wait(&r.server, a.body);
    ck_assert_int_eq(b.status, 400);
    ck_assert_ptr_nonnull(strstr(b.body, "\"detail\""));
    mock_answer_free(&a);
    mock_answer_free(&b);
    ck_assert_int_eq(status_of(&r, "/api/v1/client/dynamic_config", "{}"), 404);
    run_close(&r);
}
END_TEST

/* Strict as the hosted service: protobuf alone, results announced before they are
   sent. */
START_TEST(strict_takes_protobuf_and_announces_results)
{
    mock_run r = {0};
    mock_answer a, b;
    char body[512];
    size_t n;
    run_open(&r, strict);
    a = run_backward(&r, 1);
    ck_assert_int_eq(a.status, 415);
    mock_answer_free(&a);
    /* model_id, seq_id 1, one empty datum, cross_entropy */
    n = (size_t)snprintf(body, sizeof body, "%c%c%s%c%c%c%c%c%c%s", 0x0a,
                         (int)strlen(r.model), r.model, 0x10, 1, 0x22, 13, 'c', 'r',
                         "oss_entropy");
    a = mock_send(&r.server,
                  &(mock_request){.method = "POST",
                                  .path = "/api/v1/forward_backward",
                                  .body = body,
                                  .size = n,
                                  .headers = {"Content-Type: application/x-protobuf"}});
    ck_assert_msg(a.status == 200, "%ld %s", a.status, a.body);
    b = mock_wait(&r.server, a.body);
    ck_assert_msg(strstr(b.body, "loss_fn_outputs") != NULL, "%s", b.body);
    mock_answer_free(&b);
    snprintf(body, sizeof body, "{\"request_id\":\"%s:1\",\"allow_metadata_only\":true}",
             r.model);
    mock_request poll = {.method = "POST",
                         .path = "/api/v1/retrieve_future",
                         .body = body,
                         .headers = {"Accept: application/x-protobuf"}};
    b = mock_send(&r.server, &poll);
    ck_assert_ptr_nonnull(strstr(b.body, "complete_metadata"));
    n = (size_t)mock_take_number(b.body, "response_payload_size");
    mock_answer_free(&b);
    snprintf(body, sizeof body, "{\"request_id\":\"%s:1\"}", r.model);
    b = mock_send(&r.server, &poll);
    ck_assert_str_eq(b.content_type, "application/x-protobuf");
    ck_assert_uint_eq(b.size, n);
    mock_answer_free(&a);
    mock_answer_free(&b);
    run_close(&r);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("mock_dialects");
    TCase *tc = tcase_create("all");
    tcase_add_test(tc, the_older_generation_lacks_the_newer_routes);
    tcase_add_test(tc, skyrl_fails_promises_with_400);
    tcase_add_test(tc, strict_takes_protobuf_and_announces_results);
    suite_add_tcase(s, tc);
    return run_suite(s);
}
