/* SPDX-License-Identifier: Apache-2.0 */
/*
 * e2e_client_resume.c - a run that was cut off, while the service still has its
 * session and model.
 */
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

#include "e2e/resume_run.h"
#include "support/suite.h"

START_TEST(goes_on_where_it_was_cut)
{
    run_and_die(5, 0, 1);
    run_resume(TKX_RESUME_REPLAY);
    ck_assert_int_eq(report->has_new_session, 0);
    ck_assert_int_eq(report->has_new_model, 0);
    ck_assert_uint_eq(report->n_calls, 5);
    ck_assert_uint_eq(report->n_forward_backward, 3);
    ck_assert_uint_eq(report->n_optim_steps, 2);
    ck_assert_uint_eq(report->n_pending_passes, 1);
    ck_assert_uint_eq(report->n_replayed, 0);
    ck_assert_uint_eq(report->n_confirmed + report->n_settled, 5);
    ck_assert_str_eq(report->model_id, tkx_training_model_id(training));
    run_finish_and_compare(5);
}
END_TEST

/* Whatever was on its way is on record or not; what is, gets its end. */
START_TEST(settles_what_was_on_its_way)
{
    run_and_die(6, 5, 1);
    run_resume(TKX_RESUME_REPLAY);
    ck_assert_int_eq(report->has_new_model, 0);
    ck_assert_uint_ge(report->n_calls, 6);
    ck_assert_uint_le(report->n_calls, 11);
    for (size_t i = 0; i < report->n_resumed_calls; i++) {
        const tkx_resumed_call *c = &report->calls[i];
        ck_assert_ptr_null(c->error);
        ck_assert(strcmp(c->op, "forward_backward") != 0 || c->forward_backward);
        ck_assert(strcmp(c->op, "optim_step") != 0 || c->optim_step);
    }
    run_finish_and_compare(report->n_calls);
}
END_TEST

/* The service carried it out, and its answer got lost. */
START_TEST(sends_again_what_was_not_answered)
{
    mock_answer a;
    tkx_future *future;

    run_open_client();
    run_open_journal(1);
    run_create(1);
    run_go(0, 3);
    a = mock_post(&server, "/mock/scenario",
                  "{\"rules\":[{\"route\":\"POST /optim_step\",\"nth\":[1],"
                  "\"phase\":\"after\",\"fault\":\"stall\",\"ms\":60000}]}");
    ck_assert_int_eq(a.status, 200);
    mock_answer_free(&a);
    future = run_call(3);
    while (run_count_applied() < 5) /* the model, three calls, this one */
        ;
    run_close_client(0);
    tkx_future_unref(future);
    run_resume(TKX_RESUME_REPLAY);
    ck_assert_int_eq(report->has_new_model, 0);
    ck_assert_uint_eq(report->n_calls, 4);
    ck_assert_uint_eq(report->n_resent, 1);
    ck_assert_uint_eq(report->n_resumed_calls, 1);
    ck_assert_str_eq(report->calls[0].op, "optim_step");
    ck_assert_ptr_nonnull(report->calls[0].optim_step);
    run_finish_and_compare(4);
}
END_TEST

/* The service was asked for a model, and nobody heard the answer. */
START_TEST(finds_a_model_that_was_only_asked_for)
{
    tkx_future *future;
    tkx_lora_options options = TKX_LORA_OPTIONS_INIT;
    mock_answer a = mock_post(&server, "/mock/scenario",
                              "{\"rules\":[{\"route\":\"POST /create_model\",\"nth\":[1],"
                              "\"phase\":\"after\",\"fault\":\"stall\",\"ms\":60000}]}");

    mock_answer_free(&a);
    run_open_client();
    run_open_journal(1);
    options.base_model = "tkx/bytes";
    options.lora.rank = 4;
    options.lora.seed = tkx_seed_i64(1);
    options.journal = journal;
    ck_assert_int_eq(tkx_service_create_lora(service, &options, &future, NULL), TKX_OK);
    for (int is_there = 0; !is_there;) {
        a = mock_get(&server, "/mock/journal");
        is_there = strstr(a.body, "create_model") != NULL;
        mock_answer_free(&a);
    }
    run_close_client(0);
    tkx_future_unref(future);
    run_resume(TKX_RESUME_REPLAY);
    ck_assert_int_eq(report->has_new_session, 0);
    ck_assert_int_eq(report->has_new_model, 0);
    ck_assert_uint_eq(report->n_calls, 0);
    a = mock_get(&server, "/mock/journal");
    ck_assert_ptr_null(strstr(strstr(a.body, "create_model") + 1, "create_model"));
    mock_answer_free(&a);
    run_finish_and_compare(0);
}
END_TEST

/* The number of rows, asked from outside while the client writes. */
static int count_rows(sqlite3 *db, const char *text)
{
    sqlite3_stmt *row = NULL;
    int n = 0;

    if (sqlite3_prepare_v2(db, text, -1, &row, NULL) == SQLITE_OK &&
        sqlite3_step(row) == SQLITE_ROW)
        n = sqlite3_column_int(row, 0);
    sqlite3_finalize(row);
    return n;
}

/* Wait until a server with a client in another process has carried out n operations; a
   client that ends by itself has failed. */
static void await_applied(pid_t pid, int n)
{
    int status;

    while (run_count_applied() < n)
        ck_assert_msg(waitpid(pid, &status, WNOHANG) == 0,
                      "the client ended with wait status %d before operation %d", status,
                      n);
}

/* A process of its own that does three calls and begins a fourth. */
static pid_t start_process(void)
{
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    run_open_client();
    run_open_journal(1);
    run_create(1);
    run_go(0, 3);
    run_call(3);
    for (;;)
        pause();
}

/* Killed when the service has answered and the answer is not on record: the file is
   locked from outside as soon as the call stands in it. */
START_TEST(killed_between_an_answer_and_its_record)
{
    sqlite3 *db;
    mock_answer a = mock_post(&server, "/mock/scenario",
                              "{\"rules\":[{\"route\":\"POST /optim_step\",\"nth\":[2],"
                              "\"phase\":\"before\",\"fault\":\"delay\",\"ms\":1000}]}");
    pid_t pid = start_process();
    int status, n_promised;

    mock_answer_free(&a);
    while (access(journal_path, F_OK) != 0)
        ;
    ck_assert_int_eq(sqlite3_open_v2(journal_path, &db, SQLITE_OPEN_READWRITE, NULL),
                     SQLITE_OK);
    sqlite3_busy_timeout(db, 10000);
    while (count_rows(db, "SELECT COUNT(*) FROM calls") < 4)
        ;
    ck_assert_int_eq(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    n_promised =
        count_rows(db, "SELECT COUNT(*) FROM parts WHERE request_id IS NOT NULL");
    await_applied(pid, 5);       /* the model and four calls */
    for (int i = 0; i < 20; i++) /* the answer is on its way meanwhile */
        run_count_applied();
    ck_assert_int_eq(kill(pid, SIGKILL), 0);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFSIGNALED(status));
    sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    sqlite3_close(db);
    ck_assert_int_le(n_promised, 4);
    run_resume(TKX_RESUME_REPLAY);
    ck_assert_int_eq(report->has_new_model, 0);
    ck_assert_uint_eq(report->n_calls, 4);
    ck_assert_int_eq(run_count_applied(), 5);
    run_finish_and_compare(4);
}
END_TEST

/* A dozen deaths in one run, each a little later than the one before. */
START_TEST(killed_a_dozen_times)
{
    size_t n_done = 0;

    for (int i = 0; i < 12; i++) {
        pid_t pid = fork();
        int status, wanted = i + 1;
        if (pid == 0) {
            if (i == 0) {
                run_open_client();
                run_open_journal(1);
                run_create(1);
            } else {
                run_resume(TKX_RESUME_REPLAY);
                n_done = report->n_calls;
            }
            for (size_t k = n_done; k < N_CALLS; k++)
                run_call(k); /* nobody waits: as much as possible is on its way */
            for (;;)
                pause();
        }
        await_applied(pid, wanted);
        ck_assert_int_eq(kill(pid, SIGKILL), 0);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    }
    run_resume(TKX_RESUME_REPLAY);
    ck_assert_int_eq(report->has_new_model, 0);
    run_finish_and_compare(report->n_calls);
}
END_TEST

START_TEST(a_client_of_the_same_process_can_be_resumed)
{
    tkx_future *future;

    run_open_client();
    run_open_journal(1);
    run_create(1);
    run_go(0, 4);
    tkx_training_free(training);
    training = NULL;
    future = run_begin_resume(TKX_RESUME_REPLAY);
    run_await(future);
    ck_assert_int_eq(tkx_future_take_resumed(future, &training, NULL, NULL), TKX_OK);
    tkx_future_unref(future);
    run_finish_and_compare(4);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("client_resume");
    TCase *tc = tcase_create("all");

    tcase_add_checked_fixture(tc, run_setup, run_teardown);
    tcase_add_test(tc, goes_on_where_it_was_cut);
    tcase_add_test(tc, settles_what_was_on_its_way);
    tcase_add_test(tc, sends_again_what_was_not_answered);
    tcase_add_test(tc, finds_a_model_that_was_only_asked_for);
    tcase_add_test(tc, killed_between_an_answer_and_its_record);
    tcase_add_test(tc, killed_a_dozen_times);
    tcase_add_test(tc, a_client_of_the_same_process_can_be_resumed);
    suite_add_tcase(s, tc);
    return run_suite(s);
}
