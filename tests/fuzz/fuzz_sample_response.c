/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_sample_response.c - the sample result in both forms; every array is walked. */
#include "fuzz/fuzz.h"
#include "types/sample_response.h"

static volatile double sink;

static void walk_topk(const tkx_topk *topk)
{
    for (size_t i = 0; topk && i < topk->n_rows; i++)
        for (size_t k = 0; k < topk->rows[i].count; k++)
            sink += topk->rows[i].tokens[k] + (double)topk->rows[i].logprobs[k];
}

static void walk(const tkx_sample_response *r)
{
    for (size_t i = 0; i < r->n_sequences; i++) {
        const tkx_sequence *s = &r->sequences[i];

        for (size_t k = 0; k < s->n_tokens; k++)
            sink += s->tokens[k];
        for (size_t k = 0; k < s->n_logprobs; k++)
            sink += (double)s->logprobs[k];
        walk_topk(s->topk);
    }
    for (size_t i = 0; i < r->n_prompt_logprobs; i++)
        sink += (double)r->prompt_logprobs[i];
    walk_topk(r->topk_prompt_logprobs);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    tkx_sample_response *response;
    tkx_error *err = NULL;

    if (tkx__sample_response_decode_proto(bytes, size, &response, &err) == TKX_OK)
        walk(response);
    tkx_sample_response_free(response);
    tkx_error_free(err);
    err = NULL;
    if (tkx__sample_response_decode_json(bytes, size, &response, &err) == TKX_OK)
        walk(response);
    tkx_sample_response_free(response);
    tkx_error_free(err);
    return 0;
}
