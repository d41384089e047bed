/* SPDX-License-Identifier: Apache-2.0 */
/* What a restart keeps: after SIGKILL at any point nothing is doubled and nothing is
 * lost. */
#include "e2e/mock_run.h"

#include <stdbool.h>
#include <stdlib.h>

#include "support/suite.h"

enum { N_STEPS = 12 };

/* The losses of a run; with kills the server dies in the middle of every step. */
static void train(bool with_kills, char losses[N_STEPS][32])
{
    mock_run r = {0};
    run_open(&r, NULL);
    for (int i = 0; i < N_STEPS; i++) {
        mock_answer a = run_backward(&r, r.seq), b, x, y;
        if (with_kills && i % 2 == 0) {
            mock_process_kill(&r.server);
            mock_process_start(&r.server, NULL);
        }
        b = run_optim(&r, r.seq + 1);
        if (with_kills) {
            mock_process_kill(&r.server);
            mock_process_start(&r.server, NULL);
        }
        x = mock_wait(&r.server, a.body);
        y = mock_wait(&r.server, b.body);
        snprintf(losses[i], sizeof losses[i], "%.17g",
                 mock_take_number(x.body, "loss:sum"));
        ck_assert_ptr_nonnull(strstr(y.body, "grad_norm"));
        r.seq += 2;
        mock_answer_free(&a);
        mock_answer_free(&b);
        mock_answer_free(&x);
        mock_answer_free(&y);
    }
    mock_answer j = mock_get(&r.server, "/mock/journal");
    int n = 0;
    for (const char *p = j.body; (p = strstr(p, "\"op\"")) != NULL; p++)
        n++;
    ck_assert_int_eq(n, 1 + 2 * N_STEPS);
    mock_answer_free(&j);
    run_close(&r);
}

START_TEST(a_killed_server_computes_the_same_run)
{
    char calm[N_STEPS][32], stormy[N_STEPS][32];
    train(false, calm);
    train(true, stormy);
    for (int i = 0; i < N_STEPS; i++)
        ck_assert_str_eq(calm[i], stormy[i]);
}
END_TEST

START_TEST(results_and_checkpoints_survive_a_restart)
{
    mock_run r = {0};
    mock_answer a, b, c;
    run_open(&r, NULL);
    a = run_backward(&r, 1);
    b = mock_wait(&r.server, a.body);
    ck_assert_int_eq(mock_process_stop(&r.server), 0);
    mock_process_start(&r.server, NULL);
    c = mock_wait(&r.server, a.body);
    ck_assert_str_eq(b.body, c.body);
    mock_answer_free(&a);
    mock_answer_free(&b);
    mock_answer_free(&c);
    run_close(&r);
}
END_TEST

START_TEST(without_its_state_a_server_knows_nothing)
{
    mock_run r = {0};
    mock_answer a;
    run_open(&r, NULL);
    mock_process_remove(&r.server);
    mock_process_start(&r.server, NULL);
    a = run_backward(&r, 1);
    ck_assert_int_eq(a.status, 404);
    mock_answer_free(&a);
    run_close(&r);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("mock_restart");
    TCase *tc = tcase_create("all");
    tcase_add_test(tc, a_killed_server_computes_the_same_run);
    tcase_add_test(tc, results_and_checkpoints_survive_a_restart);
    tcase_add_test(tc, without_its_state_a_server_knows_nothing);
    suite_add_tcase(s, tc);
    return run_suite(s);
}
