/* SPDX-License-Identifier: Apache-2.0 */
/* training.c - large forward_backward calls, and steps in a pipeline. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "client/client.h"

static tkx_future *submit_batch(tkx_training *training, const bench_batch *b,
                                const char *loss)
{
    tkx_future *future;
    tkx_error *error = NULL;

    must(tkx_training_forward_backward(training, b->datums, b->n, loss, NULL, &future,
                                       &error),
         error, "forward_backward");
    return future;
}

static void finish_batch(tkx_future *future, const bench_batch *b)
{
    tkx_forward_backward_output *output;
    tkx_error *error = NULL;

    must_wait(future, "forward_backward");
    must(tkx_future_take_forward_backward(future, &output, &error), error,
         "forward_backward");
    if (output->n_outputs != b->n) {
        fprintf(stderr, "tkx-bench client: %zu outputs for %zu datums\n",
                output->n_outputs, b->n);
        exit(1);
    }
    tkx_forward_backward_output_free(output);
    tkx_future_unref(future);
}

void bench_fwdbwd(const bench_options *o)
{
    tkx_context *context = bench_context(o, NULL);
    tkx_service *service = bench_service(context);
    tkx_training *training = bench_training(service);
    bench_batch batch;
    meter m;

    make_batch(o, &batch);
    finish_batch(submit_batch(training, &batch, o->loss), &batch);
    meter_start(&m);
    for (int i = 0; i < o->reps; i++)
        finish_batch(submit_batch(training, &batch, o->loss), &batch);
    meter_stop(&m);
    meter_print(&m, "fwdbwd", o->reps);
    printf(",\"loss\":\"%s\",\"datums\":%d,\"len\":%d,\"tokens\":\"%s\",\"number_bytes\":"
           "%zu,"
           "\"tokens_per_cpu_s\":%.0f,\"errors\":0}\n",
           o->loss, o->datums, o->len, o->tokens, batch.n_bytes,
           (double)o->datums * o->len * o->reps / ((double)m.cpu_ns * 1e-9));
    tkx_training_free(training);
    tkx_service_free(service);
    tkx_context_free(context);
    free_batch(&batch);
}

/* Steps in flight; each that is through submits the next, on the loop thread. */
typedef struct pipeline {
    tkx_training *training;
    const bench_batch *batch;
    atomic_int left; /* to be submitted; at first by two threads */
    latch done;
} pipeline;

static void start_step(pipeline *p);

static void on_forward(tkx_future *future, void *user_data)
{
    pipeline *p = user_data;

    finish_batch(future, p->batch);
}

static void on_optim(tkx_future *future, void *user_data)
{
    pipeline *p = user_data;
    tkx_optim_step_result *result;
    tkx_error *error = NULL;

    must(tkx_future_take_optim_step(future, &result, &error), error, "optim_step");
    tkx_optim_step_result_free(result);
    tkx_future_unref(future);
    start_step(p);
    latch_down(&p->done);
}

static void start_step(pipeline *p)
{
    const tkx_adam_params adam = TKX_ADAM_PARAMS_INIT;
    const tkx_optim_options with_adam = {.struct_size = sizeof with_adam, .adam = &adam};
    tkx_error *error = NULL;
    tkx_future *optim;

    if (atomic_fetch_sub(&p->left, 1) <= 0)
        return;
    must(tkx_future_on_complete(submit_batch(p->training, p->batch, "cross_entropy"),
                                on_forward, p, &error),
         error, "callback");
    must(tkx_training_optim_step(p->training, &with_adam, &optim, &error), error,
         "optim_step");
    must(tkx_future_on_complete(optim, on_optim, p, &error), error, "callback");
}

static void run_steps(tkx_training *training, const bench_batch *batch, int n, int depth)
{
    pipeline p = {.training = training, .batch = batch, .done = LATCH_INIT};

    atomic_init(&p.left, n);
    latch_set(&p.done, n);
    for (int i = 0; i < depth; i++)
        start_step(&p);
    latch_wait(&p.done);
}

void bench_pipeline(const bench_options *o)
{
    tkx_context *context = bench_context(o, NULL);
    tkx_service *service = bench_service(context);
    tkx_training *training = bench_training(service);
    int depth = o->depth > 0 ? o->depth : 1;
    bench_batch batch;
    meter m;

    make_batch(o, &batch);
    run_steps(training, &batch, 20, depth);
    meter_start(&m);
    run_steps(training, &batch, o->steps, depth);
    meter_stop(&m);
    meter_print(&m, "pipeline", o->steps);
    printf(",\"depth\":%d,\"steps_per_s\":%.1f,\"errors\":0}\n", depth,
           (double)o->steps / ((double)m.wall_ns * 1e-9));
    tkx_training_free(training);
    tkx_service_free(service);
    tkx_context_free(context);
    free_batch(&batch);
}
