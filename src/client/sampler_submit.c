/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sampler_submit.c - the public calls of a sampler: what is asked for is checked and
 * kept, and its way begins on the loop thread (sampler_call.c).
 */
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/options.h"
#include "client/local_in.h"
#include "client/sampler_in.h"

static bool is_local_only(const tkx_local_sample_options *o)
{
    return o->min_p != 0 || o->repetition_penalty != 0 || o->frequency_penalty != 0 ||
           o->presence_penalty != 0 || o->n_biases != 0 ||
           o->logprob_mode != TKX_LOGPROB_MODE_RAW;
}

static tkx_status check(const tkx_sampler *s, const tkx_local_sample_options *o,
                        tkx_error **err)
{
    if (o->adapter)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "a request of a sampler takes no adapter of its own");
    if (s->mode != TKX_SAMPLER_LOCAL && is_local_only(o))
        return tkx__fail(err, TKX_ERR_UNSUPPORTED,
                         "min_p, penalties, biases and the logprob mode are offered by "
                         "the local engine only: take a local sampler");
    return TKX_OK;
}

static bool copy_request(sampler_call *c, const tkx_sample_request *request)
{
    tkx_local_sample_options *o = &c->local_only;
    int64_t *tokens = NULL;
    float *biases = NULL;

    tkx__arena_init(&c->arena, 1024, SIZE_MAX);
    if (!tkx__either_copy_request(&c->arena, request, &c->request))
        return false;
    if (o->n_biases == 0)
        return true;
    tokens = tkx__arena_alloc(&c->arena, o->n_biases, sizeof *tokens);
    biases = tkx__arena_alloc(&c->arena, o->n_biases, sizeof *biases);
    if (!tokens || !biases)
        return false;
    memcpy(tokens, o->bias_tokens, o->n_biases * sizeof *tokens);
    memcpy(biases, o->biases, o->n_biases * sizeof *biases);
    o->bias_tokens = tokens;
    o->biases = biases;
    return true;
}

static tkx_status submit(tkx_sampler *s, const tkx_sample_request *request,
                         const tkx_local_sample_options *o, bool is_scoring,
                         int64_t timeout_ms, tkx_future **out, tkx_error **err)
{
    sampler_call *c;

    if (s->mode != TKX_SAMPLER_REMOTE && request->params.n_stop &&
        request->params.stop_strings)
        tkx__local_prepare_text(s->local); /* not on the loop thread */
    c = tkx__calloc(1, sizeof *c);
    if (!c)
        return tkx__fail_memory(err);
    c->local_only = *o;
    c->is_scoring = is_scoring;
    c->timeout_ms =
        timeout_ms > 0 ? timeout_ms : tkx__context_options(s->context)->call_timeout_ms;
    if (!copy_request(c, request)) {
        tkx__arena_clear(&c->arena);
        tkx__free(c);
        return tkx__fail_memory(err);
    }
    c->future =
        tkx__future_new(s->context, &tkx__result_either, tkx__either_given_up, c, err);
    if (!c->future) {
        tkx__arena_clear(&c->arena);
        tkx__free(c);
        return tkx__context_is_closed(s->context) ? TKX_ERR_CLOSED : TKX_ERR_NO_MEMORY;
    }
    c->sampler = tkx__either_ref(s);
    (void)tkx__future_set_cancel_mode(c->future, TKX__CANCEL_REMOVE);
    *out = tkx_future_ref(c->future);
    c->beginning = (tkx__post_node){.fn = tkx__either_begin, .arg = c};
    if (s->io->ops->post_node(s->io->ctx, &c->beginning))
        return TKX_OK;
    tkx_future_unref(*out);
    *out = NULL;
    (void)tkx__fail(err, TKX_ERR_CLOSED, "the context is closed");
    tkx__either_fail(c, tkx__error_copy(err ? *err : NULL));
    return TKX_ERR_CLOSED;
}

tkx_status tkx_sampler_sample(tkx_sampler *sampler, const tkx_sample_request *request,
                              const tkx_local_sample_options *local_only,
                              int64_t timeout_ms, tkx_future **out, tkx_error **err)
{
    tkx_local_sample_options o = TKX_LOCAL_SAMPLE_OPTIONS_INIT;
    tkx_sample_request r = TKX_SAMPLE_REQUEST_INIT;
    tkx_status st =
        tkx__options_overlay(&o, sizeof o, local_only, "tkx_local_sample_options", err);

    if (st == TKX_OK)
        st = tkx__options_overlay(&r, sizeof r, request, "tkx_sample_request", err);
    if (st == TKX_OK)
        st = check(sampler, &o, err);
    if (st != TKX_OK)
        return st;
    return submit(sampler, &r, &o, false, timeout_ms, out, err);
}

tkx_status tkx_sampler_compute_logprobs(tkx_sampler *sampler,
                                        const tkx_model_input *prompt, int64_t timeout_ms,
                                        tkx_future **out, tkx_error **err)
{
    const tkx_local_sample_options o = TKX_LOCAL_SAMPLE_OPTIONS_INIT;
    tkx_sample_request r = TKX_SAMPLE_REQUEST_INIT;

    r.prompt = *prompt;
    r.prompt_logprobs = true;
    r.params.has_max_tokens = true; /* 0 here; the remote call asks in its own way */
    return submit(sampler, &r, &o, true, timeout_ms, out, err);
}
