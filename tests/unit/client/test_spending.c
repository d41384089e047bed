/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_spending.c - tokens, costs and the budget, on a scripted server.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tkx/metrics.h>
#include <tkx/spending.h>

#include "scripted.h"
#include "support/suite.h"

static scripted s;
static char path[64];
static tkx_spending_options spending;
static tkx_metrics_options metrics;

static void tune(tkx_context_options *options)
{
    options->spending = &spending;
    options->metrics = &metrics;
}

static void set_up(void)
{
    s = (scripted){.tune = tune};
    spending = (tkx_spending_options)TKX_SPENDING_OPTIONS_INIT;
    metrics = (tkx_metrics_options)TKX_METRICS_OPTIONS_INIT;
    snprintf(path, sizeof path, "/tmp/tkx-prices-XXXXXX");
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
}

static void tear_down(void)
{
    unlink(path);
}

static void write_prices(const char *text)
{
    FILE *to = fopen(path, "w");

    fputs(text, to);
    fclose(to);
    spending.prices_path = path;
}

static const char prices[] =
    "{\"currency\":\"EUR\",\"per_tokens\":1000,\"models\":{"
    "\"acme/tiny\":{\"prefill\":1,\"sample\":2,\"train\":4,\"forward\":3}}}";

static const tkx_datum data[] = {SCRIPTED_DATUM, SCRIPTED_DATUM};

static tkx_status sample(tkx_sampling *sampling, int64_t max_tokens, tkx_future **out,
                         tkx_error **err)
{
    tkx_sample_request request = TKX_SAMPLE_REQUEST_INIT;

    request.prompt = (tkx_model_input){&scripted_chunk, 1};
    request.params.has_max_tokens = max_tokens > 0;
    request.params.max_tokens = max_tokens;
    *out = NULL;
    return tkx_sampling_sample(sampling, &request, 0, out, err);
}

static tkx_future *forward_backward(tkx_training *t)
{
    tkx_future *future;

    ck_assert_int_eq(tkx_training_forward_backward(t, data, 2, TKX_LOSS_CROSS_ENTROPY,
                                                   NULL, &future, NULL),
                     TKX_OK);
    return future;
}

static tkx_spending_info look(void)
{
    tkx_spending_info info = TKX_SPENDING_INFO_INIT;

    ck_assert_int_eq(tkx_spending_look(s.context, &info, NULL), TKX_OK);
    return info;
}

static void finish(tkx_future *future, tkx_status status)
{
    scripted_expect(&s, future, status);
    tkx_future_unref(future);
}

START_TEST(what_is_used_is_counted_and_priced)
{
    tkx_future *future;

    write_prices(prices);
    scripted_begin(&s);
    tkx_training *t = scripted_lora(&s);
    tkx_sampling *sampling = scripted_sampling(&s);
    s.held = "retrieve_future";
    ck_assert_int_eq(sample(sampling, 100, &future, NULL), TKX_OK);
    fake_io_turn(s.io);
    tkx_spending_info info = look();
    ck_assert_int_eq(info.reserved_tokens, 103);
    ck_assert_double_eq_tol(info.reserved_cost, 0.203, 1e-9);
    ck_assert_int_eq(info.n_tokens[TKX_TOKENS_PREFILL], 0);
    s.held = NULL;
    fake_io_answer(s.io, scripted_last(&s, "retrieve_future"), 200, NULL,
                   "{\"type\":\"sample\",\"sequences\":[{\"stop_reason\":\"stop\","
                   "\"tokens\":[7,8],\"logprobs\":[-1.0,-2.0]}]}");
    finish(future, TKX_OK);
    finish(forward_backward(t), TKX_OK);
    info = look();
    ck_assert_int_eq(info.n_tokens[TKX_TOKENS_PREFILL], 3);
    ck_assert_int_eq(info.n_tokens[TKX_TOKENS_SAMPLE], 2);
    ck_assert_int_eq(info.n_tokens[TKX_TOKENS_TRAIN], 6);
    ck_assert_int_eq(info.n_tokens[TKX_TOKENS_FORWARD], 0);
    ck_assert_int_eq(info.reserved_tokens, 0);
    ck_assert_double_eq_tol(info.cost, (3 * 1 + 2 * 2 + 6 * 4) / 1000.0, 1e-9);
    ck_assert_str_eq(info.currency, "EUR");

    char *text;
    size_t size;
    ck_assert_int_eq(tkx_metrics_prometheus(s.context, &text, &size, NULL), TKX_OK);
    ck_assert_ptr_nonnull(
        strstr(text, "tkx_tokens_total{model=\"acme/tiny\",kind=\"train\"} 6\n"));
    ck_assert_ptr_nonnull(
        strstr(text, "tkx_cost_total{model=\"acme/tiny\",currency=\"EUR\"} 0.031\n"));
    tkx_metrics_text_free(text);
    tkx_sampling_free(sampling);
    tkx_training_free(t);
    scripted_end(&s);
}
END_TEST

START_TEST(the_budget_stops_before_anything_is_sent)
{
    tkx_error *err = NULL;
    tkx_future *future;

    spending.max_tokens = 20;
    scripted_begin(&s);
    tkx_training *t = scripted_lora(&s);
    tkx_sampling *sampling = scripted_sampling(&s);
    finish(forward_backward(t), TKX_OK); /* 6 */
    finish(forward_backward(t), TKX_OK); /* 12 */
    size_t n_sent = fake_io_n_sent(s.io);
    ck_assert_int_eq(sample(sampling, 6, &future, &err), TKX_ERR_BUDGET); /* 9 more */
    ck_assert_ptr_null(future);
    ck_assert_ptr_nonnull(strstr(tkx_error_message(err),
                                 "may use 9 tokens; 12 of 20 are used and 0 promised"));
    tkx_error_free(err);
    fake_io_turn(s.io);
    ck_assert_uint_eq(fake_io_n_sent(s.io), n_sent);
    ck_assert_uint_eq(look().n_refused, 1);
    ck_assert_int_eq(sample(sampling, 5, &future, NULL), TKX_OK); /* 8: just fits */
    finish(future, TKX_OK);
    tkx_sampling_free(sampling);
    tkx_training_free(t);
    scripted_end(&s);
}
END_TEST

/* "As many as there are" is more than any limit, in one call or in several. */
START_TEST(endless_samples_are_refused)
{
    tkx_future *future;

    spending.max_tokens = 1000;
    scripted_begin(&s);
    tkx_sampling *sampling = scripted_sampling(&s);
    ck_assert_int_eq(sample(sampling, INT64_MAX, &future, NULL), TKX_ERR_BUDGET);
    ck_assert_int_eq(sample(sampling, INT64_MAX - 1000, &future, NULL), TKX_ERR_BUDGET);
    tkx_sampling_free(sampling);
    scripted_end(&s);
}
END_TEST

START_TEST(endless_samples_add_up)
{
    tkx_future *future[3];

    spending.max_tokens = 0; /* only counted */
    scripted_begin(&s);
    tkx_sampling *sampling = scripted_sampling(&s);
    s.held = "asample";
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(sample(sampling, INT64_MAX, &future[i], NULL), TKX_OK);
    ck_assert_int_gt(look().reserved_tokens, INT64_C(3) << 39);
    for (int i = 0; i < 3; i++) {
        (void)tkx_future_cancel(future[i]);
        finish(future[i], TKX_ERR_CANCELLED);
    }
    ck_assert_int_eq(look().reserved_tokens, 0);
    tkx_sampling_free(sampling);
    scripted_end(&s);
}
END_TEST

START_TEST(a_refused_step_leaves_no_hole)
{
    tkx_future *future = NULL, *optim;

    spending.max_tokens = 7;
    scripted_begin(&s);
    tkx_training *t = scripted_lora(&s);
    finish(forward_backward(t), TKX_OK);
    ck_assert_int_eq(tkx_training_forward_backward(t, data, 2, TKX_LOSS_CROSS_ENTROPY,
                                                   NULL, &future, NULL),
                     TKX_ERR_BUDGET);
    ck_assert_ptr_null(future);
    ck_assert_int_eq(tkx_training_optim_step(t, NULL, &optim, NULL), TKX_OK);
    finish(optim, TKX_OK);
    ck_assert_ptr_nonnull(strstr(
        fake_io_sent(s.io, scripted_last(&s, "optim_step"))->body, "\"seq_id\":2"));
    tkx_training_free(t);
    scripted_end(&s);
}
END_TEST

START_TEST(calls_in_flight_hold_their_part)
{
    tkx_future *a, *b;

    write_prices(prices);
    spending.max_cost = 0.3;
    scripted_begin(&s);
    tkx_sampling *sampling = scripted_sampling(&s);
    s.held = "retrieve_future";
    ck_assert_int_eq(sample(sampling, 100, &a, NULL), TKX_OK);
    ck_assert_int_eq(sample(sampling, 100, &b, NULL), TKX_ERR_BUDGET);
    tkx_future_cancel(a); /* gives it back */
    fake_io_turn(s.io);
    ck_assert_int_eq(look().reserved_tokens, 0);
    ck_assert_double_eq(look().reserved_cost, 0);
    ck_assert_int_eq(sample(sampling, 100, &b, NULL), TKX_OK);
    tkx_future_cancel(b);
    fake_io_turn(s.io);
    tkx_future_unref(a);
    tkx_future_unref(b);
    tkx_sampling_free(sampling);
    scripted_end(&s);
}
END_TEST

START_TEST(with_a_cost_limit_a_model_needs_a_price)
{
    tkx_error *err = NULL;
    tkx_future *future;

    write_prices("{\"currency\":\"USD\",\"models\":{\"acme/tiny\":{\"prefill\":1}}}");
    spending.max_cost = 100;
    scripted_begin(&s);
    tkx_sampling *sampling = scripted_sampling(&s);
    ck_assert_int_eq(sample(sampling, 4, &future, &err), TKX_ERR_BUDGET);
    ck_assert_ptr_nonnull(strstr(tkx_error_message(err), "acme/tiny has no price"));
    tkx_error_free(err);
    tkx_sampling_free(sampling);
    scripted_end(&s);
}
END_TEST

START_TEST(without_a_price_tokens_are_counted_alone)
{
    tkx_future *future;

    write_prices("{\"currency\":\"USD\",\"models\":{\"other\":{\"prefill\":1},"
                 "\"*\":{\"prefill\":2000}}}");
    scripted_begin(&s);
    tkx_sampling *sampling = scripted_sampling(&s);
    ck_assert_int_eq(sample(sampling, 4, &future, NULL), TKX_OK);
    finish(future, TKX_OK);
    ck_assert_double_eq_tol(look().cost, 3 * 0.002, 1e-9);
    ck_assert_int_eq(look().n_unpriced, 2);
    tkx_sampling_free(sampling);
    scripted_end(&s);
}
END_TEST

typedef struct bad_prices {
    const char *text, *why;
} bad_prices;

static const bad_prices bad[] = {
    {"", "byte 0"},
    {"{}", "currency"},
    {"{\"currency\":\"USD\"}", "models"},
    {"{\"currency\":\"USD\",\"models\":{}}", "models"},
    {"{\"currency\":\"USD\",\"models\":{\"m\":{\"train\":-1}}}", "a price is a number"},
    {"{\"currency\":\"USD\",\"models\":{\"m\":{\"training\":1}}}", "a price is for"},
    {"{\"currency\":\"USD\",\"models\":{\"m\":{\"train\":\"1\"}}}", "byte"},
    {"{\"currency\":\"USD\",\"per_tokens\":0,\"models\":{\"m\":{\"train\":1}}}",
     "per_tokens"},
};

START_TEST(a_bad_price_file_is_told)
{
    tkx_context_options options = TKX_CONTEXT_OPTIONS_INIT;
    tkx_context *context;
    tkx_error *err = NULL;

    write_prices(bad[_i].text);
    options.base_url = "http://x";
    options.spending = &spending;
    ck_assert_int_eq(tkx_context_new(&options, &context, &err), TKX_ERR_PARSE);
    ck_assert_msg(strstr(tkx_error_message(err), bad[_i].why) &&
                      strstr(tkx_error_message(err), path),
                  "%s", tkx_error_message(err));
    tkx_error_free(err);
}
END_TEST

START_TEST(a_cost_limit_needs_prices)
{
    tkx_context_options options = TKX_CONTEXT_OPTIONS_INIT;
    tkx_context *context;

    spending.max_cost = 1;
    options.base_url = "http://x";
    options.spending = &spending;
    ck_assert_int_eq(tkx_context_new(&options, &context, NULL), TKX_ERR_INVALID_ARGUMENT);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("spending");
    TCase *tc = tcase_create("spending");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, what_is_used_is_counted_and_priced);
    tcase_add_test(tc, the_budget_stops_before_anything_is_sent);
    tcase_add_test(tc, endless_samples_are_refused);
    tcase_add_test(tc, endless_samples_add_up);
    tcase_add_test(tc, a_refused_step_leaves_no_hole);
    tcase_add_test(tc, calls_in_flight_hold_their_part);
    tcase_add_test(tc, with_a_cost_limit_a_model_needs_a_price);
    tcase_add_test(tc, without_a_price_tokens_are_counted_alone);
    tcase_add_loop_test(tc, a_bad_price_file_is_told, 0, (int)(sizeof bad / sizeof *bad));
    tcase_add_test(tc, a_cost_limit_needs_prices);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
