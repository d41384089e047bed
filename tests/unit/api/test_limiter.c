/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_limiter.c - what is learnt from push-backs, alone and in the dispatch limits, on a
 * virtual clock.
 */
#include <stdlib.h>
#include <string.h>

#include "api/dispatch.h"
#include "api/limiter.h"
#include "support/fake_io.h"
#include "support/suite.h"

static tkx__limiter l;

static void init(const tkx_limiter_options *options)
{
    ck_assert_int_eq(tkx__limiter_init(&l, options, NULL), TKX_OK);
}

/* An episode as the protocol has it: a pause of 1 s and 10 s behind it. */
static void push_back(int64_t at, int inside)
{
    tkx__limiter_on_push_back(&l, at, at + 11000, inside);
}

START_TEST(the_first_push_back_changes_nothing)
{
    init(NULL);
    push_back(1000, 400);
    push_back(1500, 400); /* the same episode */
    push_back(5000, 300);
    ck_assert_int_eq(tkx__limiter_limit(&l), 400);
    ck_assert_uint_eq(l.n_push_backs, 3);
}
END_TEST

START_TEST(a_second_episode_soon_halves)
{
    init(NULL);
    push_back(1000, 400);
    push_back(13000, 400);
    ck_assert_int_eq(tkx__limiter_limit(&l), 200);
    push_back(14000, 400); /* inside that episode */
    ck_assert_int_eq(tkx__limiter_limit(&l), 200);
    push_back(26000, 120); /* fewer were under way than allowed */
    ck_assert_int_eq(tkx__limiter_limit(&l), 60);
    for (int64_t at = 40000; at < 200000; at += 13000)
        push_back(at, 400);
    ck_assert_int_eq(tkx__limiter_limit(&l), 10);
    ck_assert_uint_eq(l.n_cuts, 2 + 13);
}
END_TEST

START_TEST(episodes_far_apart_are_strangers)
{
    init(NULL);
    push_back(0, 400);
    push_back(11000 + 60001, 400);
    ck_assert_int_eq(tkx__limiter_limit(&l), 400);
    push_back(11000 + 60001 + 11000 + 60000, 400);
    ck_assert_int_eq(tkx__limiter_limit(&l), 200);
}
END_TEST

START_TEST(accepted_submits_add_one_for_each_round)
{
    init(NULL);
    push_back(0, 400);
    push_back(12000, 40);
    ck_assert_int_eq(tkx__limiter_limit(&l), 20);
    tkx__limiter_on_accepted(&l, 20000); /* still throttled: says nothing */
    for (int i = 0; i < 19; i++)
        tkx__limiter_on_accepted(&l, 30000);
    ck_assert_int_eq(tkx__limiter_limit(&l), 20);
    for (int i = 0; i < 2; i++)
        tkx__limiter_on_accepted(&l, 30000);
    ck_assert_int_eq(tkx__limiter_limit(&l), 21);
    for (int i = 0; i < 200000; i++)
        tkx__limiter_on_accepted(&l, 30000);
    ck_assert_int_eq(tkx__limiter_limit(&l), 400);
}
END_TEST

/* From training and polls: what samples have under way says nothing. */
START_TEST(push_backs_of_others_count_too)
{
    init(NULL);
    tkx__limiter_on_other_push_back(&l, 1000);
    tkx__limiter_on_other_push_back(&l, 11000);
    ck_assert_int_eq(tkx__limiter_limit(&l), 400);
    tkx__limiter_on_other_push_back(&l, 23000);
    ck_assert_int_eq(tkx__limiter_limit(&l), 200);
    push_back(30000, 150); /* one episode, whoever is pushed back */
    ck_assert_int_eq(tkx__limiter_limit(&l), 200);
    ck_assert_uint_eq(l.n_push_backs, 4);
}
END_TEST

START_TEST(switched_off_it_only_counts)
{
    tkx_limiter_options options = TKX_LIMITER_OPTIONS_INIT;

    options.is_off = 1;
    init(&options);
    push_back(0, 400);
    push_back(12000, 400);
    ck_assert_int_eq(tkx__limiter_limit(&l), 400);
    ck_assert_uint_eq(l.n_push_backs, 2);
}
END_TEST

START_TEST(bounds_are_checked)
{
    tkx_limiter_options options = TKX_LIMITER_OPTIONS_INIT;

    options.max_in_flight = 401;
    ck_assert_int_eq(tkx__limiter_init(&l, &options, NULL), TKX_ERR_INVALID_ARGUMENT);
    options.max_in_flight = 5;
    ck_assert_int_eq(tkx__limiter_init(&l, &options, NULL), TKX_OK);
    ck_assert_int_eq(l.options.min_in_flight, 5);
    options.min_in_flight = 6;
    ck_assert_int_eq(tkx__limiter_init(&l, &options, NULL), TKX_ERR_INVALID_ARGUMENT);
    options = (tkx_limiter_options){0};
    ck_assert_int_eq(tkx__limiter_init(&l, &options, NULL), TKX_ERR_INVALID_ARGUMENT);
}
END_TEST

/* --- in the dispatch limits ------------------------------------------------------ */

#define N_WAITS 600
static tkx__dispatch_wait waits[N_WAITS];
static int n_admitted;

static void admitted(tkx__dispatch_wait *wait)
{
    (void)wait;
    n_admitted++;
}

static int enter(tkx__dispatch *d, int from, int to, uint32_t bytes)
{
    int n = 0;

    for (int i = from; i < to; i++) {
        waits[i] = (tkx__dispatch_wait){.estimate = bytes};
        n += tkx__dispatch_enter(d, &waits[i]);
    }
    return n;
}

static void leave(tkx__dispatch *d, int from, int to)
{
    for (int i = from; i < to; i++)
        tkx__dispatch_leave(d, &waits[i]);
}

START_TEST(the_dispatch_keeps_to_it)
{
    fake_io *io = fake_io_new();
    tkx__site *site;

    init(NULL);
    const tkx__site_options options = {
        .io = *fake_io_table(io), .base_url = "http://x", .limiter = &l};
    ck_assert_int_eq(tkx__site_new(&options, &site, NULL), TKX_OK);
    tkx__dispatch *d = tkx__dispatch_new(site, admitted);
    ck_assert_int_eq(enter(d, 0, 401, 10), 400);
    ck_assert_int_eq(l.n_in_flight, 400);
    leave(d, 0, 401);
    ck_assert_int_eq(l.n_in_flight, 0);

    tkx__dispatch_push_back(d, 10);
    fake_io_advance(io, 11001);
    ck_assert_int_eq(enter(d, 0, 400, 10), 400); /* one push-back: as the protocol says */
    tkx__dispatch_push_back(d, 10);
    leave(d, 0, 400);
    ck_assert_int_eq(enter(d, 0, 20, 10), 10); /* throttled: its ten slots */
    leave(d, 0, 20);
    fake_io_advance(io, 11001);
    ck_assert_int_eq(enter(d, 0, 300, 10), 200); /* learnt */
    n_admitted = 0;
    leave(d, 0, 30);
    ck_assert_int_eq(n_admitted, 30); /* room for those who waited */
    leave(d, 30, 300);
    /* Half of the bytes as well: 10 MiB by default. */
    ck_assert_int_eq(enter(d, 0, 100, 1 << 20), 6);
    leave(d, 0, 100);
    tkx__dispatch_free(d);
    tkx__site_free(site);
    fake_io_free(io);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("limiter");
    TCase *tc = tcase_create("limiter");

    tcase_add_test(tc, the_first_push_back_changes_nothing);
    tcase_add_test(tc, a_second_episode_soon_halves);
    tcase_add_test(tc, episodes_far_apart_are_strangers);
    tcase_add_test(tc, accepted_submits_add_one_for_each_round);
    tcase_add_test(tc, push_backs_of_others_count_too);
    tcase_add_test(tc, switched_off_it_only_counts);
    tcase_add_test(tc, bounds_are_checked);
    tcase_add_test(tc, the_dispatch_keeps_to_it);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
