/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tkx/types/sample.h - one request for completions of a prompt.
 *
 * The ids are filled in by the sampling client; a user sets the rest.  Fields at their
 * defaults are not sent.
 */
#ifndef TKX_TYPES_SAMPLE_H
#define TKX_TYPES_SAMPLE_H

#include <tkx/types/model_input.h>
#include <tkx/types/sampling_params.h>
#include <tkx/types/tensor.h>

TKX_BEGIN_DECLS

typedef struct tkx_sample_request {
    size_t struct_size;
    int64_t num_samples;
    tkx_model_input prompt;
    tkx_sampling_params params;
    const char *base_model; /* addressing without a sampling session */
    const char *model_path;
    const char *sampling_session_id;
    int64_t seq_id; /* -1: not sent */
    bool prompt_logprobs;
    int64_t topk_prompt_logprobs; /* k for each prompt position; 0: none */
    int64_t topk_sample_logprobs; /* k for each generated position; 0: none */
    /* Token ids to score in the prompt, int64 [len - 1, K], -1: none; NULL: not asked. */
    const tkx_tensor *target_prompt_logprobs;
    int64_t prompt_alt_tokens_k;    /* draws for each prompt position; 0: none */
    int64_t prompt_logprobs_last_n; /* score only the last n; -1: all */
    bool record_stability_info;
    tkx_json_member_list extra_json;
} tkx_sample_request;

#define TKX_SAMPLE_REQUEST_INIT                                                          \
    {                                                                                    \
        .struct_size = sizeof(tkx_sample_request), .num_samples = 1,                     \
        .params = TKX_SAMPLING_PARAMS_INIT, .seq_id = -1, .prompt_logprobs_last_n = -1   \
    }

TKX_END_DECLS
#endif
