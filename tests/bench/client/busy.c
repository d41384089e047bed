/* SPDX-License-Identifier: Apache-2.0 */
/*
 * busy.c - is the loop alive while large batches are encoded and go out?
 *
 * The loop is lent, so that a timer of 5 ms can tick on it; a small sample goes out every
 * 100 ms beside the batches, and the heartbeats of many sessions (beats.c).  First the
 * same for 10 s without batches.
 */
#include <event2/event.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/client.h"

#define TICK_MS 5
#define MAX_TICKS 100000
#define MAX_SAMPLES 10000

typedef struct busy {
    const bench_options *o;
    struct event_base *base;
    struct event *tick;
    tkx_context *context;
    latch ready;
    int64_t due_ns;
    double *late_ms, *side_ms, *idle_ms;
    size_t n_late, n_side, n_idle;
    atomic_bool is_counting, must_stop, is_idle;
    tkx_sampling *sampling;
    beats *beats;
} busy;

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    const struct timeval delay = {0, TICK_MS * 1000};
    busy *b = arg;
    double late = (double)(now_ns() - b->due_ns) * 1e-6;

    (void)fd;
    (void)what;
    if (atomic_load(&b->is_counting)) {
        if (b->n_late < MAX_TICKS)
            b->late_ms[b->n_late++] = late > 0 ? late : 0;
        beats_look(b->beats);
    }
    b->due_ns = now_ns() + TICK_MS * 1000000;
    event_add(b->tick, &delay);
}

static void *run_loop(void *arg)
{
    busy *b = arg;
    struct event_config *config = event_config_new();

    event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER);
    b->base = event_base_new_with_config(config);
    event_config_free(config);
    b->tick = evtimer_new(b->base, on_tick, b);
    b->context = bench_context(b->o, b->base);
    on_tick(-1, 0, b);
    latch_down(&b->ready);
    while (!atomic_load(&b->must_stop))
        event_base_loop(b->base, EVLOOP_ONCE);
    event_free(b->tick);
    tkx_context_free(b->context);
    event_base_free(b->base);
    return NULL;
}

static double one_sample(busy *b, bench_prompt *prompt)
{
    int64_t start = now_ns();
    tkx_sample_response *response;
    tkx_future *future;
    tkx_error *error = NULL;

    must(tkx_sampling_sample(b->sampling, &prompt->request, 0, &future, &error), error,
         "sample");
    must_wait(future, "sample");
    must(tkx_future_take_sample(future, &response, &error), error, "sample");
    tkx_sample_response_free(response);
    tkx_future_unref(future);
    return (double)(now_ns() - start) * 1e-6;
}

static void *run_samples(void *arg)
{
    const struct timespec pause = {0, 100000000};
    busy *b = arg;
    bench_prompt *prompt = malloc(sizeof *prompt);

    make_prompt(b->o, prompt);
    while (!atomic_load(&b->must_stop)) {
        bool is_idle = atomic_load(&b->is_idle);
        double ms = one_sample(b, prompt);

        if (is_idle && b->n_idle < MAX_SAMPLES)
            b->idle_ms[b->n_idle++] = ms;
        else if (atomic_load(&b->is_counting) && b->n_side < MAX_SAMPLES)
            b->side_ms[b->n_side++] = ms;
        nanosleep(&pause, NULL);
    }
    free(prompt);
    return NULL;
}

static void finish(tkx_future *future)
{
    tkx_forward_backward_output *output;
    tkx_error *error = NULL;

    must_wait(future, "forward_backward");
    must(tkx_future_take_forward_backward(future, &output, &error), error,
         "forward_backward");
    tkx_forward_backward_output_free(output);
    tkx_future_unref(future);
}

/* Batches back to back, depth of them at once; returns how many. */
static int run_batches(const bench_options *o, tkx_training *training, bench_batch *batch)
{
    int depth = o->depth > 0 ? o->depth : 1;
    tkx_future **open = calloc((size_t)depth, sizeof(tkx_future *));
    int64_t until = now_ns() + (int64_t)(o->seconds * 1e9);
    tkx_error *error = NULL;
    int n = 0;

    for (; now_ns() < until || n < depth; n++) {
        if (open[n % depth])
            finish(open[n % depth]);
        must(tkx_training_forward_backward(training, batch->datums, batch->n,
                                           "cross_entropy", NULL, &open[n % depth],
                                           &error),
             error, "forward_backward");
    }
    for (int i = 0; i < depth; i++)
        finish(open[(n + i) % depth]);
    free(open);
    return n;
}

void bench_busy(const bench_options *o)
{
    busy b = {.o = o, .ready = LATCH_INIT};
    pthread_t loop, samples;
    tkx_service *service;
    tkx_training *training;
    bench_batch batch;
    meter m;
    int n;

    b.late_ms = malloc(MAX_TICKS * sizeof(double));
    b.side_ms = malloc(MAX_SAMPLES * sizeof(double));
    b.idle_ms = malloc(MAX_SAMPLES * sizeof(double));
    b.beats = calloc(1, sizeof *b.beats);
    latch_set(&b.ready, 1);
    pthread_create(&loop, NULL, run_loop, &b);
    latch_wait(&b.ready);
    service = bench_service(b.context);
    training = bench_training(service);
    b.sampling = bench_sampling(service);
    make_batch(o, &batch);
    atomic_store(&b.is_idle, true);
    pthread_create(&samples, NULL, run_samples, &b);
    beats_start(b.beats, b.context);
    atomic_store(&b.is_idle, false);
    meter_start(&m);
    atomic_store(&b.is_counting, true);
    n = run_batches(o, training, &batch);
    atomic_store(&b.is_counting, false);
    meter_stop(&m);
    meter_print(&m, "busy", n);
    atomic_store(&b.must_stop, true);
    pthread_join(samples, NULL);
    beats_stop(b.beats);
    tkx_sampling_free(b.sampling);
    tkx_training_free(training);
    tkx_service_free(service);
    pthread_join(loop, NULL);
    printf(
        ",\"datums\":%d,\"len\":%d,\"MB_per_batch\":%.1f,\"errors\":0,\"timer_late\":{",
        o->datums, o->len, (double)o->datums * o->len * 16 / 1e6);
    print_percentiles(b.late_ms, b.n_late);
    printf("},\"side_sample\":{");
    print_percentiles(b.side_ms, b.n_side);
    printf("},\"heartbeat_late\":{\"n\":%zu,", b.beats->n);
    print_percentiles(b.beats->late_ms, b.beats->n);
    printf("},\"idle_p99_ms\":%.4f}\n", percentile(b.idle_ms, b.n_idle, 99));
    free(b.late_ms);
    free(b.side_ms);
    free(b.idle_ms);
    free(b.beats);
    free_batch(&batch);
}
