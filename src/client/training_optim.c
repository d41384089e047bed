/* SPDX-License-Identifier: Apache-2.0 */
/*
 * training_optim.c - optim_step, of either family.
 */
#include "client/training.h"

#include "base/error.h"
#include "base/options.h"
#include "client/record.h"
#include "types/optimizer.h"

#define MAX_BODY ((size_t)16 << 20)

TKX__RECORD_CODEC(optim_step_result);

static const tkx__result_type optim_type = {"optim_step result", free_optim_step_result};
static const tkx__task_kind optim_kind = TKX__STEP_KIND(&optim_type);

static const tkx__step_spec optim_spec = {
    .what = "optim_step",
    .route = "optim_step",
    .request_type = "OptimStep",
    .sdk_method = "TrainingClient.optim_step",
    .kind = &optim_kind,
    .decode = decode_optim_step_result,
    .free_result = free_optim_step_result,
};

static tkx_status fill(tkx_optim_options *to, tkx_adam_params *adam,
                       tkx_dimuon_params *dimuon, const tkx_optim_options *from,
                       tkx_error **err)
{
    tkx_status st = tkx__options_overlay(to, sizeof *to, from, "tkx_optim_options", err);

    if (st == TKX_OK && to->adam && to->dimuon)
        st = tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                       "optim_step: a model has one family of optimizer, so its step has "
                       "the parameters of adam or of dimuon, not both");
    if (st != TKX_OK)
        return st;
    if (to->dimuon)
        return tkx__options_overlay(dimuon, sizeof *dimuon, to->dimuon,
                                    "tkx_dimuon_params", err);
    return tkx__options_overlay(adam, sizeof *adam, to->adam, "tkx_adam_params", err);
}

tkx_status tkx_training_optim_step(tkx_training *t, const tkx_optim_options *options,
                                   tkx_future **out, tkx_error **err)
{
    tkx_optim_options o = TKX_OPTIM_OPTIONS_INIT;
    tkx_adam_params adam = TKX_ADAM_PARAMS_INIT;
    tkx_dimuon_params dimuon = TKX_DIMUON_PARAMS_INIT;
    tkx__buf buf;
    tkx_status st = fill(&o, &adam, &dimuon, options, err);

    if (st != TKX_OK)
        return st;
    const tkx_optim_step_request request = {.model_id = t->model_id,
                                            .seq_id = TKX__SEQ_LATER,
                                            .adam = o.dimuon ? NULL : &adam,
                                            .dimuon = o.dimuon ? &dimuon : NULL,
                                            .extra_json = o.extra_json};
    tkx__buf_init(&buf, MAX_BODY);
    st = tkx__optim_step_request_encode_json(&request, &buf, err);
    if (st == TKX_OK)
        return tkx__step_run(t, &optim_spec, &buf, o.timeout_ms, out, err);
    tkx__buf_clear(&buf);
    return st;
}

TKX__RECORD_TAKE(tkx_future_take_optim_step, optim_step_result, optim_type);
