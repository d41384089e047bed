/* SPDX-License-Identifier: Apache-2.0 */
/* sampler_result.c - results, their labels, and what failures mean for a fallback. */
#include <string.h>

#include "base/mem.h"
#include "client/sampler_in.h"

void tkx_sampler_result_free(tkx_sampler_result *result)
{
    if (!result)
        return;
    tkx_sample_response_free(result->response);
    tkx_logprobs_free(result->logprobs);
    tkx__free(result);
}

static void free_result(void *result)
{
    tkx_sampler_result_free(result);
}

const tkx__result_type tkx__result_either = {"sampler result", free_result};

tkx_status tkx_future_take_sampler_result(tkx_future *future, tkx_sampler_result **out,
                                          tkx_error **err)
{
    void *result;
    tkx_status st = tkx__future_take(future, &tkx__result_either, &result, err);

    if (st == TKX_OK)
        *out = result;
    return st;
}

tkx_sample_label tkx__either_label(const tkx_sampler *s, bool is_local,
                                   tkx_logprob_mode mode, const char *reason)
{
    tkx_sample_label label = {
        .backend = "remote",
        .model = s->model_path ? s->model_path : s->base_model,
        .logprob_mode = "service",
    };

    if (is_local)
        label = tkx_local_label(s->local, s->adapter, mode);
    label.reason = reason;
    return label;
}

bool tkx__either_may_be_retired(const tkx_error *error)
{
    switch (tkx_error_http_status(error)) {
    case 400:
    case 404:
    case 410:
    case 422:
        return true;
    default:
        return tkx_error_status(error) == TKX_ERR_REQUEST_FAILED &&
               tkx_error_get_category(error) == TKX_ERROR_CATEGORY_USER;
    }
}

bool tkx__either_is_retired(const tkx_server_capabilities *answer, const char *model)
{
    for (size_t i = 0; model && i < answer->n_supported_models; i++) {
        const tkx_supported_model *m = &answer->supported_models[i];

        if (m->model_name && strcmp(m->model_name, model) == 0)
            return m->sampleable == 0;
    }
    return model && answer->n_supported_models > 0;
}
