/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sampler_call.c - one request of a sampler, from the side that is asked to the side that
 * answers.
 *
 *     SESSION --made--> REMOTE --answer--------------------------> (gone)
 *        |                |  \--refused--> ASKING --offered------> (gone, failed)
 *        |                |                   |
 *        +--unreachable---+----> LOCAL <--retired--+
 *
 * Loop thread only.  At each moment one future is followed; when it is given up, the
 * watch on it is left behind with nobody to tell.
 */
#include <pthread.h>

#include <tkx/breaker.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "client/sampler_in.h"
#include "client/sampling.h"
#include "client/service.h"

/* On what is followed, until that has completed; tokens of a local answer pass through
 * it.
 */
typedef struct inner_watch {
    tkx__future_watch watch; /* first: it is found by it */
    sampler_call *call;      /* NULL: given up */
    pthread_mutex_t lock;
    tkx_local_token_fn *on_token; /* under the lock; NULL: nobody listens (any more) */
    void *user_data;
} inner_watch;

/* ---- the end ---- */

static void unlist(sampler_call *c)
{
    if (!c->is_listed)
        return;
    c->is_listed = false;
    if (c->prev)
        c->prev->next = c->next;
    else
        c->sampler->loop.calls = c->next;
    if (c->next)
        c->next->prev = c->prev;
}

/* After this no token is told. */
static void give_up_inner(sampler_call *c)
{
    if (c->watch) {
        pthread_mutex_lock(&c->watch->lock);
        c->watch->on_token = NULL;
        pthread_mutex_unlock(&c->watch->lock);
        c->watch->call = NULL;
    }
    c->watch = NULL;
    if (c->inner)
        (void)tkx_future_cancel(c->inner);
    tkx_future_unref(c->inner);
    c->inner = NULL;
}

static void dispose(sampler_call *c)
{
    tkx_sampler *s = c->sampler;

    give_up_inner(c);
    unlist(c);
    if (c->deadline)
        s->io->ops->timer_free(s->io->ctx, c->deadline);
    tkx__future_forget_owner(c->future);
    tkx_future_unref(c->future);
    tkx_error_free(c->remote_error);
    tkx__arena_clear(&c->arena);
    tkx__free(c);
    tkx__either_call_ended(s);
    tkx__either_unref(s);
}

void tkx__either_fail(sampler_call *c, tkx_error *error)
{
    tkx__future_fail(c->future, &error);
    dispose(c);
}

/* A remote answer has come whole; its tokens are told as a local one's are. */
static void tell_tokens(const sampler_call *c, const tkx_sample_response *r)
{
    const tkx_local_sample_options *o = &c->local_only;

    for (size_t i = 0; o->on_token && i < r->n_sequences; i++) {
        const tkx_sequence *s = &r->sequences[i];

        for (size_t t = 0; t < s->n_tokens; t++)
            o->on_token((int64_t)i, s->tokens[t], t < s->n_logprobs ? s->logprobs[t] : 0,
                        o->user_data);
    }
}

/* What the logprobs are: at temperature 0, and of a prompt, all are raw. */
static tkx_logprob_mode mode_of(const sampler_call *c)
{
    return c->is_scoring || c->request.params.temperature == 0
               ? TKX_LOGPROB_MODE_RAW
               : c->local_only.logprob_mode;
}

/* Both are taken. */
static void succeed(sampler_call *c, tkx_sample_response *response,
                    tkx_logprobs *logprobs)
{
    tkx_sampler_result *result = tkx__calloc(1, sizeof *result);
    tkx_error *error = NULL;
    bool is_local = c->state == CALL_LOCAL;

    if (!result) {
        tkx_sample_response_free(response);
        tkx_logprobs_free(logprobs);
        (void)tkx__fail_memory(&error);
        tkx__either_fail(c, error);
        return;
    }
    result->response = response;
    result->logprobs = logprobs;
    result->label = tkx__either_label(c->sampler, is_local, mode_of(c), c->reason);
    if (!is_local && response)
        tell_tokens(c, response);
    tkx__future_succeed(c->future, result);
    dispose(c);
}

/* ---- following a future ---- */

static void on_inner(sampler_call *c, tkx_future *inner);

static void free_watch(inner_watch *w)
{
    if (!w)
        return;
    pthread_mutex_destroy(&w->lock);
    tkx__free(w);
}

static void on_watch(tkx_future *future, tkx__future_watch *watch)
{
    inner_watch *w = (inner_watch *)(void *)watch;
    sampler_call *c = w->call;

    free_watch(w);
    if (!c)
        return;
    c->watch = NULL;
    c->inner = NULL;
    on_inner(c, future);
    tkx_future_unref(future);
}

/* NULL: the call has failed. */
static inner_watch *new_watch(sampler_call *c)
{
    inner_watch *w = tkx__calloc(1, sizeof *w);
    tkx_error *error = NULL;

    if (!w) {
        (void)tkx__fail_memory(&error);
        tkx__either_fail(c, error);
        return NULL;
    }
    w->watch.fn = on_watch;
    w->call = c;
    pthread_mutex_init(&w->lock, NULL);
    return w;
}

/* Both are taken. */
static void follow(sampler_call *c, inner_watch *w, tkx_future *inner)
{
    c->inner = inner;
    c->watch = w;
    if (!tkx__future_add_watch(inner, &w->watch))
        on_watch(inner, &w->watch);
}

/* The future is taken. */
static void go_on_with(sampler_call *c, tkx_future *inner)
{
    inner_watch *w = new_watch(c);

    if (w) {
        follow(c, w, inner);
        return;
    }
    (void)tkx_future_cancel(inner);
    tkx_future_unref(inner);
}

/* ---- the local side ---- */

static bool may_go_local(const sampler_call *c)
{
    return c->sampler->mode == TKX_SAMPLER_AUTO && tkx__either_is_text(&c->request);
}

static void local_failed(sampler_call *c, tkx_error *error)
{
    tkx_error *both = NULL;

    if (!c->remote_error) {
        tkx__either_fail(c, error);
        return;
    }
    (void)tkx__fail_cause(&both, tkx_error_status(error), NULL, &c->remote_error,
                          "the local model, asked because the service is %s: %s",
                          c->reason, tkx_error_message(error));
    tkx_error_free(error);
    tkx__either_fail(c, both);
}

static void say_switch(sampler_call *c)
{
    tkx_sampler *s = c->sampler;

    if (s->mode != TKX_SAMPLER_AUTO)
        return;
    tkx__log_write(tkx__context_log(s->context),
                   s->loop.is_away ? TKX_LOG_DEBUG : TKX_LOG_WARNING, "sampler",
                   "the local model answers in place of the service (%s)", c->reason);
    s->loop.is_away = true;
}

/* Compute thread. */
static void relay(int64_t sample, int32_t token, float logprob, void *user_data)
{
    inner_watch *w = user_data;

    pthread_mutex_lock(&w->lock);
    if (w->on_token)
        w->on_token(sample, token, logprob, w->user_data);
    pthread_mutex_unlock(&w->lock);
}

static void start_local(sampler_call *c, inner_watch *w)
{
    tkx_sampler *s = c->sampler;
    tkx_local_sample_options options = c->local_only;
    tkx_future *inner = NULL;
    tkx_error *error = NULL;

    options.adapter = s->adapter;
    if (options.on_token) {
        w->on_token = options.on_token;
        w->user_data = options.user_data;
        options.on_token = relay;
        options.user_data = w;
    }
    if (tkx_local_sample_start(s->local, s->context, &c->request, &options, &inner,
                               &error) == TKX_OK) {
        follow(c, w, inner);
        return;
    }
    free_watch(w);
    local_failed(c, error);
}

static void go_local(sampler_call *c, const char *reason)
{
    inner_watch *w;

    give_up_inner(c);
    c->state = CALL_LOCAL;
    c->reason = reason;
    say_switch(c);
    w = new_watch(c);
    if (w)
        start_local(c, w);
}

static void take_local(sampler_call *c, tkx_future *inner)
{
    tkx_sample_response *response = NULL;
    tkx_logprobs *logprobs = NULL;
    tkx_error *error = NULL;

    if (tkx_future_take_local_sample(inner, &response, &error) != TKX_OK) {
        local_failed(c, error);
        return;
    }
    if (c->is_scoring) {
        logprobs = tkx__logprobs_of(response, response->n_prompt_logprobs);
        tkx_sample_response_free(response);
        response = NULL;
    }
    if (response || logprobs) {
        succeed(c, response, logprobs);
        return;
    }
    (void)tkx__fail_memory(&error);
    tkx__either_fail(c, error);
}

/* ---- the remote side ---- */

/* The error is taken. */
static void remote_failed(sampler_call *c, tkx_error *error)
{
    tkx_sampler *s = c->sampler;
    tkx_future *inner = NULL;

    if (!may_go_local(c)) {
        tkx__either_fail(c, error);
        return;
    }
    tkx_error_free(c->remote_error);
    c->remote_error = error;
    if (tkx_error_status(error) == TKX_ERR_CONNECTION ||
        tkx_error_status(error) == TKX_ERR_BREAKER_OPEN) {
        go_local(c, tkx_error_status(error) == TKX_ERR_CONNECTION ? "unreachable"
                                                                  : "breaker-open");
        return;
    }
    if (c->state != CALL_ASKING && tkx__either_may_be_retired(error) &&
        tkx_service_get_capabilities(s->service, &inner, NULL) == TKX_OK) {
        c->state = CALL_ASKING;
        go_on_with(c, inner);
        return;
    }
    c->remote_error = NULL;
    tkx__either_fail(c, error);
}

static const char *base_name(const sampler_call *c)
{
    const tkx_sampler *s = c->sampler;

    if (s->base_model)
        return s->base_model;
    return tkx_local_label(s->local, s->adapter, TKX_LOGPROB_MODE_RAW).adapter_base;
}

/* What the service offers is known, or not: the failure stands unless the model is
   gone. */
static void take_capabilities(sampler_call *c, tkx_future *inner)
{
    tkx_server_capabilities *answer = NULL;
    tkx_error *error = c->remote_error;
    bool is_retired = tkx_future_take_capabilities(inner, &answer, NULL) == TKX_OK &&
                      tkx__either_is_retired(answer, base_name(c));

    tkx_server_capabilities_free(answer);
    if (is_retired) {
        go_local(c, "retired");
        return;
    }
    c->remote_error = NULL;
    tkx__either_fail(c, error);
}

static void take_remote(sampler_call *c, tkx_future *inner)
{
    tkx_sample_response *response = NULL;
    tkx_logprobs *logprobs = NULL;
    tkx_error *error = NULL;
    tkx_status st = c->is_scoring ? tkx_future_take_logprobs(inner, &logprobs, &error)
                                  : tkx_future_take_sample(inner, &response, &error);

    if (st != TKX_OK) {
        remote_failed(c, error);
        return;
    }
    if (c->sampler->mode == TKX_SAMPLER_AUTO) {
        c->reason = "answered";
        if (c->sampler->loop.is_away)
            tkx__log_write(tkx__context_log(c->sampler->context), TKX_LOG_INFO, "sampler",
                           "the service answers again");
        c->sampler->loop.is_away = false;
    }
    succeed(c, response, logprobs);
}

static void on_inner(sampler_call *c, tkx_future *inner)
{
    if (c->state == CALL_LOCAL)
        take_local(c, inner);
    else if (c->state == CALL_ASKING)
        take_capabilities(c, inner);
    else
        take_remote(c, inner);
}

static void go_remote(sampler_call *c)
{
    tkx_sampling *sampling = c->sampler->loop.sampling;
    tkx_future *inner = NULL;
    tkx_error *error = NULL;
    tkx_status st;

    c->state = CALL_REMOTE;
    if (c->is_scoring)
        st = tkx_sampling_compute_logprobs(sampling, &c->request.prompt, 0, &inner,
                                           &error);
    else
        st = tkx_sampling_sample(sampling, &c->request, 0, &inner, &error);
    tkx__future_note_state(c->future, TKX_FUTURE_WAITING, 0);
    if (st == TKX_OK)
        go_on_with(c, inner);
    else
        tkx__either_fail(c, error);
}

static void go_session(sampler_call *c)
{
    tkx_error *error = NULL;

    if (c->sampler->loop.sampling) {
        go_remote(c);
        return;
    }
    c->state = CALL_SESSION;
    if (tkx__either_make_session(c->sampler, &error) != TKX_OK)
        tkx__either_fail(c, error);
}

void tkx__either_session(tkx_sampler *s, const tkx_error *error)
{
    sampler_call *next;

    for (sampler_call *c = s->loop.calls; c; c = next) {
        next = c->next; /* c may end, no other will */
        if (c->state != CALL_SESSION)
            continue;
        if (error)
            remote_failed(c, tkx__error_copy(error));
        else
            go_remote(c);
    }
}

void tkx__either_lost(void *arg, bool is_breaker)
{
    tkx_sampler *s = arg;
    sampler_call *next;

    tkx__either_ref(s);
    for (sampler_call *c = s->loop.calls; c; c = next) {
        next = c->next;
        if (c->state != CALL_LOCAL && may_go_local(c))
            go_local(c, is_breaker ? "breaker-open" : "unreachable");
    }
    tkx__either_unref(s);
}

/* ---- the call ---- */

void tkx__either_given_up(tkx_future *future, tkx_status reason, void *arg)
{
    sampler_call *c = arg;

    (void)future;
    if (reason == TKX_ERR_CANCELLED && c->is_listed)
        dispose(
            c); /* before it is listed, begin() looks; closing ends what is followed */
}

static void on_deadline(void *arg)
{
    sampler_call *c = arg;
    tkx_error *error = NULL;

    (void)tkx__fail(&error, TKX_ERR_TIMEOUT, "sample: no answer after %lld ms",
                    (long long)c->timeout_ms);
    tkx__either_fail(c, error);
}

static bool arm_deadline(sampler_call *c)
{
    const tkx__io *io = c->sampler->io;

    if (c->timeout_ms <= 0)
        return true;
    c->deadline = io->ops->timer_new(io->ctx, on_deadline, c);
    if (c->deadline)
        io->ops->timer_arm(io->ctx, c->deadline, c->timeout_ms);
    return c->deadline != NULL;
}

/* NULL: nothing speaks against asking the service. */
static const char *why_not_ask(const tkx_sampler *s)
{
    const tkx__site *site = s->service->site;

    if (tkx__reach_is_lost(&site->reach, tkx__site_now(site)))
        return "unreachable";
    if (tkx_breaker_is_open(s->context, TKX_ENDPOINT_SESSION) ||
        tkx_breaker_is_open(s->context, TKX_ENDPOINT_SAMPLE) ||
        tkx_breaker_is_open(s->context, TKX_ENDPOINT_RETRIEVE))
        return "breaker-open";
    return NULL;
}

void tkx__either_begin(void *arg)
{
    sampler_call *c = arg;
    tkx_sampler *s = c->sampler;
    const char *reason;
    tkx_error *error = NULL;

    if (tkx__future_is_cancelled(c->future) || tkx_future_is_done(c->future)) {
        dispose(c);
        return;
    }
    c->next = s->loop.calls;
    if (c->next)
        c->next->prev = c;
    s->loop.calls = c;
    c->is_listed = true;
    c->reason = "requested";
    if (!arm_deadline(c)) {
        (void)tkx__fail_memory(&error);
        tkx__either_fail(c, error);
        return;
    }
    if (s->mode == TKX_SAMPLER_LOCAL)
        go_local(c, "requested");
    else if (may_go_local(c) && (reason = why_not_ask(s)))
        go_local(c, reason);
    else
        go_session(c);
}
