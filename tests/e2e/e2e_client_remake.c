/* SPDX-License-Identifier: Apache-2.0 */
/*
 * e2e_client_remake.c - a run whose model the service has lost: made again, from its
 * state or from its beginning, with the bits of a run that nobody touched.
 */
#include <string.h>

#include "e2e/resume_run.h"
#include "support/suite.h"

/* Saved behind a pass that no step had used: its gradient is not in the state. */
START_TEST(a_lost_model_is_made_again_from_its_state)
{
    run_and_die(12, 0, 1);
    run_server_sql("DELETE FROM sessions; DELETE FROM models; DELETE FROM promises;");
    run_resume(TKX_RESUME_REPLAY);
    ck_assert_int_eq(report->has_new_session, 1);
    ck_assert_int_eq(report->has_new_model, 1);
    ck_assert_ptr_nonnull(strstr(report->from_path, "/weights/call-5"));
    ck_assert_uint_eq(report->n_replayed, 7); /* the pass before, and six behind */
    ck_assert_uint_eq(report->n_calls, 12);
    ck_assert_str_ne(report->model_id, report->old_model_id);
    run_finish_and_compare(12);
}
END_TEST

START_TEST(without_a_state_it_is_made_again_from_its_beginning)
{
    run_and_die(5, 0, 1);
    run_server_sql("UPDATE sessions SET finished_at=1;");
    run_resume(TKX_RESUME_REPLAY);
    ck_assert_int_eq(report->has_new_model, 1);
    ck_assert_ptr_null(report->from_path);
    ck_assert_uint_eq(report->n_replayed, 5);
    run_finish_and_compare(5);
}
END_TEST

/* A process that ends well finishes its session: the model is gone with it. */
START_TEST(a_finished_session_is_no_end)
{
    run_open_client();
    run_open_journal(1);
    run_create(1);
    run_go(0, 8);
    run_close_client(5000);
    run_resume(TKX_RESUME_REPLAY);
    ck_assert_int_eq(report->has_new_session, 1);
    ck_assert_int_eq(report->has_new_model, 1);
    run_finish_and_compare(8);
}
END_TEST

/* The state is gone too, but an older one, or the beginning, will do. */
START_TEST(a_state_that_cannot_be_loaded_is_passed_over)
{
    run_and_die(9, 0, 0);
    run_server_sql("DELETE FROM sessions; DELETE FROM models; DELETE FROM checkpoints;");
    run_resume(TKX_RESUME_REPLAY);
    ck_assert_int_eq(report->has_new_model, 1);
    ck_assert_ptr_null(report->from_path);
    ck_assert_uint_eq(report->n_calls, 9);
    run_finish_and_compare(9);
}
END_TEST

START_TEST(nothing_to_go_on_from_is_an_error)
{
    tkx_future *future;

    run_and_die(9, 0, 1);
    run_server_sql("DELETE FROM sessions; DELETE FROM models; DELETE FROM checkpoints;");
    run_open_client();
    run_open_journal(1);
    future = run_begin_resume(TKX_RESUME_REPLAY);
    ck_assert_int_eq(tkx_future_wait(future, -1, NULL), TKX_OK);
    ck_assert_int_eq(tkx_error_status(tkx_future_error(future)), TKX_ERR_NOT_FOUND);
    tkx_future_unref(future);
    run_close_client(5000);
}
END_TEST

START_TEST(a_restart_drops_what_followed_the_state)
{
    run_and_die(12, 0, 1);
    run_resume(TKX_RESUME_RESTART);
    ck_assert_int_eq(report->has_new_session, 0);
    ck_assert_int_eq(report->has_new_model, 1);
    ck_assert_uint_eq(report->n_calls, 6);
    ck_assert_uint_eq(report->n_pending_passes, 1);
    run_finish_and_compare(6);
}
END_TEST

/* Loop: the service gave a promise and lost it, and had carried the step out, or never
   did.  The client is told the same of both; behind the second it would wait for ever.
   Neither is guessed: the model is made again, with that step. */
START_TEST(a_lost_promise_is_no_lost_step)
{
    tkx_future *future;
    mock_answer a;

    run_open_client();
    run_open_journal(1);
    run_create(1);
    run_go(0, 3);
    a = mock_post(&server, "/mock/scenario",
                  "{\"rules\":[{\"route\":\"POST /optim_step\",\"nth\":[1],"
                  "\"phase\":\"%s\",\"fault\":\"lose\"}]}",
                  _i ? "before" : "after");
    ck_assert_int_eq(a.status, 200);
    mock_answer_free(&a);
    future = run_call(3);
    ck_assert_int_eq(tkx_future_wait(future, -1, NULL), TKX_OK);
    ck_assert_int_eq(tkx_error_status(tkx_future_error(future)), TKX_ERR_PROMISE_GONE);
    tkx_future_unref(future);
    while (!_i && run_count_applied() < 5)
        ; /* the model and four calls, the last one by itself */
    ck_assert_int_eq(run_count_applied(), _i ? 4 : 5);
    run_close_client(0);
    run_resume(TKX_RESUME_REPLAY);
    ck_assert_int_eq(report->has_new_session, 0);
    ck_assert_int_eq(report->has_new_model, 1);
    ck_assert_uint_eq(report->n_calls, 4);
    ck_assert_uint_eq(report->n_replayed, 4);
    run_finish_and_compare(4);
}
END_TEST

/* A resume that dies while it carries out again is resumed by the next. */
START_TEST(a_resume_can_be_cut_too)
{
    tkx_future *future;

    run_and_die(12, 0, 1);
    run_server_sql("DELETE FROM sessions; DELETE FROM models; DELETE FROM promises;");
    for (int i = 0; i < 4; i++) {
        run_open_client();
        run_open_journal(1);
        future = run_begin_resume(TKX_RESUME_REPLAY);
        tkx_future_wait(future, 5 * i, NULL);
        run_close_client(0);
        tkx_future_unref(future);
    }
    run_resume(TKX_RESUME_REPLAY);
    ck_assert_uint_eq(report->n_calls, 12);
    run_finish_and_compare(12);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("client_remake");
    TCase *tc = tcase_create("all");

    tcase_add_checked_fixture(tc, run_setup, run_teardown);
    tcase_add_test(tc, a_lost_model_is_made_again_from_its_state);
    tcase_add_test(tc, without_a_state_it_is_made_again_from_its_beginning);
    tcase_add_test(tc, a_finished_session_is_no_end);
    tcase_add_test(tc, a_state_that_cannot_be_loaded_is_passed_over);
    tcase_add_test(tc, nothing_to_go_on_from_is_an_error);
    tcase_add_test(tc, a_restart_drops_what_followed_the_state);
    tcase_add_loop_test(tc, a_lost_promise_is_no_lost_step, 0, 2);
    tcase_add_test(tc, a_resume_can_be_cut_too);
    suite_add_tcase(s, tc);
    return run_suite(s);
}
