/* SPDX-License-Identifier: Apache-2.0 */
/* batch.h - the training batch that encode and codec measure: 128 datums x 2,048 tokens.
 */
#ifndef TESTS_BENCH_BATCH_H
#define TESTS_BENCH_BATCH_H

#include <tkx/types/forward_backward.h>

enum { BATCH_DATUMS = 128, BATCH_TOKENS = 2048 };

typedef struct batch {
    tkx_forward_backward_request request;
    tkx_datum data[BATCH_DATUMS];
    tkx_chunk chunks[BATCH_DATUMS];
    tkx_named_tensor inputs[BATCH_DATUMS][3];
    int32_t *tokens; /* [BATCH_DATUMS, BATCH_TOKENS] */
    int64_t *targets;
    float *weights;
    float *logprobs;
} batch;

/* targets and weights; with_logprobs adds logprobs.  NULL when memory is short. */
batch *batch_new(int with_logprobs);
void batch_free(batch *b);

double bench_cpu_seconds(void); /* of this process */
/* Copy n bytes between two buffers a few times; the best MB/s. */
double bench_memcpy_mb_s(size_t n);

#endif
