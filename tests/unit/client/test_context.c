/* SPDX-License-Identifier: Apache-2.0 */
/* Options, closing in its phases, and a real loop that comes and goes. */
#include <tkx/context.h>

#include <event2/event.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "client/context.h"
#include "client/future.h"
#include "support/fail_alloc.h"
#include "support/fake_io.h"
#include "support/proc.h"
#include "support/suite.h"

static const tkx__result_type nothing = {"nothing", NULL};

/* ---- options ---- */

START_TEST(environment_fills_what_is_not_given)
{
    tkx_context_options options = TKX_CONTEXT_OPTIONS_INIT;
    fake_io *fake = fake_io_new();
    tkx_context *context;

    setenv("TINKER_BASE_URL", "http://env:1/a//", 1);
    setenv("TINKER_API_KEY", "tml-env", 1);
    ck_assert_int_eq(tkx__context_new_on(NULL, fake_io_table(fake), &context, NULL),
                     TKX_OK);
    ck_assert_str_eq(tkx__context_options(context)->base_url, "http://env:1/a");
    ck_assert_str_eq(tkx__context_options(context)->api_key, "tml-env");
    tkx_context_free(context);
    setenv("TINKER_BASE_URL", "", 1); /* empty counts as unset */
    options.api_key = "tml-own";
    ck_assert_int_eq(tkx__context_new_on(&options, fake_io_table(fake), &context, NULL),
                     TKX_OK);
    ck_assert_str_eq(tkx__context_options(context)->base_url,
                     "https://tinker.thinkingmachines.dev/services/tinker-prod");
    ck_assert_str_eq(tkx__context_options(context)->api_key, "tml-own");
    tkx_context_free(context);
    fake_io_free(fake);
}
END_TEST

START_TEST(bad_options_are_refused)
{
    static const char *const urls[] = {
        "",           "h:1",          "ftp://h",    "http://",       "http:///p",
        "http://a b", "http://h?q=1", "http://u@h", "http://h/\nX: "};
    static const char *const headers[] = {"no colon", ": x", "a b: c", "X: a\r\nY: b"};
    tkx_context *context = NULL;

    for (size_t i = 1; i < sizeof urls / sizeof *urls; i++) {
        tkx_context_options options = TKX_CONTEXT_OPTIONS_INIT;

        options.base_url = urls[i];
        ck_assert_int_eq(tkx_context_new(&options, &context, NULL),
                         TKX_ERR_INVALID_ARGUMENT);
        ck_assert_ptr_null(context);
    }
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        tkx_context_options options = TKX_CONTEXT_OPTIONS_INIT;
        tkx_error *err = NULL;

        options.extra_headers = &headers[i];
        options.n_extra_headers = 1;
        ck_assert_int_eq(tkx_context_new(&options, &context, &err),
                         TKX_ERR_INVALID_ARGUMENT);
        ck_assert_ptr_null(
            strstr(tkx_error_message(err), headers[i])); /* maybe a secret */
        tkx_error_free(err);
    }
}
END_TEST

START_TEST(struct_of_another_version)
{
    struct {
        tkx_context_options known;
        char unknown[16];
    } newer = {.known = TKX_CONTEXT_OPTIONS_INIT};
    fake_io *fake = fake_io_new();
    tkx_context *context;

    newer.known.base_url = "http://h";
    newer.known.api_key = "tml-kept-out";
    newer.known.struct_size = offsetof(tkx_context_options, api_key);
    setenv("TINKER_API_KEY", "tml-env", 1);
    ck_assert_int_eq(
        tkx__context_new_on(&newer.known, fake_io_table(fake), &context, NULL), TKX_OK);
    ck_assert_str_eq(tkx__context_options(context)->api_key, "tml-env");
    tkx_context_free(context);
    newer.known.struct_size = sizeof newer;
    newer.unknown[3] = 1;
    ck_assert_int_eq(tkx_context_new(&newer.known, &context, NULL),
                     TKX_ERR_INVALID_ARGUMENT);
    newer.known.struct_size = 0;
    ck_assert_int_eq(tkx_context_new(&newer.known, &context, NULL),
                     TKX_ERR_INVALID_ARGUMENT);
    fake_io_free(fake);
}
END_TEST

/* ---- closing, on a virtual clock ---- */

typedef struct speaker {
    tkx__closer closer; /* first */
    int n_started, n_stopped;
    int64_t deadline_ms;
} speaker;

static void on_start(tkx__closer *closer, int64_t deadline_ms)
{
    speaker *s = (speaker *)closer;

    s->n_started++;
    s->deadline_ms = deadline_ms;
}

static void on_stop(tkx__closer *closer)
{
    ((speaker *)closer)->n_stopped++;
}

static fake_io *fake;
static tkx_context *context;
static speaker quick = {.closer = {.start = on_start, .stop = on_stop}};
static speaker slow = {.closer = {.start = on_start, .stop = on_stop}};
static tkx_future *pending;

static void open_world(void)
{
    tkx_context_options options = TKX_CONTEXT_OPTIONS_INIT;

    options.base_url = "http://h";
    fake = fake_io_new();
    ck_assert_int_eq(tkx__context_new_on(&options, fake_io_table(fake), &context, NULL),
                     TKX_OK);
    ck_assert(tkx__context_add_closer(context, &quick.closer));
    ck_assert(tkx__context_add_closer(context, &slow.closer));
    pending = tkx__future_new(context, &nothing, NULL, NULL, NULL);
}

static void close_world(void)
{
    tkx_future_unref(pending);
    tkx_context_free(context);
    fake_io_free(fake);
}

START_TEST(drains_then_says_farewell_then_ends)
{
    tkx__context_begin_close(context, TKX_CLOSE_DRAIN, 10000);
    ck_assert_ptr_null(tkx__future_new(context, &nothing, NULL, NULL, NULL));
    fake_io_advance(fake, 9000);
    ck_assert_int_eq(slow.n_started, 0);
    tkx__future_succeed(pending, NULL);
    fake_io_turn(fake);
    ck_assert_int_eq(slow.n_started + quick.n_started, 2);
    ck_assert_int_eq((int)slow.deadline_ms, 1000);
    tkx__closer_done(&quick.closer);
    fake_io_advance(fake, 500);
    ck_assert(!tkx__context_is_ended(context));
    tkx__closer_done(&slow.closer);
    fake_io_turn(fake);
    ck_assert(tkx__context_is_ended(context));
    ck_assert_int_eq(slow.n_stopped + quick.n_stopped, 2);
    ck_assert_ptr_null(tkx_future_error(pending));
}
END_TEST

START_TEST(without_drain_it_takes_two_seconds_at_most)
{
    tkx__context_begin_close(context, 0, -1);
    ck_assert_int_eq((int)quick.deadline_ms, 2000);
    fake_io_advance(fake, 1999);
    ck_assert(!tkx__context_is_ended(context));
    fake_io_advance(fake, 1);
    ck_assert(tkx__context_is_ended(context));
    ck_assert_int_eq(tkx_error_status(tkx_future_error(pending)), TKX_ERR_CLOSED);
}
END_TEST

START_TEST(deadline_zero_says_nothing)
{
    ck_assert_int_eq(tkx_context_close(context, 0, 0, NULL), TKX_OK);
    ck_assert_int_eq(quick.n_started, 0);
    ck_assert_int_eq(quick.n_stopped, 1);
    ck_assert_int_eq(tkx_error_status(tkx_future_error(pending)), TKX_ERR_CLOSED);
    ck_assert_int_eq(tkx_context_close(context, 0, 0, NULL), TKX_OK);
    ck_assert_int_eq(quick.n_stopped, 1);
    ck_assert(!tkx__context_add_closer(context, &quick.closer));
}
END_TEST

static void reenter(tkx_future *future, void *user_data)
{
    tkx_error *err = NULL;

    (void)future;
    ck_assert_ptr_null(tkx__future_new(context, &nothing, NULL, NULL, &err));
    ck_assert_int_eq(tkx_error_status(err), TKX_ERR_CLOSED);
    tkx_error_free(err);
    ++*(int *)user_data;
}

START_TEST(callbacks_run_before_the_end)
{
    int n = 0;

    tkx_future_on_complete(pending, reenter, &n, NULL);
    ck_assert_int_eq(tkx_context_close(context, 0, 0, NULL), TKX_OK);
    ck_assert_int_eq(n, 1);
}
END_TEST

/* ---- real loops ---- */

START_TEST(loop_thread_comes_and_goes)
{
    tkx_context_options options = TKX_CONTEXT_OPTIONS_INIT;
    tkx_context *real;
    tkx_future *f;
    int n_files;

    options.base_url = "http://h";
    ck_assert_int_eq(tkx_context_new(&options, &real, NULL),
                     TKX_OK); /* warms up libcurl */
    tkx_context_free(real);
    n_files = proc_n_files();
    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(tkx_context_new(&options, &real, NULL), TKX_OK);
        ck_assert(!tkx_context_is_loop_thread(real));
        f = tkx__future_new(real, &nothing, NULL, NULL, NULL);
        ck_assert_int_eq(tkx_future_wait(f, 0, NULL), TKX_ERR_TIMEOUT);
        if (i % 2)
            ck_assert_int_eq(tkx_context_close(real, 0, -1, NULL), TKX_OK);
        tkx_context_free(real);
        ck_assert_int_eq(tkx_error_status(tkx_future_error(f)), TKX_ERR_CLOSED);
        tkx_future_unref(f);
    }
    ck_assert_int_eq(proc_n_files(), n_files);
    proc_await_alone();
}
END_TEST

START_TEST(drain_cut_short_says_so)
{
    tkx_context_options options = TKX_CONTEXT_OPTIONS_INIT;
    tkx_error *err = NULL;
    tkx_context *real;
    tkx_future *f;

    options.base_url = "http://h";
    ck_assert_int_eq(tkx_context_new(&options, &real, NULL), TKX_OK);
    f = tkx__future_new(real, &nothing, NULL, NULL, NULL);
    ck_assert_int_eq(tkx_context_close(real, TKX_CLOSE_DRAIN, 1, &err), TKX_ERR_TIMEOUT);
    ck_assert_int_eq(tkx_error_status(tkx_future_error(f)), TKX_ERR_CLOSED);
    tkx_error_free(err);
    tkx_future_unref(f);
    tkx_context_free(real);
}
END_TEST

static void close_inside(tkx_future *future, void *user_data)
{
    tkx_context *own = user_data;

    (void)future;
    ck_assert(tkx_context_is_loop_thread(own));
    ck_assert_int_eq(tkx_context_close(own, 0, -1, NULL), TKX_ERR_WOULD_BLOCK);
    tkx_context_free(own); /* refused and logged */
}

static int n_logged;

static void count_errors(tkx_log_level level, const char *subject, const char *message,
                         void *user_data)
{
    (void)subject;
    (void)message;
    (void)user_data;
    n_logged += level == TKX_LOG_ERROR;
}

START_TEST(closing_on_the_loop_thread_is_refused)
{
    tkx_context_options options = TKX_CONTEXT_OPTIONS_INIT;
    tkx_context *real;
    tkx_future *f;

    options.base_url = "http://h";
    options.log_fn = count_errors;
    ck_assert_int_eq(tkx_context_new(&options, &real, NULL), TKX_OK);
    f = tkx__future_new(real, &nothing, NULL, NULL, NULL);
    tkx_future_on_complete(f, close_inside, real, NULL);
    tkx_future_cancel(f);
    ck_assert_int_eq(tkx_future_wait(f, -1, NULL), TKX_OK);
    tkx_future_unref(f);
    tkx_context_free(real);
    ck_assert_int_eq(n_logged, 1);
}
END_TEST

static void note_thread(tkx_future *future, void *user_data)
{
    (void)future;
    ck_assert(tkx_context_is_loop_thread(user_data));
}

/* With a lent base nothing runs but inside it, and there is no thread of ours. */
START_TEST(lent_base_runs_everything)
{
    tkx_context_options options = TKX_CONTEXT_OPTIONS_INIT;
    struct event_base *base = event_base_new();
    int n_threads = proc_n_threads();
    tkx_context *real;
    tkx_future *f;

    options.base_url = "http://h";
    options.event_base = base;
    ck_assert_int_eq(tkx_context_new(&options, &real, NULL), TKX_OK);
    ck_assert_int_eq(proc_n_threads(), n_threads);
    f = tkx__future_new(real, &nothing, NULL, NULL, NULL);
    tkx_future_on_complete(f, note_thread, real, NULL);
    tkx_future_cancel(f);
    ck_assert(!tkx_future_is_done(f));
    ck_assert_int_eq(tkx_future_wait(f, -1, NULL), TKX_ERR_WOULD_BLOCK);
    while (!tkx_future_is_done(f))
        ck_assert_int_eq(event_base_loop(base, EVLOOP_ONCE), 0);
    tkx_future_unref(f);
    ck_assert_int_eq(tkx_context_close(real, TKX_CLOSE_DRAIN, -1, NULL), TKX_OK);
    tkx_context_free(real);
    ck_assert_int_eq(event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED), 0);
    event_base_free(base);
}
END_TEST

START_TEST(short_memory_is_a_clean_error)
{
    tkx_context_options options = TKX_CONTEXT_OPTIONS_INIT;
    const char *header = "X-A: b";

    options.base_url = "http://h";
    options.ca_file = "/x";
    options.extra_headers = &header;
    options.n_extra_headers = 1;
    for (size_t n = 1;; n++) {
        tkx_context *real = NULL;
        tkx_error *err = NULL;
        int is_over;

        fail_alloc_begin(n);
        if (tkx_context_new(&options, &real, &err) != TKX_OK)
            ck_assert_int_eq(tkx_error_status(err), TKX_ERR_NO_MEMORY);
        tkx_error_free(err);
        tkx_context_free(real);
        is_over = !fail_alloc_hit();
        ck_assert_int_eq(fail_alloc_end(), 0);
        if (is_over)
            break;
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("context");
    TCase *options = tcase_create("options");
    TCase *closing = tcase_create("closing");
    TCase *real = tcase_create("real");

    tcase_add_test(options, environment_fills_what_is_not_given);
    tcase_add_test(options, bad_options_are_refused);
    tcase_add_test(options, struct_of_another_version);
    suite_add_tcase(suite, options);
    tcase_add_checked_fixture(closing, open_world, close_world);
    tcase_add_test(closing, drains_then_says_farewell_then_ends);
    tcase_add_test(closing, without_drain_it_takes_two_seconds_at_most);
    tcase_add_test(closing, deadline_zero_says_nothing);
    tcase_add_test(closing, callbacks_run_before_the_end);
    suite_add_tcase(suite, closing);
    tcase_add_test(real, loop_thread_comes_and_goes);
    tcase_add_test(real, drain_cut_short_says_so);
    tcase_add_test(real, closing_on_the_loop_thread_is_refused);
    tcase_add_test(real, lent_base_runs_everything);
    tcase_add_test(real, short_memory_is_a_clean_error);
    suite_add_tcase(suite, real);
    return run_suite(suite);
}
