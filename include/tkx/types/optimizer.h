/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tkx/types/optimizer.h - optimizer families and the settings of one step.
 */
#ifndef TKX_TYPES_OPTIMIZER_H
#define TKX_TYPES_OPTIMIZER_H

#include <tkx/types/metric.h>

TKX_BEGIN_DECLS

/* The family of a model, fixed for its life; type NULL or "adamw" is the default. */
typedef struct tkx_optimizer_config {
    const char *type;
    tkx_json_member_list fields; /* beside type, such as version 1 of dimuon */
} tkx_optimizer_config;

typedef struct tkx_adam_params {
    size_t struct_size;
    double learning_rate;
    double beta1;
    double beta2;
    double eps;
    double weight_decay;
    double grad_clip_norm; /* 0: off */
} tkx_adam_params;

#define TKX_ADAM_PARAMS_INIT                                                             \
    {                                                                                    \
        .struct_size = sizeof(tkx_adam_params), .learning_rate = 0.0001, .beta1 = 0.9,   \
        .beta2 = 0.95, .eps = 1e-12                                                      \
    }

typedef struct tkx_dimuon_params {
    size_t struct_size;
    double learning_rate;
    double grad_clip_norm; /* 0: off */
    double beta1;
} tkx_dimuon_params;

#define TKX_DIMUON_PARAMS_INIT                                                           \
    {                                                                                    \
        .struct_size = sizeof(tkx_dimuon_params), .beta1 = 0.9                           \
    }

typedef struct tkx_optim_step_request {
    const char *model_id;
    int64_t seq_id;
    const tkx_adam_params *adam; /* one of the two */
    const tkx_dimuon_params *dimuon;
    tkx_json_member_list extra_json;
} tkx_optim_step_request;

typedef struct tkx_optim_step_result {
    const tkx_metric *metrics;
    size_t n_metrics;
} tkx_optim_step_result;

TKX_API void tkx_optim_step_result_free(tkx_optim_step_result *result);

TKX_END_DECLS
#endif
