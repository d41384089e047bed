/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tkx/types/sample_response.h - completions, and what was asked about the prompt.
 */
#ifndef TKX_TYPES_SAMPLE_RESPONSE_H
#define TKX_TYPES_SAMPLE_RESPONSE_H

#include <tkx/types/tensor.h>

TKX_BEGIN_DECLS

typedef enum tkx_stop_reason {
    TKX_STOP_REASON_STOP = 0,
    TKX_STOP_REASON_LENGTH
} tkx_stop_reason;

/* The best tokens of one position, best first; tokens NULL: nothing is known of it. */
typedef struct tkx_topk_row {
    const int32_t *tokens; /* [count] */
    const float *logprobs; /* [count], natural log */
    size_t count;
} tkx_topk_row;

typedef struct tkx_topk {
    const tkx_topk_row *rows; /* [n_rows], one for each position */
    size_t n_rows;
} tkx_topk;

typedef struct tkx_sequence {
    tkx_stop_reason stop_reason;
    const int32_t *tokens; /* [n_tokens] */
    size_t n_tokens;
    const float *logprobs;   /* [n_logprobs], natural log; NULL when not given */
    size_t n_logprobs;       /* n_tokens, from an honest server */
    const char *sequence_id; /* NULL from servers that name none */
    const tkx_topk *topk;    /* of the generated positions, or NULL */
} tkx_sequence;

typedef struct tkx_sample_response {
    tkx_sequence *sequences;
    size_t n_sequences;
    const float *prompt_logprobs; /* [n_prompt_logprobs], NaN: not computed; or NULL */
    size_t n_prompt_logprobs;
    const tkx_topk *topk_prompt_logprobs;     /* or NULL */
    const tkx_tensor *target_prompt_logprobs; /* or NULL */
    const tkx_tensor *alt_tokens;             /* int64 [len - 1, k], or NULL */
    const tkx_tensor *alt_logprobs;           /* float32 [len - 1, k], or NULL */
    int64_t prompt_cache_hit_tokens;
} tkx_sample_response;

/** "stop" or "length". */
TKX_API const char *tkx_stop_reason_name(tkx_stop_reason reason);

TKX_API void tkx_sample_response_free(tkx_sample_response *response);

TKX_END_DECLS
#endif
