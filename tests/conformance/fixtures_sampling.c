/* SPDX-License-Identifier: Apache-2.0 */
/* fixtures_sampling.c - the calls of sampling clients out of call.args. */
#include <math.h>
#include <string.h>

#include "api/sampler_impl.h"
#include "client/sampling.h"
#include "fixtures_live.h"
#include "fixtures_result.h"

#define BLOCK INT64_C(1000000000) /* numbers of one copy */

static tkx_status sample(live *l, tkx_future **out, tkx_error **err)
{
    if (!fixture_sample(l->f, &l->sample))
        return TKX_ERR_INVALID_ARGUMENT;
    return tkx_sampling_sample(l->sampling, &l->sample, 0, out, err);
}

static tkx_status take_sample(live *l, tkx_future *future, tkx__json_writer *w,
                              tkx_error **err)
{
    tkx_sample_response *v = NULL;
    tkx_status st = tkx_future_take_sample(future, &v, err);

    (void)l;
    if (st == TKX_OK)
        result_sample(w, v);
    tkx_sample_response_free(v);
    return st;
}

static tkx_status compute_logprobs(live *l, tkx_future **out, tkx_error **err)
{
    const jdom *last_n = jdom_get(l->f->args, "prompt_logprobs_last_n");

    if (!fixture_sample(l->f, &l->sample))
        return TKX_ERR_INVALID_ARGUMENT;
    if (!jdom_is_null(last_n))
        return tkx_sampling_compute_last_logprobs(l->sampling, &l->sample.prompt,
                                                  jdom_i64(last_n, 0), 0, out, err);
    return tkx_sampling_compute_logprobs(l->sampling, &l->sample.prompt, 0, out, err);
}

static tkx_status take_logprobs(live *l, tkx_future *future, tkx__json_writer *w,
                                tkx_error **err)
{
    tkx_logprobs *v = NULL;
    tkx_status st = tkx_future_take_logprobs(future, &v, err);

    (void)l;
    if (st == TKX_OK) {
        tkx__json_begin_array(w);
        for (size_t i = 0; i < v->n_values; i++)
            if (isnan(v->values[i]))
                tkx__json_put_null(w);
            else
                result_float(w, (double)v->values[i]);
        tkx__json_end_array(w);
    }
    tkx_logprobs_free(v);
    return st;
}

static tkx_status create(live *l, tkx_future **out, tkx_error **err)
{
    tkx_sampling_options options = TKX_SAMPLING_OPTIONS_INIT;

    options.base_model = fixture_text(l->f, l->f->args, "base_model");
    options.model_path = fixture_text(l->f, l->f->args, "model_path");
    return tkx_service_create_sampling(l->service, &options, out, err);
}

static tkx_status take_sampling(live *l, tkx_future *future, tkx__json_writer *w,
                                tkx_error **err)
{
    tkx_status st = tkx_future_take_sampling(future, &l->sampling, err);

    if (st != TKX_OK)
        return st;
    tkx__json_begin_object(w);
    tkx__json_member_string(w, "sampling_session_id", tkx_sampling_id(l->sampling));
    tkx__json_end_object(w);
    return TKX_OK;
}

/* A copy of a client, and its first sample. */
static tkx_status join(live *l, tkx_future **out, tkx_error **err)
{
    tkx_sampling_options options = TKX_SAMPLING_OPTIONS_INIT;
    const jdom *then = jdom_get(l->f->args, "then_sample");
    const jdom *args = l->f->args;
    tkx_future *joined = NULL;
    tkx_status st;

    options.sampling_session_id = live_id(l->f, "sampling_session_id");
    options.base_model = live_id(l->f, "base_model");
    st = tkx_service_create_sampling(l->service, &options, &joined, err);
    if (st != TKX_OK || jdom_is_null(then)) {
        *out = joined;
        return st;
    }
    if (live_wait(l, joined))
        st = tkx_future_take_sampling(joined, &l->sampling, err);
    else
        st = TKX_ERR_TIMEOUT;
    tkx_future_unref(joined);
    if (st != TKX_OK)
        return st;
    l->f->args = then;
    st = sample(l, out, err);
    l->f->args = args;
    return st;
}

static tkx_status take_join(live *l, tkx_future *future, tkx__json_writer *w,
                            tkx_error **err)
{
    tkx_status st;

    if (l->sampling)
        return take_sample(l, future, w, err);
    st = tkx_future_take_sampling(future, &l->sampling, err);
    if (st != TKX_OK)
        return st;
    tkx__json_begin_object(w);
    tkx__json_member_i64(w, "client_counter", l->sampling->sampler->next_seq / BLOCK);
    tkx__json_end_object(w);
    return TKX_OK;
}

/* A sample whose promise is known is given up. */
static tkx_status cancel(live *l, tkx_future **out, tkx_error **err)
{
    static const int32_t token = 1;
    static tkx_chunk chunk;
    tkx_sample_request q = TKX_SAMPLE_REQUEST_INIT;
    tkx_future *future;
    tkx_status st;

    (void)out;
    chunk = tkx_chunk_text(&token, 1);
    q.prompt = (tkx_model_input){&chunk, 1};
    st = tkx_sampling_sample(l->sampling, &q, 0, &future, err);
    if (st != TKX_OK)
        return st;
    fake_io_turn(l->io);
    tkx_future_cancel(future);
    tkx_future_unref(future);
    return TKX_OK;
}

/* The setting belongs to the client here, so it is put into the request by hand. */
const live_op live_sampling_ops[] = {
    {"sample", live_sampling, sample, take_sample},
    {"compute_logprobs", live_sampling, compute_logprobs, take_logprobs},
    {"create_sampling_session", live_started, create, take_sampling},
    {"create_sampling_client", live_started, create, take_sampling},
    {"join_sampling_session", live_started, join, take_join},
    {"cancel_future", live_sampling, cancel, NULL},
    {NULL, NULL, NULL, NULL},
};
