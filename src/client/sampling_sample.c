/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sampling_sample.c - one call of sample or compute_logprobs.
 *
 * The request is encoded in the calling thread; the loop gets a body that is ready. There
 * may be tens of thousands of these, so the struct holds little more than two pointers.
 */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/options.h"
#include "client/record.h"
#include "client/sampling.h"

typedef struct call {
    tkx_future *future; /* our reference */
    tkx_sampling *sampling;
    tkx__sample *sample; /* before its start ours, then the sampler's */
    int64_t deadline_ms;
    int64_t n_prompt; /* compute_logprobs: tokens of the prompt; -1: a plain sample */
    bool is_started;
} call;

/* --- results -------------------------------------------------------------------------
 */

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

static void free_call(call *c)
{
    tkx_sampling *sampling = c->sampling;

    tkx__future_forget_owner(c->future);
    tkx_future_unref(c->future);
    if (!c->is_started)
        tkx__sample_drop(c->sample);
    tkx__free(c);
    tkx_sampling_free(sampling);
}

static void fail(call *c, tkx_error *error)
{
    tkx__service_note_failure(c->sampling->service, "sample", error);
    tkx__future_fail(c->future, &error);
    free_call(c);
}

static void on_end(void *arg, tkx_sample_response *response, tkx_error *error)
{
    call *c = arg;

    if (!error && c->n_prompt >= 0) {
        tkx_logprobs *logprobs = tkx__logprobs_of(response, (size_t)c->n_prompt);
        if (logprobs)
            tkx__future_succeed(c->future, logprobs);
        else
            tkx__fail_memory(&error);
        tkx_sample_response_free(response);
    } else if (!error) {
        tkx__future_succeed(c->future, response);
    }
    if (error)
        fail(c, error);
    else
        free_call(c);
}

/* --- progress ------------------------------------------------------------------------
 */

static void on_sending(void *arg, size_t bytes)
{
    call *c = arg;

    tkx__future_set_cancel_mode(c->future, TKX__CANCEL_TELL);
    tkx__future_note_attempt(c->future, bytes);
    tkx__future_note_state(c->future, TKX_FUTURE_SUBMITTING, 0);
}

static void on_event(void *arg, const tkx__poll_event *event)
{
    call *c = arg;

    tkx__note_event(c->sampling->service, c->future, event);
}

static const tkx__sample_hooks hooks = {on_sending, on_event};

/* --- the call ------------------------------------------------------------------------
 */

/* The user gives up, before or after the start. */
static void on_given_up(tkx_future *future, tkx_status reason, void *arg)
{
    call *c = arg;

    (void)future;
    if (reason != TKX_ERR_CANCELLED || !c->is_started)
        return; /* begin() looks; a closing context ends it through the site */
    tkx__sample_cancel(c->sample);
    free_call(c);
}

static void begin(void *arg)
{
    call *c = arg;
    tkx_error *error = NULL;
    tkx_service *service = c->sampling->service;

    tkx__context_watch(service->context);
    if (tkx__future_is_cancelled(c->future) || tkx_future_is_done(c->future)) {
        free_call(c);
        return;
    }
    if (service->loop.is_stopped)
        tkx__fail(&error, TKX_ERR_CLOSED, "the context is closed");
    else
        tkx__session_check(service->loop.session, &error);
    if (error) {
        fail(c, error);
        return;
    }
    const tkx__sample_start start = {
        .hooks = &hooks,
        .sdk_method = c->n_prompt >= 0 ? "SamplingClient.compute_logprobs"
                                       : "SamplingClient.sample",
        .deadline_ms = c->deadline_ms,
        .always_retries = c->n_prompt >= 0,
    };
    c->is_started = true;
    tkx__sampler_submit(c->sampling->sampler, c->sample, &start, on_end, c);
}

static tkx_status submit(tkx_sampling *s, const tkx_sample_request *request,
                         const tkx__result_type *type, int64_t n_prompt,
                         int64_t timeout_ms, tkx_future **out, tkx_error **err)
{
    const tkx__io *io = s->service->io;
    tkx__sample *sample = NULL;

    tkx_status st = tkx__sample_new(s->id, request, &sample, err);
    if (st != TKX_OK)
        return st;
    call *c = tkx__calloc(1, sizeof *c);
    tkx_error *error = NULL;
    if (c)
        c->future = tkx__future_new(s->service->context, type, on_given_up, c, &error);
    if (!c || !c->future) {
        st = error ? tkx_error_status(error) : tkx__fail_memory(&error);
        tkx__sample_drop(sample);
        tkx__free(c);
        if (err)
            *err = error;
        else
            tkx_error_free(error);
        return st;
    }
    c->sampling = tkx__sampling_ref(s);
    c->sample = sample;
    c->n_prompt = n_prompt;
    if (timeout_ms <= 0)
        timeout_ms = tkx__context_options(s->service->context)->call_timeout_ms;
    c->deadline_ms = timeout_ms > 0 ? io->ops->now_ms(io->ctx) + timeout_ms : 0;
    tkx__future_set_cancel_mode(c->future, TKX__CANCEL_REMOVE);
    *out = tkx_future_ref(c->future);
    st = tkx__service_post(s->service, begin, c, err);
    if (st != TKX_OK) {
        tkx_future_unref(*out);
        *out = NULL;
        tkx__fail(&error, TKX_ERR_CANCELLED, "the call failed");
        fail(c, error);
    }
    return st;
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
    return submit(sampling, &r, &sample_type, -1, timeout_ms, out, err);
}

static tkx_status score(tkx_sampling *sampling, const tkx_model_input *prompt,
                        int64_t last_n, int64_t timeout_ms, tkx_future **out,
                        tkx_error **err)
{
    tkx_sample_request r = TKX_SAMPLE_REQUEST_INIT;
    size_t n = 0;

    r.prompt = *prompt;
    r.prompt_logprobs = true;
    r.prompt_logprobs_last_n = last_n;
    r.params.has_max_tokens = true;
    r.params.max_tokens = 1;
    r.record_stability_info = sampling->records_stability_info;
    if (tkx_model_input_length(prompt, &n, NULL) != TKX_OK)
        n = 0; /* as many as the service gives */
    return submit(sampling, &r, &logprobs_type, (int64_t)n, timeout_ms, out, err);
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
