/* SPDX-License-Identifier: Apache-2.0 */
/* optimizer.c - optim_step as tables. */
#include "types/optimizer.h"

#include "types/owned.h"
#include "types/schema.h"

static const tkx__field adam_fields[] = {
    TKX__FIELD(tkx_adam_params, F64, learning_rate, .flags = 0),
    TKX__FIELD(tkx_adam_params, F64, beta1, .flags = 0),
    TKX__FIELD(tkx_adam_params, F64, beta2, .flags = 0),
    TKX__FIELD(tkx_adam_params, F64, eps, .flags = 0),
    TKX__FIELD(tkx_adam_params, F64, weight_decay, .flags = 0),
    TKX__FIELD(tkx_adam_params, F64, grad_clip_norm, .flags = 0),
};
static const tkx__schema adam = TKX__SCHEMA("adam_params", tkx_adam_params, adam_fields);

static const tkx__field dimuon_fields[] = {
    TKX__TYPE("dimuon"),
    TKX__FIELD(tkx_dimuon_params, F64, learning_rate, .flags = 0),
    TKX__FIELD(tkx_dimuon_params, F64, grad_clip_norm, .flags = 0),
    TKX__FIELD(tkx_dimuon_params, F64, beta1, .flags = 0),
};
static const tkx__schema dimuon =
    TKX__SCHEMA("optimizer_params", tkx_dimuon_params, dimuon_fields);

static const tkx__field step_fields[] = {
    TKX__FIELD(tkx_optim_step_request, STRING, model_id, .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_optim_step_request, I64, seq_id, .flags = TKX__F_OMIT, .missing = -1),
    TKX__TYPE("optim_step"),
    TKX__NAMED(tkx_optim_step_request, RECORD_PTR, "adam_params", adam,
               .flags = TKX__F_OMIT, .sub = &adam),
    TKX__NAMED(tkx_optim_step_request, RECORD_PTR, "optimizer_params", dimuon,
               .flags = TKX__F_OMIT, .sub = &dimuon),
    TKX__EXTRA(tkx_optim_step_request),
};
static const tkx__schema step =
    TKX__SCHEMA("optim_step request", tkx_optim_step_request, step_fields);

static const tkx__field step_result_fields[] = {
    TKX__FIELD(tkx_optim_step_result, METRICS, metrics, .flags = 0),
};
static const tkx__schema step_result =
    TKX__SCHEMA("optim_step answer", tkx_optim_step_result, step_result_fields);

tkx_status tkx__optim_step_request_encode_json(const tkx_optim_step_request *request,
                                               tkx__buf *buf, tkx_error **err)
{
    return tkx__schema_encode(&step, request, buf, err);
}

tkx_status tkx__optim_step_result_decode_json(const void *bytes, size_t size,
                                              tkx_optim_step_result **out,
                                              tkx_error **err)
{
    void *object;
    tkx_status st = tkx__schema_decode(&step_result, bytes, size, &object, err);

    *out = object;
    return st;
}

void tkx_optim_step_result_free(tkx_optim_step_result *object)
{
    tkx__owned_free(object);
}
