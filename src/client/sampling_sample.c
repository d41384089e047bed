/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sampling_sample.c - one call of sample or compute_logprobs.
 *
 * There may be tens of thousands, so a call is nothing but its future and its sample,
 * which know each other; the future is the sample's arg, and each holds its client.
 */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/options.h"
#include "client/record.h"
#include "client/sampling.h"
#include "client/spending.h"

/* --- results --------------------------------------------------------------------- */

static void free_response(void *result)
{
    tkx_sample_response_free(result);
}

static void free_logprobs(void *result)
{
    tkx_logprobs_free(result);
}

static const tkx__result_type sample_type = {"sample response", free_response};
static const tkx__result_type logprobs_type = {"logprobs", free_logprobs};

void tkx_logprobs_free(tkx_logprobs *logprobs)
{
    tkx__free(logprobs); /* one block with its values */
}

/* One value for each token of the prompt.  Servers that leave out the first, which never
   has one, are aligned from the end. */
tkx_logprobs *tkx__logprobs_of(const tkx_sample_response *response, size_t n_prompt)
{
    size_t n =
        n_prompt > response->n_prompt_logprobs ? n_prompt : response->n_prompt_logprobs;
    size_t n_missing = n - response->n_prompt_logprobs;
    tkx_logprobs *result = tkx__malloc(sizeof *result + n * sizeof(float));

    if (!result)
        return NULL;
    float *values = (float *)(void *)(result + 1);
    for (size_t i = 0; i < n_missing; i++)
        values[i] = NAN;
    if (response->n_prompt_logprobs)
        memcpy(values + n_missing, response->prompt_logprobs,
               response->n_prompt_logprobs * sizeof *values);
    *result = (tkx_logprobs){values, n};
    return result;
}

static void fail(tkx_future *future, tkx__sampler *sampler, tkx_error *error)
{
    tkx_sampling *sampling = tkx__sampler_owner(sampler);

    tkx__service_note_failure(sampling->service, "sample", error);
    tkx__future_fail(future, &error); /* NULL reads as NO_MEMORY */
}

/* The sample is gone: let go of what it held. */
static void release(tkx_future *future, tkx__sampler *sampler)
{
    tkx_sampling *sampling = tkx__sampler_owner(sampler);

    tkx__spending_drop(sampling->service->context, future);
    tkx_future_unref(future);
    tkx_sampling_free(sampling);
}

/* What it used of the budget: the prompt as reserved, and what was generated. */
static void count_use(const tkx_future *future, const tkx__sample_end *end)
{
    const tkx_sampling *sampling = tkx__sampler_owner(end->sampler);
    tkx_context *context = sampling->service->context;
    tkx__charge used = {.n_tokens = {-1, 0, -1, -1}};

    if (!tkx__context_spending(context))
        return;
    for (size_t i = 0; i < end->response->n_sequences; i++)
        used.n_tokens[TKX_TOKENS_SAMPLE] += (int64_t)end->response->sequences[i].n_tokens;
    tkx__spending_use(context, future, &used);
}

static void on_sampled(void *arg, const tkx__sample_end *end)
{
    if (!end->error)
        count_use(arg, end);
    if (end->error)
        fail(arg, end->sampler, end->error);
    else
        tkx__future_succeed(arg, end->response);
    release(arg, end->sampler);
}

static void on_scored(void *arg, const tkx__sample_end *end)
{
    tkx_logprobs *logprobs =
        end->error ? NULL : tkx__logprobs_of(end->response, end->n_prompt);

    if (logprobs)
        count_use(arg, end);
    if (logprobs)
        tkx__future_succeed(arg, logprobs);
    else
        fail(arg, end->sampler, end->error);
    tkx_sample_response_free(end->response);
    release(arg, end->sampler);
}

/* --- progress -------------------------------------------------------------------- */

static void on_sending(void *arg, size_t bytes)
{
    tkx__future_set_cancel_mode(arg, TKX__CANCEL_TELL);
    tkx__future_note_attempt(arg, bytes);
    tkx__future_note_state(arg, TKX_FUTURE_SUBMITTING, 0);
}

static void on_event(void *arg, tkx__sampler *sampler, const tkx__poll_event *event)
{
    tkx_sampling *sampling = tkx__sampler_owner(sampler);

    tkx__note_event(sampling->service, arg, event);
}

/* --- the call -------------------------------------------------------------------- */

/* The user gives up.  Before the start on_start() looks; a closing context ends the
   sample through the site. */
static void on_given_up(tkx_future *future, tkx_status reason, void *arg)
{
    tkx__sample *sample = arg;
    tkx__sampler *sampler;

    if (reason != TKX_ERR_CANCELLED)
        return;
    sampler = tkx__sample_sampler(sample);
    if (tkx__sample_cancel(sample))
        release(future, sampler);
}

static tkx_status on_start(void *arg, tkx__sampler *sampler, tkx_error **err)
{
    tkx_sampling *sampling = tkx__sampler_owner(sampler);
    tkx_service *service = sampling->service;

    tkx__context_watch(service->context);
    if (tkx__future_is_cancelled(arg) || tkx_future_is_done(arg))
        return tkx__fail(err, TKX_ERR_CANCELLED, "the sample was cancelled");
    if (service->loop.is_stopped)
        return tkx__fail(err, TKX_ERR_CLOSED, "the context is closed");
    return tkx__session_check(service->loop.session, err);
}

static const tkx__sample_kind sample_kind = {
    .sdk_method = "SamplingClient.sample",
    .on_start = on_start,
    .on_sending = on_sending,
    .on_event = on_event,
    .on_end = on_sampled,
};

static const tkx__sample_kind logprobs_kind = {
    .sdk_method = "SamplingClient.compute_logprobs",
    .always_retries = true,
    .on_start = on_start,
    .on_sending = on_sending,
    .on_event = on_event,
    .on_end = on_scored,
};

/* What it may use at most; without max_tokens nobody knows more than the prompt. */
static tkx_status reserve(const tkx_sampling *s, const tkx_future *future,
                          const tkx_sample_request *request, tkx_error **err)
{
    tkx__charge charge = {{0}};
    size_t n_prompt = 0;

    if (!tkx__context_spending(s->service->context) ||
        tkx_model_input_length(&request->prompt, &n_prompt, NULL) != TKX_OK)
        return TKX_OK;
    charge.n_tokens[TKX_TOKENS_PREFILL] = (int64_t)n_prompt;
    if (request->params.has_max_tokens && request->params.max_tokens > 0 &&
        __builtin_mul_overflow(request->params.max_tokens, request->num_samples,
                               &charge.n_tokens[TKX_TOKENS_SAMPLE]))
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT, "max_tokens is out of range");
    return tkx__spending_reserve(s->service->context, future, s->base_model, &charge,
                                 err);
}

/* It never began: only the future knows of it. */
static tkx_status give_up(tkx_future *future, tkx__sample *sample, tkx_status st)
{
    tkx_error *error = NULL;

    tkx__sample_drop(sample);
    tkx__fail(&error, TKX_ERR_CANCELLED, "the call failed");
    tkx__future_fail(future, &error); /* takes it off the context's list */
    tkx_future_unref(future);
    return st;
}

static tkx_status submit(tkx_sampling *s, const tkx_sample_request *request,
                         const tkx__sample_kind *kind, const tkx__result_type *type,
                         int64_t timeout_ms, tkx_future **out, tkx_error **err)
{
    tkx_context *context = s->service->context;
    const tkx__io *io = s->service->io;
    tkx__sample *sample;

    tkx_status st = tkx__sample_new(s->sampler, request, kind, &sample, err);
    if (st != TKX_OK)
        return st;
    tkx_future *future = tkx__future_new(context, type, on_given_up, sample, err);
    if (!future) {
        tkx__sample_drop(sample);
        return tkx__context_is_closed(context) ? TKX_ERR_CLOSED : TKX_ERR_NO_MEMORY;
    }
    st = reserve(s, future, request, err);
    if (st != TKX_OK)
        return give_up(future, sample, st);
    if (timeout_ms <= 0)
        timeout_ms = tkx__context_options(context)->call_timeout_ms;
    tkx__future_set_cancel_mode(future, TKX__CANCEL_REMOVE);
    tkx__sampling_ref(s);
    *out = tkx_future_ref(future);
    if (tkx__sampler_post(s->sampler, sample,
                          timeout_ms > 0 ? io->ops->now_ms(io->ctx) + timeout_ms : 0,
                          future))
        return TKX_OK;
    *out = NULL;
    give_up(future, sample, TKX_OK);
    release(future, s->sampler);
    return tkx__context_is_closed(context)
               ? tkx__fail(err, TKX_ERR_CLOSED, "the context is closed")
               : tkx__fail_memory(err);
}

tkx_status tkx_sampling_sample(tkx_sampling *sampling, const tkx_sample_request *request,
                               int64_t timeout_ms, tkx_future **out, tkx_error **err)
{
    tkx_sample_request r = TKX_SAMPLE_REQUEST_INIT;
    tkx_status st =
        tkx__options_overlay(&r, sizeof r, request, "tkx_sample_request", err);

    if (st != TKX_OK)
        return st;
    r.base_model = r.model_path = NULL;
    r.record_stability_info |= sampling->records_stability_info;
    return submit(sampling, &r, &sample_kind, &sample_type, timeout_ms, out, err);
}

static tkx_status score(tkx_sampling *sampling, const tkx_model_input *prompt,
                        int64_t last_n, int64_t timeout_ms, tkx_future **out,
                        tkx_error **err)
{
    tkx_sample_request r = TKX_SAMPLE_REQUEST_INIT;

    r.prompt = *prompt;
    r.prompt_logprobs = true;
    r.prompt_logprobs_last_n = last_n;
    r.params.has_max_tokens = true;
    r.params.max_tokens = 1;
    r.record_stability_info = sampling->records_stability_info;
    return submit(sampling, &r, &logprobs_kind, &logprobs_type, timeout_ms, out, err);
}

tkx_status tkx_sampling_compute_logprobs(tkx_sampling *sampling,
                                         const tkx_model_input *prompt,
                                         int64_t timeout_ms, tkx_future **out,
                                         tkx_error **err)
{
    return score(sampling, prompt, -1, timeout_ms, out, err);
}

tkx_status tkx_sampling_compute_last_logprobs(tkx_sampling *sampling,
                                              const tkx_model_input *prompt,
                                              int64_t last_n, int64_t timeout_ms,
                                              tkx_future **out, tkx_error **err)
{
    if (last_n < 1)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "compute_last_logprobs: %lld tokens cannot be scored",
                         (long long)last_n);
    return score(sampling, prompt, last_n, timeout_ms, out, err);
}

TKX__RECORD_TAKE(tkx_future_take_sample, sample_response, sample_type);

TKX__RECORD_TAKE(tkx_future_take_logprobs, logprobs, logprobs_type);
