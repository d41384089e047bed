/* SPDX-License-Identifier: Apache-2.0 */
/*
 * training_steps.c - optim_step, saves, loads and get_info.
 */
#include "client/training.h"

#include <string.h>

#include "base/error.h"
#include "base/options.h"
#include "types/model.h"
#include "types/optimizer.h"
#include "types/weights.h"

#define MAX_BODY ((size_t)16 << 20)

/* --- optim_step ----------------------------------------------------------------------
 */

static void *decode_optim(const tkx__payload *payload, void *arg, tkx_error **err)
{
    tkx_optim_step_result *result = NULL;

    (void)arg;
    tkx__optim_step_result_decode_json(payload->bytes, payload->size, &result, err);
    return result;
}

static void free_optim(void *result)
{
    tkx_optim_step_result_free(result);
}

static const tkx__result_type optim_type = {"optim_step result", free_optim};
static const tkx__task_kind optim_kind = TKX__STEP_KIND(&optim_type);

static tkx_status optim_step(tkx_training *t, const tkx_adam_params *adam,
                             const tkx_dimuon_params *dimuon, tkx_future **out,
                             tkx_error **err)
{
    static const tkx__step_spec spec = {
        .what = "optim_step",
        .route = "optim_step",
        .request_type = "OptimStep",
        .sdk_method = "TrainingClient.optim_step",
        .kind = &optim_kind,
        .decode = decode_optim,
        .free_result = free_optim,
    };
    const tkx_optim_step_request request = {.model_id = t->model_id,
                                            .seq_id = TKX__SEQ_LATER,
                                            .adam = adam,
                                            .dimuon = dimuon};
    tkx__buf buf;

    tkx__buf_init(&buf, MAX_BODY);
    tkx_status st = tkx__optim_step_request_encode_json(&request, &buf, err);
    if (st == TKX_OK)
        return tkx__step_run(t, &spec, &buf, out, err);
    tkx__buf_clear(&buf);
    return st;
}

tkx_status tkx_training_optim_step(tkx_training *training, const tkx_adam_params *params,
                                   tkx_future **out, tkx_error **err)
{
    tkx_adam_params adam = TKX_ADAM_PARAMS_INIT;
    tkx_status st =
        tkx__options_overlay(&adam, sizeof adam, params, "tkx_adam_params", err);

    return st == TKX_OK ? optim_step(training, &adam, NULL, out, err) : st;
}

tkx_status tkx_training_optim_step_dimuon(tkx_training *training,
                                          const tkx_dimuon_params *params,
                                          tkx_future **out, tkx_error **err)
{
    tkx_dimuon_params dimuon = TKX_DIMUON_PARAMS_INIT;
    tkx_status st =
        tkx__options_overlay(&dimuon, sizeof dimuon, params, "tkx_dimuon_params", err);

    return st == TKX_OK ? optim_step(training, NULL, &dimuon, out, err) : st;
}

tkx_status tkx_future_take_optim_step(tkx_future *future, tkx_optim_step_result **out,
                                      tkx_error **err)
{
    void *result;
    tkx_status st = tkx__future_take(future, &optim_type, &result, err);

    if (st == TKX_OK)
        *out = result;
    return st;
}

/* --- saves ---------------------------------------------------------------------------
 */

static void *decode_save(const tkx__payload *payload, void *arg, tkx_error **err)
{
    tkx_save_weights_result *result = NULL;

    (void)arg;
    tkx__save_weights_result_decode_json(payload->bytes, payload->size, &result, err);
    return result;
}

static void free_save(void *result)
{
    tkx_save_weights_result_free(result);
}

static const tkx__result_type save_type = {"save result", free_save};
static const tkx__task_kind save_kind = TKX__STEP_KIND(&save_type);

static const tkx__step_spec save_state_spec = {
    .what = "save_weights",
    .route = "save_weights",
    .request_type = "SaveWeights",
    .sdk_method = "TrainingClient.save_state",
    .is_save = true,
    .kind = &save_kind,
    .decode = decode_save,
    .free_result = free_save,
};

static const tkx__step_spec save_sampler_spec = {
    .what = "save_weights_for_sampler",
    .route = "save_weights_for_sampler",
    .request_type = "SaveWeightsForSampler",
    .sdk_method = "TrainingClient.save_weights_for_sampler",
    .is_save = true,
    .kind = &save_kind,
    .decode = decode_save,
    .free_result = free_save,
};

static tkx_status run_encoded(tkx_training *t, const tkx__step_spec *spec, tkx_status st,
                              tkx__buf *buf, tkx_future **out, tkx_error **err)
{
    if (st == TKX_OK)
        return tkx__step_run(t, spec, buf, out, err);
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
    };
    tkx__buf_init(&buf, MAX_BODY);
    st = tkx__save_weights_request_encode_json(&request, &buf, err);
    return run_encoded(t, &save_state_spec, st, &buf, out, err);
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
    };
    tkx__buf_init(&buf, MAX_BODY);
    st = tkx__save_weights_for_sampler_request_encode_json(&request, &buf, err);
    return run_encoded(t, &save_sampler_spec, st, &buf, out, err);
}

tkx_status tkx_future_take_save_weights(tkx_future *future, tkx_save_weights_result **out,
                                        tkx_error **err)
{
    void *result;
    tkx_status st = tkx__future_take(future, &save_type, &result, err);

    if (st == TKX_OK)
        *out = result;
    return st;
}

/* --- load ----------------------------------------------------------------------------
 */

static void *decode_load(const tkx__payload *payload, void *arg, tkx_error **err)
{
    tkx_load_weights_result *result = NULL;

    (void)arg;
    tkx__load_weights_result_decode_json(payload->bytes, payload->size, &result, err);
    return result;
}

static void free_load(void *result)
{
    tkx_load_weights_result_free(result);
}

static const tkx__result_type load_type = {"load result", free_load};
static const tkx__task_kind load_kind = TKX__STEP_KIND(&load_type);

tkx_status tkx_training_load_state(tkx_training *t, const char *path, int with_optimizer,
                                   const char *weights_access_token, tkx_future **out,
                                   tkx_error **err)
{
    static const tkx__step_spec spec = {
        .what = "load_weights",
        .route = "load_weights",
        .request_type = "LoadWeights",
        .sdk_method = "TrainingClient.load_state",
        .kind = &load_kind,
        .decode = decode_load,
        .free_result = free_load,
    };
    tkx__buf buf;

    if (!path || !*path)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "load_state needs a checkpoint's path");
    const tkx_load_weights_request request = {
        .model_id = t->model_id,
        .seq_id = TKX__SEQ_LATER,
        .model_seq_id = -1,
        .path = path,
        .optimizer = with_optimizer != 0,
        .weights_access_token = weights_access_token,
    };
    tkx__buf_init(&buf, MAX_BODY);
    tkx_status st = tkx__load_weights_request_encode_json(&request, &buf, err);
    return run_encoded(t, &spec, st, &buf, out, err);
}

tkx_status tkx_future_take_load_weights(tkx_future *future, tkx_load_weights_result **out,
                                        tkx_error **err)
{
    void *result;
    tkx_status st = tkx__future_take(future, &load_type, &result, err);

    if (st == TKX_OK)
        *out = result;
    return st;
}
