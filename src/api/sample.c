/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sample.c - one sample from its submission to its result.
 *
 *     NEW -> SLOT -> GATE -> [PUSHED] -> SENDING -> WAITING --result--> (gone)
 *                     ^          ^__429, 402__|        |
 *                     +------------ RETRY <------------+   410, 5xx, no link
 *
 * Each pass through RETRY is a new submission under a new number; a 429 is not a failure
 * but a request to come later with the same one.  The JSON exists only while SENDING. The
 * slot is kept all the way, the dispatch limits only until the promise is known.
 */

#include "types/sample.h"
#include "api/backoff.h"
#include "api/cancel_queue.h"
#include "api/sampler_impl.h"
#include "api/scan.h"
#include "base/error.h"
#include "base/mem.h"
#include "types/sample_response.h"

static void send_now(tkx__sample *s);

#define MAX_UNKNOWN 3 /* times that a promise is lost before its service is doubted */

/* --- making one ------------------------------------------------------------------ */

static uint32_t estimate(const tkx_model_input *prompt)
{
    size_t bytes = tkx__model_input_sample_bytes(prompt);

    return bytes < UINT32_MAX ? (uint32_t)bytes : UINT32_MAX;
}

tkx_status tkx__sample_new(tkx__sampler *sampler, const tkx_sample_request *request,
                           const tkx__sample_kind *kind, tkx__sample **out,
                           tkx_error **err)
{
    tkx__sample_frame *frame;
    tkx__prompt_source prompt = {0};

    tkx_status st = tkx__sampler_get_frame(sampler, request, &frame, err);
    if (st != TKX_OK)
        return st;
    st = tkx__prompt_open(&request->prompt, &prompt, err);
    tkx__sample *s = st == TKX_OK ? tkx__malloc(sizeof *s + prompt.packed.size) : NULL;
    if (s) {
        *s = (tkx__sample){
            .sampler = sampler, .kind = kind, .frame = frame, .shape = prompt.packed};
        s->gate.estimate = estimate(&request->prompt);
        tkx__prompt_pack(&prompt, s->prompt);
        *out = s;
    } else {
        tkx__sample_frame_unref(frame);
        if (st == TKX_OK)
            st = tkx__fail_memory(err);
    }
    tkx__prompt_close(&prompt);
    return st;
}

/* --- ends ------------------------------------------------------------------------ */

static void forget_handle(tkx__sample *s)
{
    tkx__free(s->ids);
    tkx__free(s->request_id);
    s->ids = s->request_id = NULL;
}

static void forget_text(tkx__sample *s)
{
    tkx__free(s->body);
    s->body = NULL;
}

void tkx__sample_drop(tkx__sample *s)
{
    if (!s)
        return;
    forget_handle(s);
    tkx__sample_frame_unref(s->frame);
    tkx__free(s);
}

tkx__sampler *tkx__sample_sampler(const tkx__sample *s)
{
    return s->sampler;
}

static void drop_timer(tkx__sample *s)
{
    const tkx__io *io = &s->sampler->site->io;

    io->ops->timer_free(io->ctx, s->timer);
    s->timer = NULL;
}

static void stop_waiting(tkx__sample *s)
{
    if (s->state == TKX__SAMPLE_SENDING) {
        tkx__call_cancel(s->call);
        s->call = NULL;
        forget_text(s);
    } else if (s->state == TKX__SAMPLE_WAITING) {
        tkx__poll_cancel(s->poll);
        s->poll = NULL;
    } else if (s->state == TKX__SAMPLE_PUSHED || s->state == TKX__SAMPLE_RETRY) {
        drop_timer(s);
    }
}

/* Let go of everything outside; afterwards only memory is left. */
static void detach(tkx__sample *s, bool has_succeeded)
{
    tkx__sampler *p = s->sampler;
    const tkx__io *io = &p->site->io;

    stop_waiting(s);
    io->ops->timer_free(io->ctx, s->deadline);
    s->deadline = NULL;
    if (s->is_awaited)
        tkx__completions_forget(p->completions, s);
    if (s->is_fetched || s->is_queued)
        tkx__completions_fetched(p->completions, s);
    if (s->is_probe)
        tkx__completions_probed(p->completions);
    tkx__dispatch_leave(p->dispatch, &s->gate);
    tkx__span_end(&s->span, NULL, false);
    tkx__sampler_leave(p, s, has_succeeded);
}

static void settle(tkx__sample *s, tkx_sample_response *response, tkx_error *error)
{
    const tkx__sample_kind *kind = s->kind;
    const tkx__sample_end end = {response, error, s->sampler, s->shape.n_tokens};
    void *arg = s->arg;

    tkx__span_end(&s->span, error, response != NULL);
    detach(s, response != NULL);
    tkx__sample_drop(s);
    kind->on_end(arg, &end);
}

void tkx__sample_fail(tkx__sample *s, tkx_error *error)
{
    settle(s, NULL, error);
}

bool tkx__sample_cancel(tkx__sample *s)
{
    tkx__site *site = s->sampler->site;

    if (s->state == TKX__SAMPLE_NEW)
        return false;
    if (s->request_id && site->dynamic.sample_cancel_enabled && !site->is_closed)
        tkx__cancel_future(site, s->request_id);
    detach(s, false);
    tkx__sample_drop(s);
    return true;
}

/* --- trying again ---------------------------------------------------------------- */

static void tell(tkx__sample *s, tkx__poll_event_kind kind, int http_status)
{
    const tkx__poll_event event = {.kind = kind, .http_status = http_status};

    s->kind->on_event(s->arg, s->sampler, &event);
}

static void on_timer(void *arg)
{
    tkx__sample *s = arg;

    drop_timer(s);
    if (s->state == TKX__SAMPLE_RETRY)
        tkx__sample_go(s);
    else
        send_now(s);
}

static void wait_for(tkx__sample *s, tkx__sample_state state, int64_t delay_ms)
{
    const tkx__io *io = &s->sampler->site->io;
    tkx_error *error = NULL;

    s->state = (uint8_t)state;
    tkx__span_enter(s->span, TKX__PHASE_BACK_OFF);
    s->timer = io->ops->timer_new(io->ctx, on_timer, s);
    if (s->timer) {
        io->ops->timer_arm(io->ctx, s->timer, delay_ms);
        return;
    }
    tkx__fail_memory(&error);
    settle(s, NULL, error);
}

/* A promise that nobody knows (404) is as gone as a 410, but a service that knows none at
   all would never end this. */
static bool is_lost(tkx__sample *s, const tkx_error *error)
{
    return tkx_error_http_status(error) == 404 && ++s->n_unknown < MAX_UNKNOWN;
}

/* May the whole request be submitted once more? */
static bool is_retryable(tkx__sample *s, const tkx_error *error)
{
    switch (tkx_error_status(error)) {
    case TKX_ERR_TIMEOUT:
    case TKX_ERR_CONNECTION:
    case TKX_ERR_PROMISE_GONE:
        return true;
    case TKX_ERR_HTTP: /* of a promise: the poll has repeated what may pass */
        return tkx_error_request_id(error)
                   ? is_lost(s, error)
                   : tkx__status_is_retryable(tkx_error_http_status(error));
    case TKX_ERR_REQUEST_FAILED:
        return false;
    default:
        return tkx__status_is_retryable(tkx_error_http_status(error));
    }
}

static void attempt_failed(tkx__sample *s, tkx_error *error)
{
    const tkx__retry_settings *settings = &s->sampler->settings;
    int http = tkx_error_http_status(error);

    if (!s->retries || !is_retryable(s, error)) {
        settle(s, NULL, error);
        return;
    }
    tkx_error_free(error);
    if (s->is_fetched)
        tkx__completions_fetched(s->sampler->completions, s);
    forget_handle(s);
    tkx__dispatch_leave(s->sampler->dispatch, &s->gate);
    tell(s, TKX__POLL_BACKOFF, http);
    wait_for(s, TKX__SAMPLE_RETRY,
             tkx__backoff_sample_ms(s->n_attempts, settings->delay_base_ms,
                                    settings->delay_max_ms, settings->jitter,
                                    tkx__site_uniform(s->sampler->site)));
}

/* --- the result ------------------------------------------------------------------ */

static void *decode(const tkx__payload *payload, void *arg, tkx_error **err)
{
    tkx_sample_response *response = NULL;

    (void)arg;
    if (payload->is_protobuf)
        tkx__sample_response_decode_proto(payload->bytes, payload->size, &response, err);
    else
        tkx__sample_response_decode_json(payload->bytes, payload->size, &response, err);
    return response;
}

static void free_response(void *response)
{
    tkx_sample_response_free(response);
}

static void wait_for_result(tkx__sample *s);

/* True: it was only a probe, and the sample is alive. */
static bool goes_on_waiting(tkx__sample *s, const tkx_error *error)
{
    if (!s->is_probe)
        return false;
    s->is_probe = false;
    tkx__completions_probed(s->sampler->completions);
    return error && tkx_error_status(error) == TKX_ERR_TIMEOUT;
}

static void on_result(void *arg, void *result, tkx_error *error)
{
    tkx__sample *s = arg;
    tkx_sample_response *response = result;

    s->poll = NULL;
    if (goes_on_waiting(s, error)) {
        tkx_error_free(error);
        wait_for_result(s);
        return;
    }
    if (s->sampler->completions &&
        (response || tkx_error_status(error) == TKX_ERR_REQUEST_FAILED))
        tkx__completions_retrieved(s->sampler->completions, &s->request_id);
    if (response && tkx__sample_finish_response(s, response, &error) != TKX_OK) {
        tkx_sample_response_free(response);
        settle(s, NULL, error);
    } else if (response) {
        settle(s, response, NULL);
    } else {
        attempt_failed(s, error);
    }
}

static void on_poll_event(void *arg, const tkx__poll_event *event)
{
    tkx__sample *s = arg;

    s->kind->on_event(s->arg, s->sampler, event);
}

static void poll_for(tkx__sample *s, int64_t bytes, int64_t deadline_ms)
{
    tkx_error *error = NULL;
    const tkx__poll_spec spec = {
        .what = "sample",
        .request_id = s->request_id,
        .request_type = "Sample",
        .sdk_method = s->kind->sdk_method,
        .wants_protobuf = true,
        .no_metadata_first = bytes > 0,
        .announced_bytes = bytes,
        .expected_reply_bytes = s->frame->reply_bytes,
        .deadline_ms = deadline_ms,
        .seq_id = s->seq_id,
        .roundtrip_us = s->submit_ms * INT64_C(1000),
        .decode = decode,
        .free_result = free_response,
        .on_event = on_poll_event,
        .span = s->span,
    };

    if (tkx__poll_start(s->sampler->site, &spec, on_result, s, &s->poll, &error) !=
        TKX_OK)
        settle(s, NULL, error);
}

void tkx__sample_fetch(tkx__sample *s, int64_t bytes)
{
    poll_for(s, bytes, 0);
}

void tkx__sample_probe(tkx__sample *s)
{
    tkx__site *site = s->sampler->site;

    s->is_probe = true;
    poll_for(s, 0, tkx__site_now(site) + site->poll_timeout_ms);
}

static void wait_for_result(tkx__sample *s)
{
    s->state = TKX__SAMPLE_WAITING;
    tkx__span_enter(s->span, TKX__PHASE_WAIT);
    if (s->sampler->completions && tkx__completions_await(s->sampler->completions, s))
        return;
    tkx__sample_fetch(s, 0);
}

/* --- the submission -------------------------------------------------------------- */

static bool take_handle(tkx__sample *s, tkx__reply *reply, tkx_error **err)
{
    static const char *const keys[] = {"request_id", "sample_sequence_ids"};
    tkx__span v[2];

    if (tkx__scan_pick(reply->body, reply->body_size, keys, 2, v))
        s->request_id = tkx__span_dup(v[0]);
    if (!s->request_id) {
        tkx__fail(err, TKX_ERR_PROTOCOL,
                  "sample: the service answered HTTP %d without a request_id",
                  reply->http_status);
        return false;
    }
    if (v[1].text) /* without memory for them the sequences have no names */
        s->ids = tkx__strndup(v[1].text, v[1].size);
    return true;
}

static void push_back(tkx__sample *s, int http_status)
{
    tkx__dispatch_push_back(s->sampler->dispatch, s->gate.estimate);
    tell(s, http_status == 402 ? TKX__POLL_PAUSED : TKX__POLL_BACKOFF, http_status);
    send_now(s);
}

static void on_submitted(void *arg, tkx__outcome *outcome)
{
    tkx__sample *s = arg;
    tkx_error *error = outcome->error;

    s->call = NULL;
    s->submit_ms = (uint32_t)outcome->elapsed_ms;
    forget_text(s);
    if (error) {
        attempt_failed(s, error);
    } else if (outcome->reply->http_status >= 300) {
        push_back(s, outcome->reply->http_status);
    } else if (!take_handle(s, outcome->reply, &error)) {
        settle(s, NULL, error);
    } else {
        tkx__span_promise(s->span, s->request_id);
        tkx__dispatch_accepted(s->sampler->dispatch);
        tkx__dispatch_leave(s->sampler->dispatch, &s->gate);
        wait_for_result(s);
    }
}

static void on_retry(void *arg, int http_status, bool is_sending)
{
    tkx__sample *s = arg;

    if (!is_sending)
        tell(s, TKX__POLL_BACKOFF, http_status);
    else
        s->kind->on_sending(s->arg, s->body->size_bytes);
}

/* Inside the limits: send, unless the service wants all samplers to wait. */
static void send_now(tkx__sample *s)
{
    tkx_error *error = NULL;
    int64_t delay = tkx__dispatch_delay_ms(s->sampler->dispatch);

    if (delay > 0) {
        wait_for(s, TKX__SAMPLE_PUSHED, delay);
        return;
    }
    s->body = tkx__sample_text(s->frame, s->shape, s->prompt, s->seq_id);
    if (!s->body) {
        tkx__fail_memory(&error);
        settle(s, NULL, error);
        return;
    }
    const tkx__call_spec spec = {
        .what = "sample",
        .route = "asample",
        .lane = TKX__LANE_SAMPLE,
        .body = s->body,
        .sdk_method = s->kind->sdk_method,
        .seq_id = s->seq_id,
        .is_outer = true,
        .passes_pushback = true,
        .span = s->span,
        .on_retry = on_retry,
        .expected_reply_bytes = 1024,
    };
    s->state = TKX__SAMPLE_SENDING;
    tkx__span_enter(s->span, TKX__PHASE_SUBMIT);
    s->kind->on_sending(s->arg, s->body->size_bytes);
    if (tkx__call_start(s->sampler->site, &spec, on_submitted, s, &s->call, &error) !=
        TKX_OK)
        settle(s, NULL, error);
}

void tkx__sample_admitted(tkx__dispatch_wait *wait)
{
    send_now((tkx__sample *)(void *)((char *)wait - offsetof(tkx__sample, gate)));
}

void tkx__sample_go(tkx__sample *s)
{
    if (s->n_attempts < UINT16_MAX)
        s->n_attempts++;
    s->seq_id = s->sampler->next_seq++;
    s->state = TKX__SAMPLE_GATE;
    tkx__span_enter(s->span, TKX__PHASE_GATE);
    if (tkx__dispatch_enter(s->sampler->dispatch, &s->gate))
        send_now(s);
}

static void on_deadline(void *arg)
{
    tkx__sample *s = arg;
    tkx_error *error = NULL;

    tkx__fail(&error, TKX_ERR_TIMEOUT, "sample: the deadline passed after %u attempt%s",
              s->n_attempts, s->n_attempts == 1 ? "" : "s");
    settle(s, NULL, error);
}

/* False: it could not be armed, and the sample has failed. */
static bool arm_deadline(tkx__sample *s, int64_t deadline_ms)
{
    const tkx__io *io = &s->sampler->site->io;
    int64_t left = deadline_ms - tkx__site_now(s->sampler->site);
    tkx_error *error = NULL;

    if (!deadline_ms)
        return true;
    s->deadline = io->ops->timer_new(io->ctx, on_deadline, s);
    if (!s->deadline) {
        tkx__fail_memory(&error);
        settle(s, NULL, error);
        return false;
    }
    io->ops->timer_arm(io->ctx, s->deadline, left > 0 ? left : 0);
    return true;
}

void tkx__sample_start(tkx__sample *s)
{
    tkx__sampler *p = s->sampler;
    int64_t deadline_ms = s->when.deadline_ms;
    tkx_error *error = NULL;
    const tkx__span_spec span = {
        .what = "sample", .lane = TKX__LANE_SAMPLE, .seq_id = -1};

    s->span = tkx__span_begin(p->site->observer, &span);
    tkx__span_enter(s->span, TKX__PHASE_SLOT);
    s->retries = s->kind->always_retries ||
                 (!p->settings.is_off && !p->site->config.sample_no_retries);
    if (s->kind->on_start(s->arg, p, &error) != TKX_OK)
        settle(s, NULL, error);
    else if (arm_deadline(s, deadline_ms) && tkx__sampler_enter(p, s))
        tkx__sample_go(s);
}
