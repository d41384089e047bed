/* SPDX-License-Identifier: Apache-2.0 */
/* batch.c - the batch that codec benchmarks work on, and their clock. */
#include "batch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static void fill(batch *b)
{
    uint32_t state = 7;

    for (size_t i = 0; i < (size_t)BATCH_DATUMS * BATCH_TOKENS; i++) {
        b->tokens[i] = (int32_t)(next_random(&state) % 151936);
        b->targets[i] = (int64_t)(next_random(&state) % 151936);
        b->weights[i] = i % BATCH_TOKENS < 512 ? 0.0f : 1.0f;
        b->logprobs[i] =
            logf(((float)(next_random(&state) % 1000000) + 1.0f) / 1000001.0f);
    }
}

batch *batch_new(int with_logprobs)
{
    size_t n = (size_t)BATCH_DATUMS * BATCH_TOKENS;
    batch *b = calloc(1, sizeof *b);

    if (!b)
        return NULL;
    b->tokens = malloc(n * sizeof *b->tokens);
    b->targets = malloc(n * sizeof *b->targets);
    b->weights = malloc(n * sizeof *b->weights);
    b->logprobs = malloc(n * sizeof *b->logprobs);
    if (!b->tokens || !b->targets || !b->weights || !b->logprobs) {
        batch_free(b);
        return NULL;
    }
    fill(b);
    for (size_t i = 0; i < BATCH_DATUMS; i++) {
        size_t at = i * BATCH_TOKENS;

        b->chunks[i] = tkx_chunk_text(b->tokens + at, BATCH_TOKENS);
        b->inputs[i][0] = (tkx_named_tensor){
            "target_tokens", tkx_tensor_i64(b->targets + at, BATCH_TOKENS)};
        b->inputs[i][1] =
            (tkx_named_tensor){"weights", tkx_tensor_f32(b->weights + at, BATCH_TOKENS)};
        b->inputs[i][2] = (tkx_named_tensor){
            "logprobs", tkx_tensor_f32(b->logprobs + at, BATCH_TOKENS)};
        b->data[i] = (tkx_datum){.model_input = {&b->chunks[i], 1},
                                 .loss_fn_inputs = b->inputs[i],
                                 .n_loss_fn_inputs = with_logprobs ? 3 : 2};
    }
    b->request = (tkx_forward_backward_request){.model_id = "bench:train:0",
                                                .seq_id = 1,
                                                .loss = {.name = "cross_entropy"},
                                                .data = b->data,
                                                .n_data = BATCH_DATUMS};
    return b;
}

void batch_free(batch *b)
{
    if (!b)
        return;
    free(b->tokens);
    free(b->targets);
    free(b->weights);
    free(b->logprobs);
    free(b);
}

static double seconds_of(clockid_t clock)
{
    struct timespec ts;

    clock_gettime(clock, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

double bench_cpu_seconds(void)
{
    return seconds_of(CLOCK_PROCESS_CPUTIME_ID);
}

double bench_memcpy_mb_s(size_t n)
{
    char *from = malloc(n);
    char *to = malloc(n);
    double best = 0;

    if (from && to) {
        memset(from, 1, n);
        memset(to, 2, n);
        for (int i = 0; i < 20; i++) {
            double start = bench_cpu_seconds();
            double rate;

            memcpy(to, from, n);
            __asm__ volatile("" : : "r"(to) : "memory"); /* the copy is wanted */
            rate = (double)n / (bench_cpu_seconds() - start) / 1e6;
            best = rate > best ? rate : best;
        }
    }
    free(from);
    free(to);
    return best;
}
