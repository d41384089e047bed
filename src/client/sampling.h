/* SPDX-License-Identifier: Apache-2.0 */
/* client/sampling.h - the inside of a sampling client, for sampling*.c and training. */
#ifndef TKX_CLIENT_SAMPLING_H
#define TKX_CLIENT_SAMPLING_H

#include <tkx/sampling.h>

#include "api/sampler.h"
#include "client/task.h"

struct tkx_sampling {
    atomic_uint n_refs;
    tkx__post_node disposal;
    tkx_service *service;  /* counted */
    tkx__sampler *sampler; /* loop thread */
    char *id;
    char *base_model; /* NULL: not known */
    bool records_stability_info;
};

extern const tkx__result_type tkx__result_sampling;

/* On the loop thread, for a session that is live.  NULL: out of memory. */
tkx_sampling *tkx__sampling_new(tkx_service *service, const char *sampling_session_id,
                                const tkx__retry_settings *settings,
                                bool records_stability_info, int64_t first_seq);
/* Before the client is handed out.  False: out of memory. */
bool tkx__sampling_set_base_model(tkx_sampling *sampling, const char *base_model);
tkx_sampling *tkx__sampling_ref(tkx_sampling *sampling);

/* The prompt's logprobs of a response, n_prompt of them; NULL: out of memory. */
tkx_logprobs *tkx__logprobs_of(const tkx_sample_response *response, size_t n_prompt);

#endif
