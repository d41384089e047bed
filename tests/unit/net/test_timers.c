/* SPDX-License-Identifier: Apache-2.0 */
/* test_timers.c - the order of timers, whatever is armed and disarmed. */
#include <stdlib.h>

#include "net/timers.h"
#include "support/fail_alloc.h"
#include "support/suite.h"

#define N 500

static tkx__timers timers;
static tkx__timer *made[N];
static int64_t due[N], last_due;
static int order[N], n_ran;

static void on_due(void *arg)
{
    size_t i = (size_t)((int64_t *)arg - due);

    ck_assert_int_ge(due[i], last_due);
    last_due = due[i];
    order[n_ran++] = (int)i;
}

static void make_all(void)
{
    for (int i = 0; i < N; i++) {
        made[i] = tkx__timers_new(&timers, on_due, &due[i]);
        ck_assert_ptr_nonnull(made[i]);
    }
}

static void free_all(void)
{
    for (int i = 0; i < N; i++)
        tkx__timers_free(&timers, made[i]);
    ck_assert_uint_eq(timers.size, 0);
    tkx__timers_clear(&timers);
}

/* Armed, moved and disarmed at random: what is left runs in order, once. */
START_TEST(random_moves_keep_the_order)
{
    int n_armed = 0;

    srand(1);
    for (int k = 0; k < 20 * N; k++) {
        int i = rand() % N;

        due[i] = rand() % 100;
        if (rand() % 4 == 0) {
            tkx__timers_disarm(&timers, made[i]);
            due[i] = -1;
        } else {
            tkx__timers_arm(&timers, made[i], due[i]);
        }
    }
    n_armed = (int)timers.size;
    ck_assert_uint_eq(tkx__timers_run(&timers, 49) + tkx__timers_run(&timers, 1000),
                      (size_t)n_armed);
    ck_assert_int_eq(n_ran, n_armed);
    ck_assert_int_eq(tkx__timers_next(&timers), INT64_MAX);
}
END_TEST

START_TEST(equal_deadlines_run_as_armed)
{
    for (int i = N - 1; i >= 0; i--)
        tkx__timers_arm(&timers, made[i], 5);
    tkx__timers_run(&timers, 5);
    for (int i = 0; i < N; i++)
        ck_assert_int_eq(order[i], N - 1 - i);
}
END_TEST

static void again(void *arg)
{
    n_ran++;
    tkx__timers_arm(&timers, *(tkx__timer **)arg, 0);
}

START_TEST(arming_itself_waits_for_the_next_turn)
{
    tkx__timer *self;

    self = tkx__timers_new(&timers, again, &self);
    tkx__timers_arm(&timers, self, 0);
    ck_assert_uint_eq(tkx__timers_run(&timers, 10), 1);
    ck_assert_uint_eq(tkx__timers_run(&timers, 10), 1);
    ck_assert_int_eq(n_ran, 2);
    tkx__timers_free(&timers, self);
}
END_TEST

START_TEST(short_memory_is_null)
{
    tkx__timers few = {0};

    for (size_t n = 1; n <= 2; n++) {
        fail_alloc_begin(n);
        ck_assert_ptr_null(tkx__timers_new(&few, on_due, NULL));
        tkx__timers_clear(&few);
        ck_assert_int_eq(fail_alloc_end(), 0);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("timers");
    TCase *tc = tcase_create("timers");

    tcase_add_checked_fixture(tc, make_all, free_all);
    tcase_add_test(tc, random_moves_keep_the_order);
    tcase_add_test(tc, equal_deadlines_run_as_armed);
    tcase_add_test(tc, arming_itself_waits_for_the_next_turn);
    tcase_add_test(tc, short_memory_is_null);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
