/* SPDX-License-Identifier: Apache-2.0 */
/* The fault engine over real connections: each kind, before and after the operation. */
#include "e2e/mock_run.h"

#include <stdlib.h>

#include <curl/curl.h>

#include "support/suite.h"

static void set_faults(mock_run *r, const char *rules)
{
    mock_answer a = mock_post(&r->server, "/mock/scenario", "{\"rules\":[%s]}", rules);
    ck_assert_msg(a.status == 200, "%s", a.body);
    mock_answer_free(&a);
}

/* How often an operation with this number stands in the journal. */
static int times_applied(mock_run *r, const char *op, int seq)
{
    mock_answer a = mock_get(&r->server, "/mock/journal");
    char wanted[400];
    int n = 0;
    snprintf(wanted, sizeof wanted, "\"op\":\"%s\",\"model_id\":\"%s\",\"seq_id\":%d,",
             op, r->model, seq);
    for (const char *p = a.body; (p = strstr(p, wanted)) != NULL; p++)
        n++;
    mock_answer_free(&a);
    return n;
}

/* Resent until it is answered well, the step is there once, whatever was done to it. */
static void step_survives(mock_run *r, const char *rule, long first_status,
                          int first_code)
{
    mock_answer a, b;
    set_faults(r, rule);
    a = run_backward(r, r->seq);
    ck_assert_msg(a.status == first_status, "%s: %ld %s", rule, a.status, a.body);
    ck_assert_msg(a.curl_code == first_code, "%s: curl says %d", rule, a.curl_code);
    mock_answer_free(&a);
    a = run_backward(r, r->seq);
    ck_assert_msg(a.status == 200, "%s: then %ld %s", rule, a.status, a.body);
    b = mock_wait(&r->server, a.body);
    ck_assert_ptr_nonnull(strstr(b.body, "loss:sum"));
    ck_assert_int_eq(times_applied(r, "forward_backward", r->seq), 1);
    r->seq++;
    mock_answer_free(&a);
    mock_answer_free(&b);
}

#define RULE(rest) "{\"route\":\"POST /forward_backward\",\"nth\":[1]," rest "}"

START_TEST(no_fault_loses_or_doubles_a_step)
{
    mock_run r = {0};
    run_open(&r, NULL);
    step_survives(&r, RULE("\"phase\":\"before\",\"fault\":\"status\",\"status\":503"),
                  503, 0);
    step_survives(&r, RULE("\"phase\":\"after\",\"fault\":\"status\",\"status\":502"),
                  502, 0);
    step_survives(&r, RULE("\"phase\":\"before\",\"fault\":\"reset\""), 0,
                  CURLE_RECV_ERROR);
    step_survives(&r, RULE("\"phase\":\"after\",\"fault\":\"reset\""), 0,
                  CURLE_RECV_ERROR);
    step_survives(&r, RULE("\"phase\":\"before\",\"fault\":\"cut\",\"bytes\":1"), 200,
                  CURLE_PARTIAL_FILE);
    step_survives(&r, RULE("\"phase\":\"after\",\"fault\":\"cut\",\"bytes\":9"), 200,
                  CURLE_PARTIAL_FILE);
    step_survives(&r, RULE("\"phase\":\"before\",\"fault\":\"stall\",\"ms\":1"), 0,
                  CURLE_GOT_NOTHING);
    step_survives(&r,
                  RULE("\"phase\":\"after\",\"fault\":\"stall\",\"bytes\":5,\"ms\":1"),
                  200, CURLE_PARTIAL_FILE);
    step_survives(&r, RULE("\"phase\":\"after\",\"fault\":\"garbage\""), 200, 0);
    step_survives(&r, RULE("\"phase\":\"after\",\"fault\":\"content_type\""), 200, 0);
    step_survives(&r, RULE("\"phase\":\"after\",\"fault\":\"duplicate\""), 200, 0);
    step_survives(&r, RULE("\"phase\":\"before\",\"fault\":\"delay\",\"ms\":5"), 200, 0);
    step_survives(&r, RULE("\"phase\":\"after\",\"fault\":\"reorder\",\"ms\":5"), 200, 0);
    run_close(&r);
}
END_TEST

START_TEST(a_status_carries_its_headers_and_body)
{
    mock_run r = {0};
    mock_answer a;
    run_open(&r, NULL);
    set_faults(&r,
               "{\"route\":\"GET /training_runs/{id}\",\"nth\":[2],\"fault\":\"status\","
               "\"status\":402,\"headers\":{\"Retry-After\":\"7\"},\"body\":\"pay\"}");
    for (int i = 1; i <= 3; i++) {
        a = mock_get(&r.server, "/api/v1/training_runs/x");
        ck_assert_int_eq(a.status, i == 2 ? 402 : 404);
        ck_assert_int_eq(strcmp(a.body, "pay") == 0, i == 2);
        mock_answer_free(&a);
    }
    run_close(&r);
}
END_TEST

/* The operation is done, and its promise is gone. */
START_TEST(a_lost_promise_is_gone_for_good)
{
    mock_run r = {0};
    mock_answer a, b;
    run_open(&r, NULL);
    set_faults(&r, RULE("\"phase\":\"after\",\"fault\":\"lose\""));
    a = run_backward(&r, 1);
    b = mock_wait(&r.server, a.body);
    ck_assert_int_eq(b.status, 410);
    mock_answer_free(&a);
    mock_answer_free(&b);
    a = run_optim(&r, 2);
    b = mock_wait(&r.server, a.body);
    ck_assert_ptr_nonnull(strstr(b.body, "grad_norm"));
    ck_assert_int_eq(times_applied(&r, "forward_backward", 1), 1);
    mock_answer_free(&a);
    mock_answer_free(&b);
    run_close(&r);
}
END_TEST

START_TEST(a_wrong_scenario_is_refused)
{
    mock_run r = {0};
    mock_answer a;
    static const char *const bad[] = {
        "[]", "{\"rules\":[{}]}", "{\"rules\":[{\"route\":\"x\",\"fault\":\"cut\"}]}",
        "{\"rules\":[{\"route\":\"*\",\"fault\":\"bite\"}]}",
        "{\"rules\":[{\"route\":\"*\",\"fault\":\"cut\",\"nth\":\"some\"}]}"};
    run_open(&r, NULL);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        a = mock_post(&r.server, "/mock/scenario", "%s", bad[i]);
        ck_assert_msg(a.status == 400 || a.status == 422, "%s: %ld", bad[i], a.status);
        mock_answer_free(&a);
    }
    run_close(&r);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("mock_faults");
    TCase *tc = tcase_create("all");
    tcase_add_test(tc, no_fault_loses_or_doubles_a_step);
    tcase_add_test(tc, a_status_carries_its_headers_and_body);
    tcase_add_test(tc, a_lost_promise_is_gone_for_good);
    tcase_add_test(tc, a_wrong_scenario_is_refused);
    suite_add_tcase(s, tc);
    return run_suite(s);
}
