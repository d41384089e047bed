/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nn/sample_job.h - the two halves of a sampling request: its prompt, then its sequences.
 */
#ifndef MOCK_NN_SAMPLE_JOB_H
#define MOCK_NN_SAMPLE_JOB_H

#include "mock_server/nn/decode.h"
#include "mock_server/nn/sample.h"
#include "mock_server/nn/snapshot.h"

/* One request under way. */
typedef struct nn_sample_job {
    nn_snapshot *snapshot;
    const nn_sample_request *request;
    nn_sample_result *result;
    size_t max_tokens;  /* of each sequence, the context considered */
    nn_kv prompt;       /* keys and values of the prompt */
    float *last_logits; /* [vocab], after the prompt */
} nn_sample_job;

enum {
    NN_GROUP = 8 /* sequences of one request that one thread decodes side by side */
};

/* Fill the prompt's cache, last_logits, and what was asked about the prompt. */
tkx_status nn_prompt_run(nn_sample_job *job, tkx_error **err);
/* Draw sequences first .. first + n (n <= NN_GROUP). */
tkx_status nn_sequences_run(nn_sample_job *job, size_t first, size_t n, tkx_error **err);

#endif
