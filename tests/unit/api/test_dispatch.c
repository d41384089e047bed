/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_dispatch.c - the protocol's own limits of sample submits, to the byte: slots, what
 * a throttled one costs, how long a push-back lasts (behaviour checks 18 and 19).
 */
#include "api/dispatch.h"
#include "support/fake_io.h"
#include "support/suite.h"

static fake_io *io;
static tkx__site *site;
static tkx__dispatch *dispatch;
static tkx__dispatch_wait waits[401];

static void admitted(tkx__dispatch_wait *wait)
{
    (void)wait;
}

static void begin(int64_t budget_bytes)
{
    io = fake_io_new();
    fake_io_set_uniform(io, 0); /* no jitter */
    const tkx__site_options options = {.io = *fake_io_table(io), .base_url = "http://x"};
    ck_assert_int_eq(tkx__site_new(&options, &site, NULL), TKX_OK);
    site->config.sample_dispatch_bytes = budget_bytes;
    dispatch = tkx__dispatch_new(site, admitted);
}

static void finish(void)
{
    tkx__dispatch_free(dispatch);
    tkx__site_free(site);
    fake_io_free(io);
}

/* How many of n go in at once. */
static int enter(int n, uint32_t bytes)
{
    int n_in = 0;

    for (int i = 0; i < n; i++) {
        waits[i] = (tkx__dispatch_wait){.estimate = bytes};
        n_in += tkx__dispatch_enter(dispatch, &waits[i]);
    }
    return n_in;
}

static void leave(int n)
{
    for (int i = n - 1; i >= 0; i--)
        tkx__dispatch_leave(dispatch, &waits[i]);
}

START_TEST(there_are_400_slots)
{
    begin(10 << 20);
    ck_assert_int_eq(enter(401, 1), 400);
    leave(401);
    finish();
}
END_TEST

START_TEST(the_bytes_are_gone_when_the_balance_is_negative)
{
    begin(400);
    ck_assert_int_eq(enter(10, 200), 3); /* 200, 0, -200 */
    leave(10);
    ck_assert_int_eq(enter(10, 401), 1);
    leave(10);
    finish();
}
END_TEST

/* Loop: a byte too few, and enough. */
START_TEST(a_throttled_one_costs_twenty_times_its_bytes)
{
    begin(3999 + _i);
    tkx__dispatch_push_back(dispatch, 1);
    ck_assert_int_eq(enter(10, 200), 1 + _i);
    leave(10);
    finish();
}
END_TEST

/* It gives back what it took, though the service has pushed back meanwhile. */
START_TEST(who_was_inside_costs_what_it_did)
{
    begin(3999);
    ck_assert_int_eq(enter(1, 200), 1);
    tkx__dispatch_push_back(dispatch, 1);
    leave(1);
    fake_io_advance(io, 11000);
    ck_assert_int_eq(enter(25, 200), 20);
    leave(25);
    finish();
}
END_TEST

START_TEST(ten_seconds_behind_the_pause_are_throttled)
{
    begin(10 << 20);
    tkx__dispatch_push_back(dispatch, 1);
    fake_io_advance(io, 10999);
    ck_assert_int_eq(enter(20, 1), 10);
    leave(20);
    fake_io_advance(io, 1);
    ck_assert_int_eq(enter(20, 1), 20);
    leave(20);
    finish();
}
END_TEST

/* Loop: 128 KiB, and a byte more. */
START_TEST(large_prompts_pause_for_five_seconds)
{
    begin(10 << 20);
    tkx__dispatch_push_back(dispatch, (128 << 10) + _i);
    ck_assert_int_eq(tkx__dispatch_delay_ms(dispatch), _i ? 5000 : 1000);
    finish();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dispatch");
    TCase *tc = tcase_create("dispatch");

    tcase_add_test(tc, there_are_400_slots);
    tcase_add_test(tc, the_bytes_are_gone_when_the_balance_is_negative);
    tcase_add_loop_test(tc, a_throttled_one_costs_twenty_times_its_bytes, 0, 2);
    tcase_add_test(tc, who_was_inside_costs_what_it_did);
    tcase_add_test(tc, ten_seconds_behind_the_pause_are_throttled);
    tcase_add_loop_test(tc, large_prompts_pause_for_five_seconds, 0, 2);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
