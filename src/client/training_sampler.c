/* SPDX-License-Identifier: Apache-2.0 */
/*
 * training_sampler.c - publish the weights of this moment and sample from them.
 *
 * The number of the sampling session is drawn once for each call, in the caller's thread,
 * so a resend uses the same one.
 */
#include "base/error.h"
#include "base/options.h"
#include "client/record.h"
#include "client/sampling.h"
#include "client/training.h"
#include "types/weights.h"

#define MAX_BODY ((size_t)1 << 20)

TKX__RECORD_CODEC(save_weights_result);

static const char *base_model_of(const tkx__step *step)
{
    const tkx_model_info *info = step->training->info;

    return info ? info->model_data.model_name : NULL;
}

static void *make_sampling(tkx__step *step, void *result, tkx_error **err)
{
    tkx_save_weights_result *save = result;
    tkx_sampling *sampling = NULL;

    if (save->sampling_session_id) {
        sampling = tkx__sampling_new(step->task.service, save->sampling_session_id, NULL,
                                     false, 0);
        if (!sampling || !tkx__sampling_set_base_model(sampling, base_model_of(step))) {
            tkx_sampling_free(sampling);
            sampling = NULL;
            tkx__fail_memory(err);
        }
    } else {
        tkx__fail(err, TKX_ERR_PROTOCOL,
                  "save_weights_for_sampler: the service made no sampling session");
    }
    tkx_save_weights_result_free(save);
    return sampling;
}

static const tkx__task_kind kind = TKX__STEP_KIND(&tkx__result_sampling);

tkx_status
tkx_training_save_weights_and_get_sampling_client(tkx_training *t,
                                                  const tkx_publish_options *options,
                                                  tkx_future **out, tkx_error **err)
{
    static const tkx__step_spec spec = {
        .what = "save_weights_for_sampler",
        .route = "save_weights_for_sampler",
        .request_type = "SaveWeightsForSampler",
        .sdk_method = "TrainingClient.save_weights_and_get_sampling_client",
        .is_save = true,
        .kind = &kind,
        .decode = decode_save_weights_result,
        .free_result = free_save_weights_result,
        .finish = make_sampling,
        .record_as = TKX__OP_PUBLISH,
    };
    tkx_publish_options o = TKX_PUBLISH_OPTIONS_INIT;
    tkx_status st =
        tkx__options_overlay(&o, sizeof o, options, "tkx_publish_options", err);

    if (st != TKX_OK)
        return st;
    const tkx_save_weights_for_sampler_request request = {
        .model_id = t->model_id,
        .sampling_session_seq_id = tkx__session_next_sampler(t->service->loop.session),
        .is_inflight = o.is_inflight != 0,
        .seq_id = TKX__SEQ_LATER,
        .ttl_seconds = o.ttl_seconds ? o.ttl_seconds : -1,
        .extra_json = o.extra_json,
    };
    tkx__buf buf;

    tkx__buf_init(&buf, MAX_BODY);
    st = tkx__save_weights_for_sampler_request_encode_json(&request, &buf, err);
    if (st == TKX_OK)
        return tkx__step_run(t, &spec, &buf, o.timeout_ms, out, err);
    tkx__buf_clear(&buf);
    return st;
}
