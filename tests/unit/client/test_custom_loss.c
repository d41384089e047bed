/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_custom_loss.c - forward, the user's function, backward (behaviour checks 23, 31),
 * and every way in which that can go wrong.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tkx/custom_loss.h>

#include "client/service.h"
#include "scripted.h"
#include "support/suite.h"

static scripted s;
static const int32_t tokens[] = {1};
static const int64_t targets[] = {2};
static const float weights[] = {3};
static const float advantages[] = {9};
static const tkx_named_tensor inputs[] = {
    {"target_tokens", {.dtype = TKX_DTYPE_INT64, .n_values = 1, .values.i64 = targets}},
    {"advantages", {.dtype = TKX_DTYPE_FLOAT32, .n_values = 1, .values.f32 = advantages}},
    {"weights", {.dtype = TKX_DTYPE_FLOAT32, .n_values = 1, .values.f32 = weights}},
};
static const tkx_chunk chunk = {.kind = TKX_CHUNK_TEXT, .tokens = tokens, .n_tokens = 1};
static tkx_datum data[3];

static struct {
    int n_calls, n_released;
    int result; /* of the loss */
    float gradient;
    size_t n_items;
    float logprob;
    bool saw_advantages;
} seen;

static void set_up(void)
{
    s = (scripted){0};
    memset(&seen, 0, sizeof seen);
    seen.gradient = -1;
    for (size_t i = 0; i < 3; i++)
        data[i] = (tkx_datum){
            .model_input = {&chunk, 1}, .loss_fn_inputs = inputs, .n_loss_fn_inputs = 2};
}

/* C = -sum(logprob), unless told otherwise. */
static int loss(tkx_custom_item *items, size_t n_items, tkx_custom_report *report,
                void *user_data)
{
    double sum = 0;

    ck_assert_ptr_eq(user_data, &seen);
    seen.n_calls++;
    seen.n_items = n_items;
    for (size_t i = 0; i < n_items; i++) {
        ck_assert_uint_eq(items[i].n, 1);
        ck_assert_uint_eq(items[i].n_columns, 1);
        seen.logprob = items[i].logprobs[0];
        seen.saw_advantages = items[i].datum->n_loss_fn_inputs == 2;
        items[i].gradient[0] = seen.gradient;
        sum -= (double)items[i].logprobs[0];
    }
    if (seen.result)
        tkx_custom_report_failure(report, "no reward today");
    tkx_custom_report_loss(report, sum);
    tkx_custom_report_metric(report, "reward:mean", 0.5);
    tkx_custom_report_metric(report, "reward:mean", 0.75);
    return seen.result;
}

static void on_released(void *arg)
{
    (void)arg;
    seen.n_released++;
}

static tkx_future *custom(tkx_training *t, size_t n)
{
    tkx_custom_loss_options options = TKX_CUSTOM_LOSS_OPTIONS_INIT;
    tkx_future *future = NULL;

    options.on_released = on_released;
    ck_assert_int_eq(tkx_training_forward_backward_custom(t, data, n, loss, &seen,
                                                          &options, &future, NULL),
                     TKX_OK);
    return future;
}

static tkx_future *optim_step(tkx_training *t)
{
    tkx_future *future = NULL;
    ck_assert_int_eq(tkx_training_optim_step(t, NULL, &future, NULL), TKX_OK);
    return future;
}

/* JSON bodies, so that the test can read them, and as many requests as datums. */
static tkx_training *begin(void)
{
    s.config = "{\"fwdbwd_max_chunk_len\":1}";
    scripted_begin(&s);
    s.service->site->no_protobuf = true;
    return scripted_lora(&s);
}

static const char *body(const char *route, size_t k)
{
    return fake_io_sent(s.io, scripted_nth(&s, route, k))->body;
}

/* Each number from 1 on was taken once: nothing is missing, nothing stands twice. */
static void expect_whole_sequence(int n)
{
    int seen_at[64] = {0};

    for (size_t i = 0; i < fake_io_n_sent(s.io); i++) {
        const fake_request *r = fake_io_sent(s.io, i);
        const char *at = strstr(r->body, "\"seq_id\":");
        if (at && !strstr(r->url, "asample") && r->state == FAKE_ANSWERED)
            seen_at[atoi(at + 9) & 63]++;
    }
    for (int k = 1; k <= n; k++)
        ck_assert_msg(seen_at[k] >= 1, "seq_id %d was never sent", k);
}

START_TEST(weights_are_the_negative_gradient)
{
    tkx_forward_backward_output *output;

    tkx_training *t = begin();
    tkx_future *a = custom(t, 1);
    tkx_future *b = optim_step(t);
    scripted_expect(&s, a, TKX_OK);
    scripted_expect(&s, b, TKX_OK);
    ck_assert_int_eq(seen.n_calls, 1);
    ck_assert(seen.saw_advantages);
    ck_assert(fabsf(seen.logprob + 1.5f) < 1e-6f);
    /* zeros went out with the forward pass, +1 with the backward pass; no advantages */
    ck_assert_ptr_nonnull(strstr(body("/forward", 0), "\"weights\":{\"data\":[0"));
    ck_assert_ptr_nonnull(
        strstr(body("/forward_backward", 0), "\"weights\":{\"data\":[1"));
    ck_assert_ptr_null(strstr(body("/forward", 0), "advantages"));
    ck_assert_ptr_nonnull(strstr(body("optim_step", 0), "\"seq_id\":3"));
    ck_assert_uint_eq(data[0].n_loss_fn_inputs, 2);
    ck_assert_ptr_eq(data[0].loss_fn_inputs, inputs);
    ck_assert_int_eq(tkx_future_take_forward_backward(a, &output, NULL), TKX_OK);
    const tkx_metric *m = tkx_metric_find(output->metrics, output->n_metrics, "loss:sum");
    ck_assert_double_eq_tol(m->value, 1.5, 1e-9);
    m = tkx_metric_find(output->metrics, output->n_metrics, "surrogate_loss:sum");
    ck_assert_double_eq_tol(m->value, 1.5, 1e-9);
    m = tkx_metric_find(output->metrics, output->n_metrics, "reward:mean");
    ck_assert_double_eq_tol(m->value, 0.75, 1e-9);
    ck_assert_int_eq(seen.n_released, 1);
    tkx_forward_backward_output_free(output);
    tkx_future_unref(a);
    tkx_future_unref(b);
    tkx_training_free(t);
    scripted_end(&s);
}
END_TEST

START_TEST(given_weights_go_out_with_the_forward_pass)
{
    data[0].n_loss_fn_inputs = 3;
    tkx_training *t = begin();
    tkx_future *a = custom(t, 1);
    scripted_expect(&s, a, TKX_OK);
    ck_assert_ptr_nonnull(strstr(body("/forward", 0), "\"weights\":{\"data\":[3"));
    tkx_future_unref(a);
    tkx_training_free(t);
    scripted_end(&s);
}
END_TEST

START_TEST(both_passes_have_the_same_cuts_and_one_block_of_numbers)
{
    tkx_training *t = begin();
    tkx_future *a = custom(t, 3);
    tkx_future *b = optim_step(t);
    scripted_expect(&s, a, TKX_OK);
    scripted_expect(&s, b, TKX_OK);
    ck_assert_uint_eq(seen.n_items, 3);
    ck_assert_uint_eq(fake_io_count(s.io, "/forward_backward"), 3);
    ck_assert_ptr_nonnull(strstr(body("optim_step", 0), "\"seq_id\":7"));
    expect_whole_sequence(7);
    tkx_future_unref(a);
    tkx_future_unref(b);
    tkx_training_free(t);
    scripted_end(&s);
}
END_TEST

/* Loop: the function fails, or writes what is no number. */
START_TEST(a_failed_loss_leaves_no_gap)
{
    seen.result = _i == 0 ? 7 : 0;
    seen.gradient = _i == 1 ? NAN : -1;
    tkx_training *t = begin();
    tkx_future *a = custom(t, 3);
    tkx_future *b = optim_step(t);
    scripted_expect(&s, a, TKX_ERR_INVALID_ARGUMENT);
    if (_i == 0)
        ck_assert_ptr_nonnull(
            strstr(tkx_error_message(tkx_future_error(a)), "no reward today"));
    scripted_expect(&s, b, TKX_OK);
    ck_assert_uint_eq(fake_io_count(s.io, "/forward_backward"), 0);
    ck_assert_uint_eq(fake_io_count(s.io, "/forward"), 6);
    expect_whole_sequence(7);
    ck_assert_int_eq(seen.n_released, 1);
    tkx_future_unref(a);
    tkx_future_unref(b);
    tkx_training_free(t);
    scripted_end(&s);
}
END_TEST

START_TEST(given_up_while_the_service_computes_it_leaves_no_gap)
{
    tkx_training *t = begin();
    s.held = "retrieve_future";
    tkx_future *a = custom(t, 2);
    tkx_future *b = optim_step(t);
    ck_assert_int_eq(tkx_future_set_deadline(a, 30000, NULL), TKX_OK);
    fake_io_turn(s.io);
    ck_assert_uint_eq(fake_io_count(s.io, "optim_step"), 0);
    fake_io_advance(s.io, 30000);
    scripted_expect(&s, a, TKX_ERR_TIMEOUT);
    ck_assert_int_eq(seen.n_calls, 0);
    s.held = NULL;
    fake_io_advance(s.io, 60000);
    scripted_expect(&s, b, TKX_OK);
    ck_assert_uint_eq(fake_io_count(s.io, "/forward_backward"), 0);
    expect_whole_sequence(5);
    ck_assert_int_eq(seen.n_released, 1);
    tkx_future_unref(a);
    tkx_future_unref(b);
    tkx_training_free(t);
    scripted_end(&s);
}
END_TEST

START_TEST(input_without_targets_takes_no_number)
{
    tkx_custom_loss_options options = TKX_CUSTOM_LOSS_OPTIONS_INIT;
    tkx_future *a = NULL;
    tkx_error *err = NULL;

    options.on_released = on_released;
    data[1].n_loss_fn_inputs = 0;
    tkx_training *t = begin();
    ck_assert_int_eq(
        tkx_training_forward_backward_custom(t, data, 2, loss, &seen, &options, &a, &err),
        TKX_ERR_INVALID_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(tkx_error_message(err), "datum 1"));
    ck_assert_ptr_null(a);
    tkx_error_free(err);
    ck_assert_int_eq(seen.n_released, 0);
    a = optim_step(t);
    scripted_expect(&s, a, TKX_OK);
    ck_assert_ptr_nonnull(strstr(body("optim_step", 0), "\"seq_id\":1"));
    tkx_future_unref(a);
    tkx_training_free(t);
    scripted_end(&s);
}
END_TEST

/* Loop: where the context is closed: submit held, result held, loss held. */
START_TEST(closing_ends_it_wherever_it_is)
{
    tkx_training *t = begin();
    s.held = _i == 0 ? "forward" : _i == 1 ? "retrieve_future" : NULL;
    fake_io_hold_work(s.io, _i == 2);
    tkx_future *a = custom(t, 2);
    tkx_future *b = optim_step(t);
    fake_io_turn(s.io);
    ck_assert(!tkx_future_is_done(a));
    tkx_training_free(t);
    tkx_service_free(s.service);
    s.service = NULL;
    tkx_context_close(s.context, 0, 0, NULL);
    fake_io_hold_work(s.io, false);
    scripted_expect(&s, a, TKX_ERR_CLOSED);
    scripted_expect(&s, b, TKX_ERR_CLOSED);
    ck_assert_int_eq(seen.n_released, 1);
    tkx_future_unref(a);
    tkx_future_unref(b);
    scripted_end(&s);
}
END_TEST

/* --- every way through -----------------------------------------------------------------
 *
 * A custom loss of two chunks and an optim_step behind it; each of its requests meets one
 * of four fates, and the function may fail.  Whatever happens: both futures complete, and
 * the step either runs with no number missing below it, or fails because the client is
 * broken.
 */

enum { FATE_OK, FATE_REFUSED, FATE_LOST, FATE_FAILED, N_FATES };
#define N_CHOICES 4 /* requests: forward 1, 2, backward or fill 1, 2 */

static struct {
    int fate[N_CHOICES];
    int n; /* chosen so far */
} path;

static int next_fate(void)
{
    return path.n < N_CHOICES ? path.fate[path.n++] : FATE_OK;
}

static bool serve_fate(fake_io *io, size_t i, const char *route)
{
    char text[128];

    if (strcmp(route, "retrieve_future") == 0 &&
        strstr(fake_io_sent(io, i)->body, "doomed")) {
        fake_io_answer(io, i, 200, NULL,
                       "{\"error\":\"bad luck\",\"category\":\"user\"}");
        return true;
    }
    if (strncmp(route, "forward", 7) != 0)
        return false;
    int number = atoi(strstr(fake_io_sent(io, i)->body, "\"seq_id\":") + 9);
    switch (next_fate()) {
    case FATE_REFUSED:
        fake_io_answer(io, i, 422, NULL, "{\"detail\":\"refused\"}");
        return true;
    case FATE_LOST:
        fake_io_fail(io, i, TKX_ERR_LIMIT, "lost"); /* final, and maybe it arrived */
        return true;
    case FATE_FAILED:
        snprintf(text, sizeof text, "{\"request_id\":\"doomed-%d\"}", number);
        s.took[i] = true;
        fake_io_answer(io, i, 200, NULL, text);
        return true;
    default:
        return false;
    }
}

/* The numbers that the service took must be 1..n without a hole when the step ran. */
static void expect_no_hole(void)
{
    bool taken[16] = {false};
    int last = 0;

    for (size_t i = 0; i < fake_io_n_sent(s.io); i++) {
        const fake_request *r = fake_io_sent(s.io, i);
        const char *at = strstr(r->body, "\"seq_id\":");
        if (!at || !s.took[i])
            continue;
        int number = atoi(at + 9);
        ck_assert_int_lt(number, 16);
        ck_assert_msg(!taken[number], "seq_id %d was taken twice", number);
        taken[number] = true;
        last = number > last ? number : last;
    }
    for (int k = 1; k <= last; k++)
        ck_assert_msg(taken[k], "path %d%d%d%d: seq_id %d is missing below %d",
                      path.fate[0], path.fate[1], path.fate[2], path.fate[3], k, last);
}

static void run_path(bool fails)
{
    set_up();
    path.n = 0;
    s.serve = serve_fate;
    seen.result = fails;
    tkx_training *t = begin();
    tkx_future *a = custom(t, 2);
    tkx_future *b = optim_step(t);
    fake_io_turn(s.io);
    fake_io_advance(s.io, 1000000);
    ck_assert(tkx_future_is_done(a));
    ck_assert(tkx_future_is_done(b));
    if (tkx_future_error(b))
        ck_assert_int_eq(tkx_error_status(tkx_future_error(b)), TKX_ERR_CLIENT_BROKEN);
    else
        expect_no_hole();
    ck_assert_int_eq(seen.n_released, 1);
    tkx_future_unref(a);
    tkx_future_unref(b);
    tkx_training_free(t);
    scripted_end(&s);
}

START_TEST(no_path_hangs_or_leaves_a_hole)
{
    for (int code = 0; code < N_FATES * N_FATES * N_FATES * N_FATES; code++) {
        for (int k = 0, rest = code; k < N_CHOICES; k++, rest /= N_FATES)
            path.fate[k] = rest % N_FATES;
        run_path(false);
        run_path(true);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("custom_loss");
    TCase *tc = tcase_create("custom_loss");

    tcase_add_checked_fixture(tc, set_up, NULL);
    tcase_add_test(tc, weights_are_the_negative_gradient);
    tcase_add_test(tc, given_weights_go_out_with_the_forward_pass);
    tcase_add_test(tc, both_passes_have_the_same_cuts_and_one_block_of_numbers);
    tcase_add_loop_test(tc, a_failed_loss_leaves_no_gap, 0, 2);
    tcase_add_test(tc, given_up_while_the_service_computes_it_leaves_no_gap);
    tcase_add_test(tc, input_without_targets_takes_no_number);
    tcase_add_loop_test(tc, closing_ends_it_wherever_it_is, 0, 3);
    tcase_add_test(tc, no_path_hangs_or_leaves_a_hole);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
