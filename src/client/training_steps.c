/* SPDX-License-Identifier: Apache-2.0 */
/*
 * training_steps.c - optim_step.
 */
#include "client/training.h"

#include "base/error.h"
#include "base/options.h"
#include "client/record.h"
#include "types/optimizer.h"

#define MAX_BODY ((size_t)16 << 20)

/* --- optim_step ------------------------------------------------------------------ */

TKX__RECORD_CODEC(optim_step_result);

static const tkx__result_type optim_type = {"optim_step result", free_optim_step_result};
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
        .decode = decode_optim_step_result,
        .free_result = free_optim_step_result,
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

TKX__RECORD_TAKE(tkx_future_take_optim_step, optim_step_result, optim_type);
