/* SPDX-License-Identifier: Apache-2.0 */
/* When a service counts as lost, and for how long. */
#include "api/reach.h"

#include "support/suite.h"

static int n_lost;
static int n_opened;

static void on_lost(void *arg, bool is_breaker)
{
    (void)arg;
    if (is_breaker)
        n_opened++;
    else
        n_lost++;
}

static tkx__reach reach;
static tkx__reach_watch watch = {.lost = on_lost};

static void begin(void)
{
    reach = (tkx__reach){0};
    n_lost = n_opened = 0;
    tkx__reach_add(&reach, &watch);
}

/* Many requests that fail together are one failure; a second one after it is two. */
START_TEST(two_failures_in_a_row)
{
    for (int i = 0; i < 64; i++)
        tkx__reach_unanswered(&reach, 10 + i % 3, 100, false);
    ck_assert_int_eq(n_lost, 0);
    ck_assert(!tkx__reach_is_lost(&reach, 100));
    tkx__reach_unanswered(&reach, 100, 150, false);
    ck_assert_int_eq(n_lost, 1);
    ck_assert(tkx__reach_is_lost(&reach, 150));
    tkx__reach_unanswered(&reach, 200, 250, false); /* told each time */
    ck_assert_int_eq(n_lost, 2);
}
END_TEST

START_TEST(an_answer_in_between)
{
    tkx__reach_unanswered(&reach, 10, 20, false);
    tkx__reach_answered(&reach);
    tkx__reach_unanswered(&reach, 30, 40, false);
    ck_assert_int_eq(n_lost, 0);
    tkx__reach_unanswered(&reach, 40, 50, false);
    ck_assert_int_eq(n_lost, 1);
    tkx__reach_answered(&reach);
    ck_assert(!tkx__reach_is_lost(&reach, 60));
}
END_TEST

START_TEST(hopeless_at_once_and_forgotten)
{
    tkx__reach_unanswered(&reach, 10, 20, true);
    ck_assert_int_eq(n_lost, 1);
    ck_assert(tkx__reach_is_lost(&reach, 20 + TKX__REACH_FORGET_MS - 1));
    ck_assert(!tkx__reach_is_lost(&reach, 20 + TKX__REACH_FORGET_MS));
}
END_TEST

START_TEST(breakers_and_leaving)
{
    tkx__reach_watch other = {.lost = on_lost};

    tkx__reach_add(&reach, &other);
    tkx__reach_opened(&reach);
    ck_assert_int_eq(n_opened, 2);
    ck_assert(!tkx__reach_is_lost(&reach, 0));
    tkx__reach_remove(&reach, &watch);
    tkx__reach_remove(&reach, &watch); /* harmless */
    tkx__reach_opened(&reach);
    ck_assert_int_eq(n_opened, 3);
    tkx__reach_remove(&reach, &other);
    ck_assert_ptr_null(reach.watches);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reach");
    TCase *tc = tcase_create("reach");

    tcase_add_checked_fixture(tc, begin, NULL);
    tcase_add_test(tc, two_failures_in_a_row);
    tcase_add_test(tc, an_answer_in_between);
    tcase_add_test(tc, hopeless_at_once_and_forgotten);
    tcase_add_test(tc, breakers_and_leaving);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
