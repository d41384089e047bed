/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_deadline.c - no wait without an end or a reason: limits of calls, the latest
 * trouble as a cause, and the watchdog.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "scripted.h"
#include "support/suite.h"

static scripted s;

static void set_up(void)
{
    s = (scripted){0};
}

static tkx_future *optim_step(tkx_training *t)
{
    tkx_future *future = NULL;

    ck_assert_int_eq(tkx_training_optim_step(t, NULL, &future, NULL), TKX_OK);
    return future;
}

START_TEST(a_limited_step_gives_up_and_is_carried_out_all_the_same)
{
    scripted_begin(&s);
    tkx_training *t = scripted_lora(&s);
    s.held = "optim_step";
    tkx_future *a = optim_step(t);
    tkx_future *b = optim_step(t);
    ck_assert_int_eq(tkx_future_set_deadline(a, 5000, NULL), TKX_OK);
    fake_io_turn(s.io);
    fake_io_advance(s.io, 4999);
    ck_assert(!tkx_future_is_done(a));
    fake_io_advance(s.io, 1);
    scripted_expect(&s, a, TKX_ERR_TIMEOUT);
    ck_assert_ptr_nonnull(strstr(tkx_error_message(tkx_future_error(a)), "submitting"));
    ck_assert(!tkx_future_is_done(b)); /* the first still has the turn */
    s.held = NULL;
    fake_io_answer(s.io, scripted_last(&s, "optim_step"), 200, NULL,
                   "{\"request_id\":\"optim_step-x\"}");
    scripted_expect(&s, b, TKX_OK);
    ck_assert_uint_eq(fake_io_count(s.io, "optim_step"), 2);
    tkx_future_unref(a);
    tkx_future_unref(b);
    tkx_training_free(t);
    scripted_end(&s);
}
END_TEST

static void ten_seconds(tkx_context_options *options)
{
    options->call_timeout_ms = 10000;
}

/* Loop: where it hangs. */
START_TEST(the_contexts_limit_covers_every_call)
{
    static const char *const held[] = {"client/config", "create_session", "create_model",
                                       "retrieve_future", "get_info"};
    tkx_lora_options options = TKX_LORA_OPTIONS_INIT;
    tkx_future *future;

    s.tune = ten_seconds;
    s.held = held[_i];
    scripted_begin(&s);
    options.base_model = "acme/tiny";
    ck_assert_int_eq(tkx_service_create_lora(s.service, &options, &future, NULL), TKX_OK);
    fake_io_turn(s.io);
    fake_io_advance(s.io, 10000);
    scripted_expect(&s, future, TKX_ERR_TIMEOUT);
    tkx_future_unref(future);
    scripted_end(&s);
}
END_TEST

START_TEST(a_call_given_up_before_the_start_makes_no_model)
{
    tkx_lora_options options = TKX_LORA_OPTIONS_INIT;
    tkx_future *future;

    s.held = "create_session";
    scripted_begin(&s);
    options.base_model = "acme/tiny";
    options.timeout_ms = 3000;
    ck_assert_int_eq(tkx_service_create_lora(s.service, &options, &future, NULL), TKX_OK);
    fake_io_turn(s.io);
    fake_io_advance(s.io, 3000);
    scripted_expect(&s, future, TKX_ERR_TIMEOUT);
    s.held = NULL;
    fake_io_answer(s.io, scripted_last(&s, "create_session"), 200, NULL,
                   "{\"session_id\":\"S\"}");
    ck_assert_uint_eq(fake_io_count(s.io, "create_model"), 0);
    tkx_future_unref(future);
    scripted_end(&s);
}
END_TEST

/* What each kind of step is called with: limit_ms, in a struct of the given size (0: its
   own). */
static tkx_status limited_optim(tkx_training *t, int64_t limit_ms, size_t size,
                                tkx_future **out)
{
    tkx_optim_options o = TKX_OPTIM_OPTIONS_INIT;

    o.timeout_ms = limit_ms;
    if (size)
        o.struct_size = offsetof(tkx_optim_options, timeout_ms);
    return tkx_training_optim_step(t, &o, out, NULL);
}

static tkx_status limited_load(tkx_training *t, int64_t limit_ms, size_t size,
                               tkx_future **out)
{
    tkx_load_options o = TKX_LOAD_OPTIONS_INIT;

    o.timeout_ms = limit_ms;
    if (size)
        o.struct_size = offsetof(tkx_load_options, timeout_ms);
    return tkx_training_load_state(t, "tinker://M/weights/x", &o, out, NULL);
}

static tkx_status limited_save(tkx_training *t, int64_t limit_ms, size_t size,
                               tkx_future **out)
{
    tkx_save_options o = TKX_SAVE_OPTIONS_INIT;

    o.timeout_ms = limit_ms;
    if (size)
        o.struct_size = offsetof(tkx_save_options, timeout_ms);
    return tkx_training_save_state(t, "x", &o, out, NULL);
}

static tkx_status limited_sampler(tkx_training *t, int64_t limit_ms, size_t size,
                                  tkx_future **out)
{
    tkx_save_options o = TKX_SAVE_OPTIONS_INIT;

    o.timeout_ms = limit_ms;
    if (size)
        o.struct_size = offsetof(tkx_save_options, timeout_ms);
    return tkx_training_save_weights_for_sampler(t, "x", &o, out, NULL);
}

static tkx_status limited_external(tkx_training *t, int64_t limit_ms, size_t size,
                                   tkx_future **out)
{
    tkx_external_options o = TKX_EXTERNAL_OPTIONS_INIT;

    o.timeout_ms = limit_ms;
    if (size)
        o.struct_size = offsetof(tkx_external_options, timeout_ms);
    return tkx_training_save_weights_external(t, "x", &o, out, NULL);
}

static tkx_status limited_publish(tkx_training *t, int64_t limit_ms, size_t size,
                                  tkx_future **out)
{
    tkx_publish_options o = TKX_PUBLISH_OPTIONS_INIT;

    o.timeout_ms = limit_ms;
    if (size)
        o.struct_size = offsetof(tkx_publish_options, timeout_ms);
    return tkx_training_save_weights_and_get_sampling_client(t, &o, out, NULL);
}

/* No struct: the call itself has the limit, or none. */
static tkx_status limited_unload(tkx_training *t, int64_t limit_ms, size_t size,
                                 tkx_future **out)
{
    return tkx_training_unload(t, size ? 0 : limit_ms, out, NULL);
}

static tkx_status (*const limited[])(tkx_training *, int64_t, size_t, tkx_future **) = {
    limited_optim,    limited_load,    limited_save,  limited_sampler,
    limited_external, limited_publish, limited_unload};

/* Loop: the kind of step.  A struct from before the limit has none. */
START_TEST(each_step_may_have_a_limit_of_its_own)
{
    tkx_future *late, *old;

    scripted_begin(&s);
    tkx_training *t = scripted_lora(&s);
    s.held = "retrieve_future";
    ck_assert_int_eq(limited[_i](t, 3000, 0, &late), TKX_OK);
    ck_assert_int_eq(limited[_i](t, 3000, 1, &old), TKX_OK);
    fake_io_turn(s.io);
    fake_io_advance(s.io, 2999);
    ck_assert(!tkx_future_is_done(late));
    fake_io_advance(s.io, 1);
    scripted_expect(&s, late, TKX_ERR_TIMEOUT);
    ck_assert(!tkx_future_is_done(old));
    tkx_future_unref(late);
    tkx_future_unref(old);
    tkx_training_free(t);
    scripted_end(&s);
}
END_TEST

START_TEST(a_step_has_one_family_of_parameters)
{
    const tkx_adam_params adam = TKX_ADAM_PARAMS_INIT;
    const tkx_dimuon_params dimuon = TKX_DIMUON_PARAMS_INIT;
    tkx_optim_options o = TKX_OPTIM_OPTIONS_INIT;
    tkx_future *future = NULL;

    scripted_begin(&s);
    tkx_training *t = scripted_lora(&s);
    o.adam = &adam;
    o.dimuon = &dimuon;
    ck_assert_int_eq(tkx_training_optim_step(t, &o, &future, NULL),
                     TKX_ERR_INVALID_ARGUMENT);
    ck_assert_ptr_null(future);
    tkx_training_free(t);
    scripted_end(&s);
}
END_TEST

static void expect_cause(const tkx_error *error)
{
    const tkx_error *cause = tkx_error_cause(error);

    ck_assert_ptr_nonnull(cause);
    ck_assert_int_eq(tkx_error_http_status(cause), 503);
    ck_assert_ptr_nonnull(strstr(tkx_error_message(cause), "come back later"));
}

START_TEST(the_latest_trouble_is_the_cause)
{
    tkx_future_progress_info p = TKX_FUTURE_PROGRESS_INIT;
    tkx_error *err = NULL;

    scripted_begin(&s);
    tkx_training *t = scripted_lora(&s);
    s.busy = "optim_step";
    tkx_future *a = optim_step(t);
    ck_assert_int_eq(tkx_future_set_deadline(a, 20000, NULL), TKX_OK);
    fake_io_turn(s.io);
    fake_io_advance(s.io, 5000);
    ck_assert_int_eq(tkx_future_wait(a, 0, &err), TKX_ERR_TIMEOUT);
    expect_cause(err);
    tkx_error_free(err);
    ck_assert_int_eq(tkx_future_progress(a, &p, NULL), TKX_OK);
    ck_assert_int_eq(p.state, TKX_FUTURE_BACKING_OFF);
    ck_assert_int_eq(p.last_http_status, 503);
    ck_assert_uint_gt(p.n_attempts, 2);
    fake_io_advance(s.io, 15000);
    scripted_expect(&s, a, TKX_ERR_TIMEOUT);
    expect_cause(tkx_future_error(a));
    ck_assert_int_eq(tkx_error_get_domain(tkx_future_error(a)), TKX_ERROR_DOMAIN_LINK);
    tkx_future_unref(a);
    tkx_training_free(t);
    scripted_end(&s);
}
END_TEST

START_TEST(a_limit_of_something_that_completes_is_forgotten)
{
    scripted_begin(&s);
    tkx_training *t = scripted_lora(&s);
    tkx_future *a = optim_step(t);
    ck_assert_int_eq(tkx_future_set_deadline(a, 5000, NULL), TKX_OK);
    ck_assert_int_eq(tkx_future_set_deadline(a, 7000, NULL), TKX_OK);
    scripted_expect(&s, a, TKX_OK);
    ck_assert_int_eq(tkx_future_set_deadline(a, 1, NULL), TKX_OK);
    fake_io_advance(s.io, 10000);
    scripted_expect(&s, a, TKX_OK);
    tkx_future_unref(a);
    tkx_training_free(t);
    scripted_end(&s);
}
END_TEST

/* --- the watchdog ---------------------------------------------------------------- */

static struct {
    int n;
    char text[512];
} told;

static void on_stuck(tkx_future *future, void *user_data)
{
    (void)user_data;
    told.n++;
    tkx_future_describe(future, told.text, sizeof told.text);
}

static void watch_a_minute(tkx_context_options *options)
{
    options->stuck_after_ms = 60000;
    options->on_stuck = on_stuck;
}

START_TEST(who_waits_for_long_is_named_now_and_then)
{
    told.n = 0;
    s.tune = watch_a_minute;
    scripted_begin(&s);
    tkx_training *t = scripted_lora(&s);
    s.held = "retrieve_future";
    tkx_future *a = optim_step(t);
    fake_io_turn(s.io);
    fake_io_advance(s.io, 59000);
    ck_assert_int_eq(told.n, 0);
    fake_io_advance(s.io, 16000);
    ck_assert_int_eq(told.n, 1);
    ck_assert_ptr_nonnull(strstr(told.text, "optim_step result"));
    ck_assert_ptr_nonnull(strstr(told.text, "submitting"));
    ck_assert_ptr_nonnull(strstr(told.text, "waiting"));
    fake_io_advance(s.io, 60000);
    ck_assert_int_eq(told.n, 2); /* at two minutes */
    fake_io_advance(s.io, 60000);
    ck_assert_int_eq(told.n, 2);
    s.held = NULL;
    fake_io_advance(s.io, 60000);
    scripted_expect(&s, a, TKX_OK);
    fake_io_advance(s.io, 600000);
    ck_assert_int_eq(told.n, 2);
    tkx_future_unref(a);
    tkx_training_free(t);
    scripted_end(&s);
}
END_TEST

/* --- unreadable answers to a submit ---------------------------------------------- */

START_TEST(an_unreadable_handle_breaks_the_client)
{
    scripted_begin(&s); /* the service may have the step: its number is not free */
    tkx_training *t = scripted_lora(&s);
    s.garbled = "optim_step";
    tkx_future *a = optim_step(t);
    tkx_future *b = optim_step(t);
    scripted_expect(&s, a, TKX_ERR_PROTOCOL);
    ck_assert_uint_eq(fake_io_count(s.io, "optim_step"), 1);
    ck_assert_int_eq(tkx_error_seq_id(tkx_future_error(a)), 1);
    ck_assert_int_eq(tkx_error_attempts(tkx_future_error(a)), 1);
    scripted_expect(&s, b, TKX_ERR_CLIENT_BROKEN);
    tkx_future_unref(a);
    tkx_future_unref(b);
    tkx_training_free(t);
    scripted_end(&s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("deadline");
    TCase *tc = tcase_create("deadline");

    tcase_add_checked_fixture(tc, set_up, NULL);
    tcase_add_test(tc, a_limited_step_gives_up_and_is_carried_out_all_the_same);
    tcase_add_loop_test(tc, the_contexts_limit_covers_every_call, 0, 5);
    tcase_add_test(tc, a_call_given_up_before_the_start_makes_no_model);
    tcase_add_loop_test(tc, each_step_may_have_a_limit_of_its_own, 0,
                        sizeof limited / sizeof *limited);
    tcase_add_test(tc, a_step_has_one_family_of_parameters);
    tcase_add_test(tc, the_latest_trouble_is_the_cause);
    tcase_add_test(tc, a_limit_of_something_that_completes_is_forgotten);
    tcase_add_test(tc, who_waits_for_long_is_named_now_and_then);
    tcase_add_test(tc, an_unreadable_handle_breaks_the_client);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
