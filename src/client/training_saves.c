/* SPDX-License-Identifier: Apache-2.0 */
/*
 * training_saves.c - saves under a name, for training, sampling and elsewhere, and loads.
 */
#include "base/error.h"
#include "base/options.h"
#include "client/record.h"
#include "client/training.h"
#include "types/weights.h"

#define MAX_BODY ((size_t)16 << 20)

/* --- saves ----------------------------------------------------------------------- */

TKX__RECORD_CODEC(save_weights_result);

static const tkx__result_type save_type = {"save result", free_save_weights_result};
static const tkx__task_kind save_kind = TKX__STEP_KIND(&save_type);

static const char *path_of(const void *result)
{
    return ((const tkx_save_weights_result *)result)->path;
}

/* The answer to a named save says where it went, or it is none. */
static void *decode_named(const tkx__payload *payload, void *arg, tkx_error **err)
{
    tkx_save_weights_result *save = decode_save_weights_result(payload, arg, err);

    if (!save || save->path)
        return save;
    tkx__fail(err, TKX_ERR_PARSE, "the answer to a save has no path");
    tkx_save_weights_result_free(save);
    return NULL;
}

static const tkx__step_spec save_state_spec = {
    .what = "save_weights",
    .route = "save_weights",
    .request_type = "SaveWeights",
    .sdk_method = "TrainingClient.save_state",
    .is_save = true,
    .kind = &save_kind,
    .decode = decode_named,
    .free_result = free_save_weights_result,
    .path_of = path_of,
};

static const tkx__step_spec save_sampler_spec = {
    .what = "save_weights_for_sampler",
    .route = "save_weights_for_sampler",
    .request_type = "SaveWeightsForSampler",
    .sdk_method = "TrainingClient.save_weights_for_sampler",
    .is_save = true,
    .kind = &save_kind,
    .decode = decode_named,
    .free_result = free_save_weights_result,
    .path_of = path_of,
};

static const tkx__step_spec save_external_spec = {
    .what = "save_weights_external",
    .route = "save_weights_external",
    .request_type = "SaveWeightsExternal",
    .sdk_method = "TrainingClient.save_weights_external",
    .is_save = true,
    .kind = &save_kind,
    .decode = decode_named,
    .free_result = free_save_weights_result,
    .path_of = path_of,
};

static tkx_status run_encoded(tkx_training *t, const tkx__step_spec *spec, tkx_status st,
                              tkx__buf *buf, int64_t timeout_ms, tkx_future **out,
                              tkx_error **err)
{
    if (st == TKX_OK)
        return tkx__step_run(t, spec, buf, timeout_ms, out, err);
    tkx__buf_clear(buf);
    return st;
}

static tkx_status fill_save(tkx_save_options *to, const char *name,
                            const tkx_save_options *from, tkx_error **err)
{
    if (!name || !*name)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT, "a checkpoint needs a name");
    return tkx__options_overlay(to, sizeof *to, from, "tkx_save_options", err);
}

tkx_status tkx_training_save_state(tkx_training *t, const char *name,
                                   const tkx_save_options *options, tkx_future **out,
                                   tkx_error **err)
{
    tkx_save_options o = TKX_SAVE_OPTIONS_INIT;
    tkx__buf buf;
    tkx_status st = fill_save(&o, name, options, err);

    if (st != TKX_OK)
        return st;
    const tkx_save_weights_request request = {
        .model_id = t->model_id,
        .path = name,
        .seq_id = TKX__SEQ_LATER,
        .ttl_seconds = o.ttl_seconds ? o.ttl_seconds : -1,
        .overwrite = o.overwrite != 0,
        .user_metadata = {o.user_metadata, o.n_user_metadata},
        .extra_json = o.extra_json,
    };
    tkx__buf_init(&buf, MAX_BODY);
    st = tkx__save_weights_request_encode_json(&request, &buf, err);
    return run_encoded(t, &save_state_spec, st, &buf, o.timeout_ms, out, err);
}

tkx_status tkx_training_save_weights_for_sampler(tkx_training *t, const char *name,
                                                 const tkx_save_options *options,
                                                 tkx_future **out, tkx_error **err)
{
    tkx_save_options o = TKX_SAVE_OPTIONS_INIT;
    tkx__buf buf;
    tkx_status st = fill_save(&o, name, options, err);

    if (st != TKX_OK)
        return st;
    const tkx_save_weights_for_sampler_request request = {
        .model_id = t->model_id,
        .path = name,
        .sampling_session_seq_id = -1,
        .seq_id = TKX__SEQ_LATER,
        .ttl_seconds = o.ttl_seconds ? o.ttl_seconds : -1,
        .user_metadata = {o.user_metadata, o.n_user_metadata},
        .extra_json = o.extra_json,
    };
    tkx__buf_init(&buf, MAX_BODY);
    st = tkx__save_weights_for_sampler_request_encode_json(&request, &buf, err);
    return run_encoded(t, &save_sampler_spec, st, &buf, o.timeout_ms, out, err);
}

tkx_status tkx_training_save_weights_external(tkx_training *t, const char *name,
                                              const tkx_external_options *options,
                                              tkx_future **out, tkx_error **err)
{
    tkx_external_options o = TKX_EXTERNAL_OPTIONS_INIT;
    tkx__buf buf;
    tkx_status st;

    if (!name || !*name)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT, "a checkpoint needs a name");
    st = tkx__options_overlay(&o, sizeof o, options, "tkx_external_options", err);
    if (st != TKX_OK)
        return st;
    const tkx_save_weights_external_request request = {
        .model_id = t->model_id,
        .path = name,
        .seq_id = TKX__SEQ_LATER,
        .ttl_seconds = o.ttl_seconds ? o.ttl_seconds : -1,
        .age_encryption_recipients = {o.recipients, o.n_recipients},
        .extra_json = o.extra_json,
    };
    tkx__buf_init(&buf, MAX_BODY);
    st = tkx__save_weights_external_request_encode_json(&request, &buf, err);
    return run_encoded(t, &save_external_spec, st, &buf, o.timeout_ms, out, err);
}

TKX__RECORD_TAKE(tkx_future_take_save_weights, save_weights_result, save_type);

/* --- load ------------------------------------------------------------------------ */

TKX__RECORD_CODEC(load_weights_result);

static const tkx__result_type load_type = {"load result", free_load_weights_result};
static const tkx__task_kind load_kind = TKX__STEP_KIND(&load_type);

static const tkx__step_spec load_spec = {
    .what = "load_weights",
    .route = "load_weights",
    .request_type = "LoadWeights",
    .sdk_method = "TrainingClient.load_state",
    .kind = &load_kind,
    .decode = decode_load_weights_result,
    .free_result = free_load_weights_result,
};

static tkx_status fill_load(tkx_load_options *to, const tkx_training *t, const char *path,
                            const tkx_load_options *from, tkx_error **err)
{
    tkx_status st = tkx__options_overlay(to, sizeof *to, from, "tkx_load_options", err);

    if (st != TKX_OK)
        return st;
    if (!path || !*path)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "load_state needs a checkpoint's path");
    if (t->ledger && to->weights_access_token)
        return tkx__fail(err, TKX_ERR_UNSUPPORTED,
                         "a load with an access token is not written to a journal, which "
                         "would then hold the secret: copy the checkpoint first, or "
                         "train without a journal");
    return TKX_OK;
}

tkx_status tkx_training_load_state(tkx_training *t, const char *path,
                                   const tkx_load_options *options, tkx_future **out,
                                   tkx_error **err)
{
    tkx_load_options o = TKX_LOAD_OPTIONS_INIT;
    tkx__buf buf;
    tkx_status st = fill_load(&o, t, path, options, err);

    if (st != TKX_OK)
        return st;
    const tkx_load_weights_request request = {
        .model_id = t->model_id,
        .seq_id = TKX__SEQ_LATER,
        .model_seq_id = -1,
        .path = path,
        .optimizer = o.with_optimizer != 0,
        .weights_access_token = o.weights_access_token,
        .extra_json = o.extra_json,
    };
    tkx__buf_init(&buf, MAX_BODY);
    st = tkx__load_weights_request_encode_json(&request, &buf, err);
    return run_encoded(t, &load_spec, st, &buf, o.timeout_ms, out, err);
}

TKX__RECORD_TAKE(tkx_future_take_load_weights, load_weights_result, load_type);
