/* SPDX-License-Identifier: Apache-2.0 */
/* A session without heartbeats ends, and everything that belongs to it is refused. */
#include "e2e/mock_run.h"

#include <stdlib.h>

#include "support/suite.h"

static void open_session(mock_process *server, char id[128])
{
    mock_answer a = mock_post(server, "/api/v1/create_session",
                              "{\"tags\":[],\"sdk_version\":\"0.38.0\"}");
    ck_assert_int_eq(a.status, 200);
    mock_take_text(a.body, "session_id", id, 128);
    mock_answer_free(&a);
}

/* Opens a session and sends operations, no heartbeat, until the server refuses them. */
static long refusal_of_a_silent_session(const char *dialect)
{
    const char *const flags[] = {"--session-timeout-ms", "1", "--dialect", dialect, NULL};
    mock_process server = {0};
    mock_answer a = {.status = 200}, b;
    char id[128];
    long status;
    mock_process_start(&server, flags);
    open_session(&server, id);
    while (a.status == 200) {
        mock_answer_free(&a);
        a = mock_post(&server, "/api/v1/create_model",
                      "{\"session_id\":\"%s\",\"model_seq_id\":0,"
                      "\"base_model\":\"tkx/bytes\",\"lora_config\":{\"rank\":1}}",
                      id);
    }
    status = a.status;
    b = mock_post(&server, "/api/v1/session_heartbeat", "{\"session_id\":\"%s\"}", id);
    ck_assert_msg(b.status == status, "heartbeat: %ld %s", b.status, b.body);
    mock_answer_free(&a);
    mock_answer_free(&b);
    b = mock_post(&server, "/api/v1/sessions/search", "{}");
    if (b.status == 200)
        ck_assert_ptr_nonnull(strstr(b.body, "\"status\":null"));
    mock_answer_free(&b);
    ck_assert_int_eq(mock_process_stop(&server), 0);
    mock_process_remove(&server);
    return status;
}

START_TEST(a_silent_session_is_gone)
{
    ck_assert_int_eq(refusal_of_a_silent_session("hosted"), 410);
    ck_assert_int_eq(refusal_of_a_silent_session("hosted25"), 410);
    ck_assert_int_eq(refusal_of_a_silent_session("skyrl"), 404);
}
END_TEST

/* The first finish wins, of a session that timed out too. */
START_TEST(a_silent_session_can_still_be_finished)
{
    static const char *const flags[] = {"--session-timeout-ms", "1", NULL};
    mock_process server = {0};
    mock_answer a;
    char id[128], path[256];
    mock_process_start(&server, flags);
    open_session(&server, id);
    snprintf(path, sizeof path, "/api/v1/sessions/%s/finish", id);
    a = mock_post(&server, path, "{\"reason\":{\"type\":\"errored\"},\"detail\":null}");
    ck_assert_int_eq(a.status, 200);
    mock_answer_free(&a);
    a = mock_post(&server, path, "{\"reason\":{\"type\":\"success\"},\"detail\":null}");
    ck_assert_ptr_nonnull(strstr(a.body, "errored"));
    mock_answer_free(&a);
    ck_assert_int_eq(mock_process_stop(&server), 0);
    mock_process_remove(&server);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("mock_sessions");
    TCase *tc = tcase_create("all");
    tcase_add_test(tc, a_silent_session_is_gone);
    tcase_add_test(tc, a_silent_session_can_still_be_finished);
    suite_add_tcase(s, tc);
    return run_suite(s);
}
