/* SPDX-License-Identifier: Apache-2.0 */
/* world.c - clients, requests and batches as every benchmark needs them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/client.h"

#define MODEL "bench/model"
#define VOCAB 151936

void must(tkx_status status, tkx_error *error, const char *what)
{
    if (status == TKX_OK)
        return;
    fprintf(stderr, "tkx-bench client: %s: %s\n", what, tkx_error_message(error));
    exit(1);
}

void must_wait(tkx_future *future, const char *what)
{
    tkx_error *error = NULL;

    must(tkx_future_wait(future, -1, &error), error, what);
    if (tkx_future_error(future)) {
        fprintf(stderr, "tkx-bench client: %s: %s\n", what,
                tkx_error_message(tkx_future_error(future)));
        exit(1);
    }
}

static void print_log(tkx_log_level level, const char *subject, const char *message,
                      void *unused)
{
    (void)unused;
    fprintf(stderr, "%s %s: %s\n", tkx_log_level_name(level), subject, message);
}

tkx_context *bench_context(const bench_options *o, struct event_base *base)
{
    tkx_context_options options = TKX_CONTEXT_OPTIONS_INIT;
    tkx_context *context;
    tkx_error *error = NULL;

    options.base_url = o->base_url;
    options.api_key = "tml-bench";
    options.event_base = base;
    options.log_fn = print_log;
    options.max_log_level = TKX_LOG_WARNING;
    must(tkx_context_new(&options, &context, &error), error, "context");
    return context;
}

tkx_service *bench_service(tkx_context *context)
{
    tkx_service *service;
    tkx_error *error = NULL;

    must(tkx_service_new(context, NULL, &service, &error), error, "service");
    return service;
}

tkx_sampling *bench_sampling(tkx_service *service)
{
    tkx_sampling_options options = TKX_SAMPLING_OPTIONS_INIT;
    tkx_sampling *sampling;
    tkx_future *future;
    tkx_error *error = NULL;

    options.base_model = MODEL;
    must(tkx_service_create_sampling(service, &options, &future, &error), error,
         "sampling");
    must_wait(future, "sampling client");
    must(tkx_future_take_sampling(future, &sampling, &error), error, "sampling client");
    tkx_future_unref(future);
    return sampling;
}

tkx_training *bench_training(tkx_service *service)
{
    tkx_lora_options options = TKX_LORA_OPTIONS_INIT;
    tkx_training *training;
    tkx_future *future;
    tkx_error *error = NULL;

    options.base_model = MODEL;
    must(tkx_service_create_lora(service, &options, &future, &error), error, "training");
    must_wait(future, "training client");
    must(tkx_future_take_training(future, &training, &error), error, "training client");
    tkx_future_unref(future);
    return training;
}

void make_prompt(const bench_options *o, bench_prompt *p)
{
    const tkx_sample_request request = TKX_SAMPLE_REQUEST_INIT;

    for (int i = 0; i < o->prompt; i++)
        p->tokens[i] = 1000 + i;
    p->chunk = tkx_chunk_text(p->tokens, (size_t)o->prompt);
    p->request = request;
    p->request.prompt.chunks = &p->chunk;
    p->request.prompt.n_chunks = 1;
    p->request.params.has_max_tokens = true;
    p->request.params.max_tokens = o->max_tokens;
}

/* ---- batches ---- */

static uint64_t random_state = 88172645463325252u;

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* Uniform, or as subword vocabularies sorted by frequency behave. */
static void fill_tokens(const char *kind, int32_t *tokens, size_t n)
{
    double *sums = malloc(VOCAB * sizeof *sums);
    double sum = 0;

    for (int i = 0; i < VOCAB; i++)
        sums[i] = sum += 1.0 / (i + 2.7);
    for (size_t i = 0; i < n; i++) {
        double u = (double)(next_random() >> 11) * 0x1p-53 * sum;
        int low = 0, high = VOCAB - 1;

        if (strcmp(kind, "zipf") != 0) {
            tokens[i] = (int32_t)(next_random() % VOCAB);
            continue;
        }
        while (low < high) {
            int middle = (low + high) / 2;

            if (sums[middle] < u)
                low = middle + 1;
            else
                high = middle;
        }
        tokens[i] = low;
    }
    free(sums);
}

/* The tensors of datum d: targets and weights, or targets, logprobs and advantages. */
static size_t make_tensors(const bench_options *o, bench_batch *b, size_t d)
{
    size_t len = (size_t)o->len;
    tkx_named_tensor *t = &b->tensors[d * 3];
    float *f = &b->floats[d * len * 2];

    t[0].name = "target_tokens";
    t[0].tensor = tkx_tensor_i64(&b->targets[d * len], len);
    if (strcmp(o->loss, "cross_entropy") == 0) {
        for (size_t i = 0; i < len; i++)
            f[i] = 1;
        t[1].name = "weights";
        t[1].tensor = tkx_tensor_f32(f, len);
        return 2;
    }
    for (size_t i = 0; i < len; i++) {
        f[i] = -0.75f * (0.1f + 1.9f * (float)i / (float)len);
        f[len + i] = -1 + 2 * (float)i / (float)len;
    }
    t[1].name = "logprobs";
    t[1].tensor = tkx_tensor_f32(f, len);
    t[2].name = "advantages";
    t[2].tensor = tkx_tensor_f32(f + len, len);
    return 3;
}

void make_batch(const bench_options *o, bench_batch *b)
{
    size_t n = (size_t)o->datums, len = (size_t)o->len;

    memset(b, 0, sizeof *b);
    b->n = n;
    b->datums = calloc(n, sizeof *b->datums);
    b->chunks = calloc(n, sizeof *b->chunks);
    b->tensors = calloc(n * 3, sizeof *b->tensors);
    b->inputs = malloc(n * (len + 1) * sizeof *b->inputs);
    b->targets = malloc(n * len * sizeof *b->targets);
    b->floats = malloc(n * len * 2 * sizeof *b->floats);
    fill_tokens(o->tokens, b->inputs, n * (len + 1));
    for (size_t d = 0; d < n; d++) {
        const int32_t *tokens = &b->inputs[d * (len + 1)];

        for (size_t i = 0; i < len; i++)
            b->targets[d * len + i] = tokens[i + 1];
        b->chunks[d] = tkx_chunk_text(tokens, len);
        b->datums[d].model_input.chunks = &b->chunks[d];
        b->datums[d].model_input.n_chunks = 1;
        b->datums[d].loss_fn_inputs = &b->tensors[d * 3];
        b->datums[d].n_loss_fn_inputs = make_tensors(o, b, d);
        b->n_bytes += len * (4 + 8 + 4 * (b->datums[d].n_loss_fn_inputs - 1));
    }
}

void free_batch(bench_batch *b)
{
    free(b->datums);
    free(b->chunks);
    free(b->tensors);
    free(b->inputs);
    free(b->targets);
    free(b->floats);
}

/* ---- latch ---- */

void latch_set(latch *l, int n)
{
    pthread_mutex_lock(&l->lock);
    l->left = n;
    pthread_mutex_unlock(&l->lock);
}

void latch_down(latch *l)
{
    pthread_mutex_lock(&l->lock);
    if (--l->left == 0)
        pthread_cond_signal(&l->zero);
    pthread_mutex_unlock(&l->lock);
}

void latch_wait(latch *l)
{
    pthread_mutex_lock(&l->lock);
    while (l->left > 0)
        pthread_cond_wait(&l->zero, &l->lock);
    pthread_mutex_unlock(&l->lock);
}
