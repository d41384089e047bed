/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nn/sample.h - drawing from a frozen set of weights.
 *
 * A snapshot never changes and is counted; any number of threads may sample from it. What
 * a request yields depends on snapshot and request alone, not on what else is in the
 * batch.
 */
#ifndef MOCK_NN_SAMPLE_H
#define MOCK_NN_SAMPLE_H

#include "mock_server/nn/train.h"

typedef struct nn_snapshot nn_snapshot;

/* Ownership: counted; nn_snapshot_unref(). */
tkx_status nn_snapshot_of_model(const nn_model *model, nn_snapshot **out,
                                tkx_error **err);
tkx_status nn_snapshot_of_base(nn_engine *engine, const nn_base *base, nn_snapshot **out,
                               tkx_error **err);
nn_snapshot *nn_snapshot_ref(nn_snapshot *snapshot);
void nn_snapshot_unref(nn_snapshot *snapshot); /* accepts NULL */
/* False for a bare base. */
bool nn_snapshot_get_lora(const nn_snapshot *snapshot, nn_lora_options *options);

typedef enum nn_logprob_mode {
    NN_LOGPROB_RAW = 0, /* log softmax of the logits as they are */
    NN_LOGPROB_TEMPERED /* after the temperature, before the filters */
} nn_logprob_mode;

typedef struct nn_stop_string {
    const char *text;
    size_t size;
} nn_stop_string;

/* Asked after every token of a request; true ends it with CANCELLED.  Thread: a
   worker's. */
typedef bool nn_cancelled_fn(void *user_data);

typedef struct nn_sample_request {
    const int64_t *prompt; /* [n_prompt], at least 1 */
    size_t n_prompt;
    size_t n_samples;
    size_t max_tokens;
    bool to_context_end;   /* max_tokens was absent: as many as the context holds */
    double temperature;    /* >= 0; 0: greedy */
    int64_t top_k;         /* <= 0: off */
    double top_p;          /* >= 1: off */
    uint64_t seed;         /* sample i draws from SplitMix64 with state seed + i */
    bool use_default_stop; /* stop was absent: the base's end ids */
    const int64_t *stop_tokens;
    size_t n_stop_tokens;
    const nn_stop_string *stop_strings;
    size_t n_stop_strings;
    nn_logprob_mode logprob_mode;

    bool prompt_logprobs;
    size_t prompt_last_n; /* score only the last n prompt tokens; 0: all */
    size_t topk_prompt;
    size_t topk_sample;
    const int64_t *prompt_targets; /* [n_prompt - 1, n_prompt_targets]; -1 asks nothing */
    size_t n_prompt_targets;       /* columns; 0: none */
    size_t prompt_alt_k;           /* draws for each prompt position; 0: none */

    nn_cancelled_fn *is_cancelled; /* may be NULL */
    void *user_data;
} nn_sample_request;

#define NN_SAMPLE_REQUEST_INIT                                                           \
    {                                                                                    \
        .n_samples = 1, .temperature = 1.0, .top_k = -1, .top_p = 1.0,                   \
        .use_default_stop = true                                                         \
    }

/* Descending; a cell without a value is (0, -99999.0). */
typedef struct nn_topk {
    size_t n; /* rows; 0: not asked for */
    size_t k;
    int32_t *tokens; /* [n, k] */
    float *logprobs; /* [n, k] */
} nn_topk;

typedef struct nn_sequence {
    size_t n_tokens;
    int32_t *tokens;
    float *logprobs; /* [n_tokens] */
    bool is_stopped; /* a stop token or string, else the length */
    nn_topk topk;    /* [n_tokens, k] */
} nn_sequence;

typedef struct nn_sample_result {
    tkx_status status; /* of this request; the rest is empty unless OK */
    tkx_error *error;
    size_t n_sequences;
    nn_sequence *sequences;
    size_t n_prompt;
    size_t n_cached;        /* tokens of it that were not read again */
    float *prompt_logprobs; /* [n_prompt], NaN where there is none; NULL: not asked for */
    nn_topk prompt_topk;    /* [n_prompt, k] */
    float
        *prompt_target_logprobs; /* [n_prompt - 1, n_prompt_targets], 0 where not asked */
    int32_t *prompt_alt_tokens;  /* [n_prompt - 1, prompt_alt_k] */
    float *prompt_alt_logprobs;
} nn_sample_result;

/*
 * Serve a batch of requests at once.  Fails as a whole only when memory is short; each
 * result has its own status.  Ownership: results[n] are the caller's to clear.
 */
tkx_status nn_sample(nn_snapshot *snapshot, const nn_sample_request *requests, size_t n,
                     nn_sample_result *results, tkx_error **err);
void nn_sample_result_clear(nn_sample_result *result);

#endif
