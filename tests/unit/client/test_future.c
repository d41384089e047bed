/* SPDX-License-Identifier: Apache-2.0 */
/* The cell: once, posted, taken once, given up with a stated outcome. */
#include <pthread.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "client/context.h"
#include "client/future.h"
#include "support/fail_alloc.h"
#include "support/fake_io.h"
#include "support/suite.h"

static int n_freed;

static void free_number(void *result)
{
    n_freed++;
    tkx__free(result);
}

static const tkx__result_type number = {"number", free_number};
static const tkx__result_type word = {"word", NULL};

static fake_io *fake;
static tkx_context *context;

static void open_world(void)
{
    tkx_context_options options = TKX_CONTEXT_OPTIONS_INIT;

    options.base_url = "http://h";
    fake = fake_io_new();
    ck_assert_int_eq(tkx__context_new_on(&options, fake_io_table(fake), &context, NULL),
                     TKX_OK);
}

static void close_world(void)
{
    tkx_context_free(context);
    fake_io_free(fake);
}

static int *new_number(int value)
{
    int *n = tkx__malloc(sizeof *n);

    *n = value;
    return n;
}

static void count_call(tkx_future *future, void *user_data)
{
    ck_assert(tkx_future_is_done(future));
    ++*(int *)user_data;
}

START_TEST(completes_once_and_tells_at_the_next_turn)
{
    tkx_future *f = tkx__future_new(context, &number, NULL, NULL, NULL);
    tkx_error *late = NULL;
    int n_early = 0, n_late = 0;
    void *out = NULL;

    ck_assert_int_eq(tkx_future_on_complete(f, count_call, &n_early, NULL), TKX_OK);
    tkx__future_succeed(f, new_number(7));
    ck_assert_int_eq(n_early, 0);
    ck_assert_int_eq(tkx_future_on_complete(f, count_call, &n_late, NULL), TKX_OK);
    ck_assert_int_eq(n_late, 0);
    fake_io_turn(fake);
    ck_assert_int_eq(n_early, 1);
    ck_assert_int_eq(n_late, 1);

    tkx__future_succeed(f, new_number(8)); /* dropped */
    ck_assert_int_eq(n_freed, 1);
    tkx__fail(&late, TKX_ERR_HTTP, "too late");
    tkx__future_fail(f, &late);
    ck_assert_ptr_null(tkx_future_error(f));
    ck_assert_int_eq(tkx__future_take(f, &number, &out, NULL), TKX_OK);
    ck_assert_int_eq(*(int *)out, 7);
    tkx__free(out);
    fake_io_turn(fake);
    ck_assert_int_eq(n_early, 1);
    tkx_future_unref(f);
    ck_assert_int_eq(n_freed, 1); /* taken: not freed again */
}
END_TEST

START_TEST(take_says_what_is_wrong)
{
    tkx_future *f = tkx__future_new(context, &number, NULL, NULL, NULL);
    tkx_error *err = NULL;
    void *out = NULL;

    ck_assert_int_eq(tkx__future_take(f, &word, &out, &err), TKX_ERR_INVALID_ARGUMENT);
    ck_assert_str_eq(tkx_error_message(err),
                     "this future's result: number; asked for: word");
    ck_assert_int_eq(tkx__future_take(f, &number, &out, &err), TKX_ERR_INVALID_STATE);
    tkx__future_succeed(f, new_number(1));
    ck_assert_int_eq(tkx__future_take(f, &number, &out, &err), TKX_OK);
    tkx__free(out);
    ck_assert_int_eq(tkx__future_take(f, &number, &out, &err), TKX_ERR_INVALID_STATE);
    ck_assert_ptr_nonnull(strstr(tkx_error_message(err), "taken before"));
    tkx_error_free(err);
    tkx_future_unref(f);
}
END_TEST

START_TEST(failure_is_copied_to_each_taker)
{
    tkx_future *f = tkx__future_new(context, &number, NULL, NULL, NULL);
    tkx__error_facts facts = TKX__ERROR_FACTS_INIT;
    tkx_error *err = NULL;
    void *out = NULL;

    facts.http_status = 422;
    tkx__fail_facts(&err, TKX_ERR_HTTP, &facts, "no good");
    tkx__future_fail(f, &err);
    ck_assert_ptr_null(err);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(tkx__future_take(f, &number, &out, &err), TKX_ERR_HTTP);
        ck_assert_int_eq(tkx_error_http_status(err), 422);
    }
    ck_assert_int_eq(tkx_error_status(tkx_future_error(f)), TKX_ERR_HTTP);
    tkx_error_free(err);
    tkx_future_unref(f);
}
END_TEST

static void wait_inside(tkx_future *future, void *user_data)
{
    tkx_future *other = user_data;
    tkx_error *err = NULL;

    ck_assert_int_eq(tkx_future_wait(future, -1, NULL), TKX_OK); /* completed: anywhere */
    ck_assert_int_eq(tkx_future_wait(other, -1, &err), TKX_ERR_WOULD_BLOCK);
    ck_assert_ptr_nonnull(strstr(tkx_error_message(err), "loop thread"));
    ck_assert_int_eq(tkx_future_wait(other, 0, &err), TKX_ERR_TIMEOUT); /* only a look */
    tkx_error_free(err);
}

START_TEST(waiting_on_the_loop_thread_is_refused)
{
    tkx_future *a = tkx__future_new(context, &number, NULL, NULL, NULL);
    tkx_future *b = tkx__future_new(context, &number, NULL, NULL, NULL);

    ck_assert_int_eq(tkx_future_on_complete(a, wait_inside, b, NULL), TKX_OK);
    tkx__future_succeed(a, NULL);
    fake_io_turn(fake);
    tkx__future_succeed(b, NULL);
    tkx_future_unref(a);
    tkx_future_unref(b);
}
END_TEST

static void *wait_elsewhere(void *arg)
{
    return (void *)(intptr_t)tkx_future_wait(arg, -1, NULL);
}

START_TEST(waiters_of_other_threads_wake)
{
    tkx_future *f = tkx__future_new(context, &number, NULL, NULL, NULL);
    pthread_t threads[4];
    void *status;

    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, wait_elsewhere, f), 0);
    tkx__future_succeed(f, NULL);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], &status);
        ck_assert_int_eq((int)(intptr_t)status, TKX_OK);
    }
    tkx_future_unref(f);
}
END_TEST

static void *wait_briefly(void *arg)
{
    tkx_error *err = NULL;

    ck_assert_int_eq(tkx_future_wait(arg, 1, &err), TKX_ERR_TIMEOUT);
    return err;
}

START_TEST(timeout_says_what_it_waits_for)
{
    tkx_future *f = tkx__future_new(context, &number, NULL, NULL, NULL);
    pthread_t thread;
    void *err;

    tkx__future_note_state(f, TKX_FUTURE_WAITING, 408);
    tkx__future_note_queue(f, TKX_QUEUE_STATE_PAUSED_CAPACITY, "no room");
    ck_assert_int_eq(pthread_create(&thread, NULL, wait_briefly, f), 0);
    pthread_join(thread, &err);
    ck_assert_ptr_nonnull(strstr(tkx_error_message(err), "it is waiting"));
    ck_assert_ptr_nonnull(strstr(tkx_error_message(err), "no room"));
    tkx_error_free(err);
    tkx__future_succeed(f, NULL);
    tkx_future_unref(f);
}
END_TEST

typedef struct ended {
    int n;
    tkx_status reason;
} ended;

static void on_end(tkx_future *future, tkx_status reason, void *arg)
{
    ended *e = arg;

    ck_assert(!tkx_future_is_done(future));
    e->n++;
    e->reason = reason;
}

START_TEST(cancel_states_its_outcome)
{
    static const struct {
        tkx__cancel_mode mode;
        tkx_cancel_outcome outcome;
    } cases[] = {{TKX__CANCEL_DETACH, TKX_CANCEL_DETACHED},
                 {TKX__CANCEL_REMOVE, TKX_CANCEL_REMOVED},
                 {TKX__CANCEL_TELL, TKX_CANCEL_SENT}};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ended e = {0, TKX_OK};
        tkx_future *f = tkx__future_new(context, &number, on_end, &e, NULL);

        ck_assert(tkx__future_set_cancel_mode(f, cases[i].mode));
        ck_assert_int_eq(tkx_future_cancel(f), cases[i].outcome);
        ck_assert_int_eq(tkx_future_cancel(f), TKX_CANCEL_TOO_LATE);
        ck_assert(!tkx__future_set_cancel_mode(f, TKX__CANCEL_TELL)); /* do not send */
        ck_assert_int_eq(e.n, 0);
        fake_io_turn(fake);
        ck_assert_int_eq(e.n, 1);
        ck_assert_int_eq(e.reason, TKX_ERR_CANCELLED);
        ck_assert_int_eq(tkx_error_status(tkx_future_error(f)), TKX_ERR_CANCELLED);
        tkx__future_succeed(f, new_number(3)); /* came all the same: dropped */
        tkx_future_unref(f);
    }
    ck_assert_int_eq(n_freed, 3);
}
END_TEST

START_TEST(a_result_before_the_cancel_is_handled_wins)
{
    ended e = {0, TKX_OK};
    tkx_future *f = tkx__future_new(context, &number, on_end, &e, NULL);

    ck_assert_int_eq(tkx_future_cancel(f), TKX_CANCEL_DETACHED);
    tkx__future_succeed(f, new_number(3));
    fake_io_turn(fake);
    ck_assert_int_eq(e.n, 0);
    ck_assert_ptr_null(tkx_future_error(f));
    ck_assert_int_eq(tkx_future_cancel(f), TKX_CANCEL_TOO_LATE);
    tkx_future_unref(f);
}
END_TEST

START_TEST(progress_counts_and_freezes)
{
    tkx_future *f = tkx__future_new(context, &number, NULL, NULL, NULL);
    tkx_future_progress_info p = TKX_FUTURE_PROGRESS_INIT;
    tkx_future_event events[16];

    fake_io_advance(fake, 10);
    tkx__future_note_state(f, TKX_FUTURE_SUBMITTING, 0);
    tkx__future_note_attempt(f, 100);
    fake_io_advance(fake, 5);
    tkx__future_note_state(f, TKX_FUTURE_WAITING, 200);
    for (int i = 0; i < 3; i++)
        tkx__future_note_poll(f);
    tkx__future_note_received(f, 77);
    fake_io_advance(fake, 100);
    ck_assert_int_eq(tkx_future_progress(f, &p, NULL), TKX_OK);
    ck_assert_int_eq(p.state, TKX_FUTURE_WAITING);
    ck_assert_int_eq((int)p.age_ms, 115);
    ck_assert_int_eq((int)p.state_age_ms, 100);
    ck_assert_uint_eq(p.n_attempts, 1);
    ck_assert_uint_eq(p.n_polls, 3);
    ck_assert_uint_eq(p.bytes_sent, 100);
    ck_assert_uint_eq(p.bytes_received, 77);
    ck_assert_int_eq(p.last_http_status, 200);
    tkx__future_succeed(f, NULL);
    fake_io_advance(fake, 1000);
    tkx_future_progress(f, &p, NULL);
    ck_assert_int_eq(p.state, TKX_FUTURE_DONE);
    ck_assert_int_eq((int)p.age_ms, 115);
    ck_assert_uint_eq(tkx_future_history(f, events, 16), 3);
    ck_assert_int_eq(events[1].state, TKX_FUTURE_WAITING);
    ck_assert_int_eq((int)events[1].at_ms, 15);
    ck_assert_int_eq(events[1].http_status, 200);
    p.struct_size = 0;
    ck_assert_int_eq(tkx_future_progress(f, &p, NULL), TKX_ERR_INVALID_ARGUMENT);
    tkx_future_unref(f);
}
END_TEST

START_TEST(history_is_a_ring_of_the_latest)
{
    tkx_future *f = tkx__future_new(context, &number, NULL, NULL, NULL);
    tkx_future_event events[16];

    for (int i = 0; i < 20; i++)
        tkx__future_note_state(f, TKX_FUTURE_WAITING, 400 + i);
    ck_assert_uint_eq(tkx_future_history(f, events, 16), 8);
    ck_assert_int_eq(events[0].http_status, 412);
    ck_assert_int_eq(events[7].http_status, 419);
    ck_assert_uint_eq(tkx_future_history(f, events, 2), 2);
    ck_assert_int_eq(events[1].http_status, 419);
    tkx__future_succeed(f, NULL);
    tkx_future_unref(f);
}
END_TEST

START_TEST(short_memory_is_a_clean_error)
{
    for (size_t n = 1;; n++) {
        tkx_error *err = NULL;
        tkx_future *f;
        int is_over, n_calls = 0;

        fail_alloc_begin(n);
        f = tkx__future_new(context, &number, NULL, NULL, &err);
        if (f) {
            if (tkx_future_on_complete(f, count_call, &n_calls, NULL) == TKX_OK)
                n_calls = -1;
            tkx__future_succeed(f, NULL);
            fake_io_turn(fake);
            ck_assert_int_eq(n_calls, 0);
            tkx_future_unref(f);
        } else {
            ck_assert_int_eq(tkx_error_status(err), TKX_ERR_NO_MEMORY);
            tkx_error_free(err);
        }
        is_over = !fail_alloc_hit();
        ck_assert_int_eq(fail_alloc_end(), 0);
        if (is_over)
            break;
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("future");
    TCase *tc = tcase_create("future");

    tcase_add_checked_fixture(tc, open_world, close_world);
    tcase_add_test(tc, completes_once_and_tells_at_the_next_turn);
    tcase_add_test(tc, take_says_what_is_wrong);
    tcase_add_test(tc, failure_is_copied_to_each_taker);
    tcase_add_test(tc, waiting_on_the_loop_thread_is_refused);
    tcase_add_test(tc, waiters_of_other_threads_wake);
    tcase_add_test(tc, timeout_says_what_it_waits_for);
    tcase_add_test(tc, cancel_states_its_outcome);
    tcase_add_test(tc, a_result_before_the_cancel_is_handled_wins);
    tcase_add_test(tc, progress_counts_and_freezes);
    tcase_add_test(tc, history_is_a_ring_of_the_latest);
    tcase_add_test(tc, short_memory_is_a_clean_error);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
