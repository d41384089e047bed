/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rl.c - reinforcement learning through a training service, with importance_sampling.
 *
 *     tkx-example-rl [--seeds N] [--warm-up N] [--iterations N] [--model NAME]
 *
 * Each seed trains a LoRA model of its own: some supervised steps, since an untrained
 * model of bytes never hits a right one, then RL.  An iteration publishes the weights,
 * samples groups of answers, turns rewards into advantages and submits forward_backward,
 * optim_step and the next publishing at once, so that the service never waits for us.
 * TINKER_BASE_URL and TINKER_API_KEY say which service.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tkx/queue.h>

#include "rl_model.h"
#include "rl_task.h"

enum { N_GROUPS = 16, GROUP_SIZE = 16, N_BATCH = N_GROUPS * GROUP_SIZE, N_SHOWN = 4 };
enum { WARM_UP_BATCH = 32, RANK = 32 };

static const double warm_up_rate = 0.003;
static const double rl_rate = 0.001;

typedef struct options {
    const char *model;
    long n_seeds, n_warm_up, n_iterations;
} options;

/* Every function below returns 1, or 0 after saying on stderr what failed. */
typedef struct run {
    const options *options;
    tkx_context *context;
    tkx_service *service;
    rl_model model;
    tkx_queue *queue;
    rl_problem problems[N_GROUPS];
    rl_example examples[N_BATCH];
    tkx_datum data[N_BATCH];
    uint64_t random;
} run;

/* Supervised steps; the next batch is made while the service computes. */
static int warm_up(run *r)
{
    for (long step = 0; step < r->options->n_warm_up; step++) {
        if (!rl_model_finish_step(&r->model))
            return 0;
        for (size_t i = 0; i < WARM_UP_BATCH; i++) {
            rl_problem_draw(&r->random, 0, &r->problems[0]);
            r->data[i] = rl_supervised(&r->problems[0], &r->examples[i]);
        }
        if (!rl_model_submit_step(&r->model, r->data, WARM_UP_BATCH,
                                  TKX_LOSS_CROSS_ENTROPY, warm_up_rate))
            return 0;
    }
    return rl_model_submit_publishing(&r->model) && rl_model_finish_step(&r->model) &&
           rl_model_finish_publishing(&r->model);
}

/* Ask for GROUP_SIZE answers to each of N_GROUPS new problems; all are open at once. */
static int submit_samples(run *r, uint64_t *random, int is_held_out)
{
    tkx_sample_request request = TKX_SAMPLE_REQUEST_INIT;
    tkx_error *err = NULL;

    request.num_samples = GROUP_SIZE;
    request.params.has_max_tokens = true;
    request.params.max_tokens = RL_N_ANSWER;
    request.params.stop_kind = TKX_STOP_TOKENS; /* none: an answer has a fixed length */
    for (size_t i = 0; i < N_GROUPS; i++) {
        tkx_future *future = NULL;
        tkx_chunk chunk;
        int ok;

        rl_problem_draw(random, is_held_out, &r->problems[i]);
        chunk = tkx_chunk_text(r->problems[i].prompt, RL_N_PROMPT);
        request.prompt.chunks = &chunk;
        request.prompt.n_chunks = 1;
        request.params.seed = tkx_seed_u64(rl_random(random) >> 1);
        ok = tkx_sampling_sample(r->model.sampling, &request, 0, &future, &err) ==
                 TKX_OK &&
             tkx_queue_add(r->queue, future, &r->problems[i], &err) == TKX_OK;
        tkx_future_unref(future);
        if (!ok)
            return rl_fail("sampling", err);
    }
    return 1;
}

/* The next group to come in, whichever it is. */
static int next_group(run *r, const rl_problem **problem, tkx_sample_response **response)
{
    tkx_future *future = NULL;
    tkx_error *err = NULL;
    void *tag = NULL;
    int ok = tkx_queue_next(r->queue, -1, &future, &tag, &err) == TKX_OK &&
             tkx_future_take_sample(future, response, &err) == TKX_OK;

    tkx_future_unref(future);
    if (!ok)
        return rl_fail("sampling", err);
    *problem = tag;
    if ((*response)->n_sequences == GROUP_SIZE)
        return 1;
    tkx_sample_response_free(*response);
    fprintf(stderr,
            "tkx-example-rl: sampling: asked for %d answers, got another number\n",
            (int)GROUP_SIZE);
    return 0;
}

static void show(const rl_problem *problem, const tkx_sequence *sequence)
{
    printf("    ");
    for (size_t i = 0; i < RL_N_PROMPT; i++)
        putchar((int)problem->prompt[i]);
    putchar(' ');
    for (size_t i = 0; i < sequence->n_tokens; i++) {
        int32_t token = sequence->tokens[i];

        putchar(token >= '!' && token <= '~' ? (int)token : '?');
    }
    printf("  reward %.2f\n", rl_reward(problem, sequence));
}

/* The mean reward of answers to held-out problems, the same ones every time. */
static int measure(run *r, const char *when, double *mean)
{
    uint64_t random = 0;

    *mean = 0;
    if (!submit_samples(r, &random, 1))
        return 0;
    printf("  %s:\n", when);
    for (size_t i = 0; i < N_GROUPS; i++) {
        tkx_sample_response *response = NULL;
        const rl_problem *problem = NULL;

        if (!next_group(r, &problem, &response) || !response)
            return 0;
        for (size_t k = 0; k < GROUP_SIZE; k++)
            *mean += rl_reward(problem, &response->sequences[k]) / N_BATCH;
        if (problem < r->problems + N_SHOWN)
            show(problem, &response->sequences[0]);
        tkx_sample_response_free(response);
    }
    printf("    mean reward %.3f\n", *mean);
    fflush(stdout);
    return 1;
}

/* Sample, reward and fill the batch.  The groups' order in it does not matter. */
static int roll_out(run *r, double *mean)
{
    *mean = 0;
    if (!submit_samples(r, &r->random, 0))
        return 0;
    for (size_t n = 0; n < N_BATCH; n += GROUP_SIZE) {
        tkx_sample_response *response = NULL;
        const rl_problem *problem = NULL;
        int ok;

        if (!next_group(r, &problem, &response) || !response)
            return 0;
        ok = rl_group(problem, response, &r->examples[n], &r->data[n]);
        for (size_t k = 0; k < GROUP_SIZE; k++)
            *mean += rl_reward(problem, &response->sequences[k]) / N_BATCH;
        tkx_sample_response_free(response);
        if (!ok) {
            fprintf(stderr, "tkx-example-rl: sampling: an answer without logprobs, or of "
                            "another length than asked for\n");
            return 0;
        }
    }
    return 1;
}

static int learn(run *r)
{
    for (long i = 1; i <= r->options->n_iterations; i++) {
        double mean = 0;

        if (!roll_out(r, &mean) ||
            !rl_model_submit_step(&r->model, r->data, N_BATCH,
                                  TKX_LOSS_IMPORTANCE_SAMPLING, rl_rate) ||
            !rl_model_submit_publishing(&r->model) || !rl_model_finish_step(&r->model) ||
            !rl_model_finish_publishing(&r->model))
            return 0;
        if (i % 20 == 0)
            printf("    iteration %ld: mean reward %.3f\n", i, mean);
        fflush(stdout);
    }
    return 1;
}

/* One model from its creation to the last measurement: rewards[3]. */
static int run_seed(run *r, uint64_t seed, double *rewards)
{
    int ok;

    printf("seed %llu\n", (unsigned long long)seed);
    r->random = seed;
    ok = rl_model_create(&r->model, r->service, r->options->model, RANK, seed) &&
         rl_model_submit_publishing(&r->model) && rl_model_finish_publishing(&r->model) &&
         measure(r, "start", &rewards[0]) && warm_up(r) &&
         measure(r, "after the warm-up", &rewards[1]) && learn(r) &&
         measure(r, "end", &rewards[2]);
    rl_model_clear(&r->model);
    return ok;
}

static int run_all(run *r)
{
    double sums[3] = {0};
    tkx_error *err = NULL;

    if (tkx_context_new(NULL, &r->context, &err) != TKX_OK ||
        tkx_service_new(r->context, NULL, &r->service, &err) != TKX_OK ||
        tkx_queue_new(&r->queue, &err) != TKX_OK)
        return rl_fail("starting", err);
    for (long seed = 1; seed <= r->options->n_seeds; seed++) {
        double rewards[3] = {0};

        if (!run_seed(r, (uint64_t)seed, rewards))
            return 0;
        for (size_t i = 0; i < 3; i++)
            sums[i] += rewards[i] / (double)r->options->n_seeds;
    }
    printf(
        "mean reward of %ld seed(s): start %.3f, after %ld supervised steps %.3f, after "
        "%ld RL iterations %.3f\n",
        r->options->n_seeds, sums[0], r->options->n_warm_up, sums[1],
        r->options->n_iterations, sums[2]);
    return 1;
}

/* The context goes before the batch, which work in flight may still borrow. */
static void clear(run *r)
{
    tkx_queue_free(r->queue);
    tkx_service_free(r->service);
    tkx_context_free(r->context);
    free(r);
}

static int parse(int argc, char **argv, options *o)
{
    for (int i = 1; i < argc; i += 2) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        long *number = !strcmp(argv[i], "--seeds")        ? &o->n_seeds
                       : !strcmp(argv[i], "--warm-up")    ? &o->n_warm_up
                       : !strcmp(argv[i], "--iterations") ? &o->n_iterations
                                                          : NULL;
        char *end = NULL;

        if (!strcmp(argv[i], "--model") && *value)
            o->model = value;
        else if (!number || (*number = strtol(value, &end, 10)) < 0 || end == value ||
                 *end || *number > 1000000)
            return 0;
    }
    return o->n_seeds > 0;
}

int main(int argc, char **argv)
{
    options o = {.model = "tkx/bytes", .n_seeds = 3, .n_warm_up = 25, .n_iterations = 80};
    run *r;
    int ok;

    if (!parse(argc, argv, &o)) {
        fprintf(stderr,
                "usage: tkx-example-rl [--seeds N] [--warm-up N] [--iterations N] "
                "[--model NAME]\n");
        return 2;
    }
    r = calloc(1, sizeof *r);
    if (!r) {
        fprintf(stderr, "tkx-example-rl: out of memory\n");
        return 1;
    }
    r->options = &o;
    ok = run_all(r);
    clear(r);
    return ok ? 0 : 1;
}
