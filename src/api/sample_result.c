/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sample_result.c - what is done to a decoded response before the user sees it: ids of
 * the sequences from the submit's answer, prompt scores aligned to the prompt.
 */
#include <string.h>

#include "api/sampler_impl.h"
#include "api/scan.h"
#include "base/error.h"
#include "base/mem.h"
#include "types/sample_response.h"

/* A missing or short list is no error: the sequences just have no id. */
static void put_ids(tkx__sample *s, tkx_sample_response *response)
{
    tkx__span item;
    tkx__scan scan;
    size_t n = 0;

    if (!s->ids || !tkx__scan_enter(&scan, s->ids, strlen(s->ids)) || scan.closer != ']')
        return;
    char **ids = tkx__calloc(response->n_sequences, sizeof *ids);
    while (ids && n < response->n_sequences && tkx__scan_element(&scan, &item)) {
        ids[n] = tkx__span_dup(item);
        if (!ids[n])
            break;
        n++;
    }
    const tkx_string_list found = {(const char *const *)ids, n};
    if (n > 0)
        tkx__sample_response_set_ids(response, &found, NULL);
    for (size_t i = 0; i < n; i++)
        tkx__free(ids[i]);
    tkx__free(ids);
}

tkx_status tkx__sample_finish_response(tkx__sample *s, tkx_sample_response *response,
                                       tkx_error **err)
{
    const tkx__sample_frame *x = s->frame;

    put_ids(s, response);
    if (x->prompt_alt_tokens_k <= 0 && x->prompt_logprobs_last_n < 0 && !x->has_targets)
        return TKX_OK;
    tkx_sample_request asked = TKX_SAMPLE_REQUEST_INIT;
    const tkx_tensor targets = {0};
    asked.prompt_logprobs = x->prompt_logprobs;
    asked.prompt_alt_tokens_k = x->prompt_alt_tokens_k;
    asked.prompt_logprobs_last_n = x->prompt_logprobs_last_n;
    asked.target_prompt_logprobs = x->has_targets ? &targets : NULL;
    return tkx__sample_response_check(response, &asked, err);
}
