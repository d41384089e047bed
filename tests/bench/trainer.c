/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trainer.c - tkx-bench trainer: tokens/s of forward_backward and the share of OpenBLAS's
 * own peak.
 *
 * Batch of 8 x 256 tokens, rank 16 on every matrix.  FLOP per token: 4 for each parameter
 * of a base matrix (head included, embedding not), 6 for each of A and B, and attention's
 * six products over the causal half; nothing for what is computed twice.  Peak: the best
 * of three products of 1024 x 1024 matrices, with as many threads, measured before each
 * model.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cblas.h>

#include "base/mem.h"
#include "mock_server/nn/base.h"
#include "mock_server/nn/model.h"
#include "mock_server/nn/random.h"

enum { BATCH = 8, LENGTH = 256, RANK = 16, PEAK_SIZE = 1024 };

typedef struct trainer_options {
    int n_threads;
    int n_reps;
    int is_json;
    const char *model; /* SmolLM2 or any other; NULL: none */
} trainer_options;

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* FLOP/s of OpenBLAS with its own threads. */
static double measure_peak(int n_threads)
{
    size_t n = PEAK_SIZE;
    float *a = calloc(3 * n * n, sizeof *a), *b, *c;
    double best = 0;

    if (!a)
        return 0;
    b = a + n * n;
    c = b + n * n;
    for (size_t i = 0; i < 2 * n * n; i++)
        a[i] = (float)(i % 17) - 8;
    openblas_set_num_threads(n_threads);
    for (int rep = 0; rep < 4; rep++) { /* the first only warms up */
        double from = now();

        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, PEAK_SIZE, PEAK_SIZE,
                    PEAK_SIZE, 1, a, PEAK_SIZE, b, PEAK_SIZE, 0, c, PEAK_SIZE);
        from = 2.0 * PEAK_SIZE * PEAK_SIZE * PEAK_SIZE / (now() - from);
        if (rep > 0 && from > best)
            best = from;
    }
    openblas_set_num_threads(1);
    free(a);
    return best;
}

static void fill(nn_random *random, float *w, size_t n, double std)
{
    for (size_t i = 0; i < n; i++)
        w[i] = (float)((2 * nn_random_unit(random) - 1) * std);
}

static void ones(float *w, size_t n)
{
    for (size_t i = 0; i < n; i++)
        w[i] = 1;
}

/* 8 layers, hidden 320, 5 heads, intermediate 864, vocabulary 512, untied. */
static tkx_status make_10m(nn_base **out, tkx_error **err)
{
    const nn_config config = {.architecture = "llama",
                              .n_layers = 8,
                              .hidden = 320,
                              .n_heads = 5,
                              .n_kv_heads = 5,
                              .head_dim = 64,
                              .intermediate = 864,
                              .vocab_size = 512,
                              .max_context = 512,
                              .rms_eps = 1e-5,
                              .rope_theta = 10000};
    const nn_config *c = &config;
    nn_random random = {7};
    nn_base *base = NULL;
    tkx_status st = nn_base_alloc("10m", c, NULL, &base, err);

    if (st != TKX_OK)
        return st;
    fill(&random, base->embedding, c->vocab_size * c->hidden, 1);
    fill(&random, base->head, c->vocab_size * c->hidden, 0.05);
    ones(base->norm, c->hidden);
    for (size_t i = 0; i < c->n_layers; i++) {
        nn_layer *l = &base->layers[i];

        ones(l->norm1, c->hidden);
        ones(l->norm2, c->hidden);
        fill(&random, l->qkv, nn_qkv_rows(c) * c->hidden, 0.1);
        fill(&random, l->o, c->hidden * nn_q_rows(c), 0.1);
        fill(&random, l->gate_up, 2 * c->intermediate * c->hidden, 0.1);
        fill(&random, l->down, c->hidden * c->intermediate, 0.06);
    }
    st = nn_base_finish(base, err);
    if (st == TKX_OK)
        *out = base;
    else
        nn_base_free(base);
    return st;
}

static tkx_status add_10m(nn_engine *engine, tkx_error **err)
{
    nn_base **grown = tkx__realloc(engine->bases, engine->n_bases + 1, sizeof(nn_base *));

    if (!grown)
        return TKX_ERR_NO_MEMORY;
    engine->bases = grown;
    tkx_status st = make_10m(&grown[engine->n_bases], err);

    if (st == TKX_OK)
        engine->n_bases++;
    return st;
}

static double flop_per_token(const nn_base *base, const nn_model *model)
{
    const nn_config *c = &base->config;
    double matrices = (double)c->vocab_size * (double)c->hidden, used = 0;

    for (size_t i = 0; i < c->n_layers; i++) {
        size_t f = base->layers[i].is_sparse ? c->moe_intermediate * c->n_experts_used
                                             : c->intermediate;

        matrices += (double)((nn_qkv_rows(c) + nn_q_rows(c) + 3 * f) * c->hidden);
        used += 6.0 * (double)(nn_q_rows(c) * (LENGTH + 1));
    }
    return 4 * matrices + 6.0 * (double)model->adapter.n_values + used;
}

/* The least time of a forward_backward over the batch. */
static double time_batch(nn_model *model, int n_reps)
{
    size_t vocab = model->adapter.base->config.vocab_size;
    int64_t *tokens = calloc(BATCH * (LENGTH + 1), sizeof *tokens);
    const nn_loss loss = {.name = "cross_entropy"};
    float ones_of[LENGTH];
    nn_datum datums[BATCH];
    double best = INFINITY;

    for (size_t i = 0; tokens && i < BATCH * (LENGTH + 1); i++)
        tokens[i] = (int64_t)(i * 2654435761u % vocab);
    ones(ones_of, LENGTH);
    for (size_t i = 0; i < BATCH; i++)
        datums[i] = (nn_datum){.tokens = tokens + i * (LENGTH + 1),
                               .n_tokens = LENGTH,
                               .targets = tokens + i * (LENGTH + 1) + 1,
                               .n_targets = LENGTH,
                               .k = 1,
                               .weights = {ones_of, LENGTH}};
    for (int rep = 0; tokens && rep <= n_reps; rep++) {
        nn_loss_result *r = NULL;
        double from = now();

        if (nn_model_forward_backward(model, datums, BATCH, &loss, &r, NULL) != TKX_OK)
            break;
        from = now() - from;
        nn_loss_result_free(r);
        if (rep > 0 && from < best)
            best = from;
    }
    free(tokens);
    return best;
}

static int report(const trainer_options *o, nn_engine *engine, size_t which,
                  const char *name)
{
    nn_lora_options lora = NN_LORA_OPTIONS_INIT;
    const nn_base *base = nn_engine_base_at(engine, which);
    nn_model *model = NULL;
    double peak = measure_peak(o->n_threads), seconds, rate, flops;

    lora.rank = RANK;
    if (nn_model_new(engine, base, &lora, &model, NULL) != TKX_OK)
        return 1;
    seconds = time_batch(model, o->n_reps);
    rate = BATCH * LENGTH / seconds;
    flops = rate * flop_per_token(base, model);
    if (o->is_json)
        printf("{\"model\":\"%s\",\"params\":%llu,\"threads\":%d,\"tokens_per_s\":%.1f,"
               "\"gflops\":%.2f,\"peak_gflops\":%.2f,\"ratio\":%.4f}\n",
               name, (unsigned long long)base->n_params, o->n_threads, rate, flops / 1e9,
               peak / 1e9, flops / peak);
    else
        printf("%-8s %11llu params  %9.0f tokens/s  %7.1f GFLOP/s  %5.1f%% of %.1f\n",
               name, (unsigned long long)base->n_params, rate, flops / 1e9,
               100 * flops / peak, peak / 1e9);
    fflush(stdout);
    nn_model_free(model);
    return 0;
}

static int usage(void)
{
    fprintf(stderr, "usage: tkx-bench trainer [--threads N] [--reps N] [--model PATH] "
                    "[--json]\n  PATH: SmolLM2's GGUF or any other model\n");
    return 2;
}

static int parse(int argc, char **argv, trainer_options *o)
{
    for (int i = 1; i < argc; i++) {
        int has_value = i + 1 < argc;

        if (strcmp(argv[i], "--json") == 0)
            o->is_json = 1;
        else if (strcmp(argv[i], "--threads") == 0 && has_value)
            o->n_threads = atoi(argv[++i]);
        else if (strcmp(argv[i], "--reps") == 0 && has_value)
            o->n_reps = atoi(argv[++i]);
        else if (strcmp(argv[i], "--model") == 0 && has_value)
            o->model = argv[++i];
        else
            return 0;
    }
    return o->n_threads > 0 && o->n_reps > 0;
}

int main(int argc, char **argv)
{
    trainer_options o = {.n_threads = (int)sysconf(_SC_NPROCESSORS_ONLN), .n_reps = 5};
    nn_engine_options engine_options = {0};
    nn_engine *engine = NULL;
    tkx_error *err = NULL;
    tkx_status st;
    int rc = 1;

    if (!parse(argc, argv, &o))
        return usage();
    engine_options.n_threads = o.n_threads;
    st = nn_engine_new(&engine_options, &engine, &err);
    if (st == TKX_OK)
        st = nn_engine_add_base(engine, NN_BUILTIN_NAME, NULL, &err);
    if (st == TKX_OK)
        st = add_10m(engine, &err);
    if (st == TKX_OK && o.model)
        st = nn_engine_add_base(engine, "model", o.model, &err);
    if (st != TKX_OK) {
        fprintf(stderr, "tkx-bench trainer: %s\n", tkx_error_message(err));
    } else {
        rc = report(&o, engine, 0, "tiny") | report(&o, engine, 1, "10m");
        if (o.model)
            rc |= report(&o, engine, 2, "model");
    }
    tkx_error_free(err);
    nn_engine_free(engine);
    return rc;
}
