/* SPDX-License-Identifier: Apache-2.0 */
/* sampling.c - startup, and samples one by one, many at once, and held open. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/client.h"

#define WARM_UP 100

typedef struct world {
    tkx_context *context;
    tkx_service *service;
    tkx_sampling *sampling;
    bench_prompt prompt;
} world;

static void open_world(const bench_options *o, world *w)
{
    w->context = bench_context(o, NULL);
    w->service = bench_service(w->context);
    w->sampling = bench_sampling(w->service);
    make_prompt(o, &w->prompt);
}

static void close_world(world *w)
{
    tkx_sampling_free(w->sampling);
    tkx_service_free(w->service);
    tkx_context_free(w->context);
}

void bench_startup(const bench_options *o)
{
    tkx_context *context;
    tkx_service *service;
    tkx_future *started;
    tkx_error *error = NULL;
    meter m;

    meter_start(&m);
    context = bench_context(o, NULL);
    service = bench_service(context);
    must(tkx_service_start(service, &started, &error), error, "start");
    must_wait(started, "start");
    meter_stop(&m);
    meter_print(&m, "startup", 1);
    printf(",\"rss_kb\":%ld,\"threads\":%ld}\n", status_kb("VmRSS:"),
           status_kb("Threads:"));
    tkx_future_unref(started);
    tkx_service_free(service);
    tkx_context_free(context);
}

/* ---- one after another: each completion submits the next ---- */

typedef struct chain {
    world *w;
    latch done;
    int left;
    size_t n_ms;
    double *ms;
    int64_t sent_ns;
    int n_errors;
} chain;

static void submit_next(chain *c);

/* Take and drop the response, as a user would after using it. */
static bool consume(tkx_future *future)
{
    tkx_sample_response *response = NULL;
    tkx_error *error = NULL;
    bool ok = tkx_future_take_sample(future, &response, &error) == TKX_OK &&
              response->n_sequences == 1;

    if (!ok)
        fprintf(stderr, "tkx-bench client: sample: %s\n", tkx_error_message(error));
    tkx_sample_response_free(response);
    tkx_error_free(error);
    tkx_future_unref(future);
    return ok;
}

static void on_one(tkx_future *future, void *user_data)
{
    chain *c = user_data;

    c->ms[c->n_ms++] = (double)(now_ns() - c->sent_ns) * 1e-6;
    c->n_errors += !consume(future);
    if (--c->left > 0)
        submit_next(c);
    else
        latch_down(&c->done);
}

static void submit_next(chain *c)
{
    tkx_future *future;
    tkx_error *error = NULL;

    c->sent_ns = now_ns();
    must(tkx_sampling_sample(c->w->sampling, &c->w->prompt.request, 0, &future, &error),
         error, "sample");
    must(tkx_future_on_complete(future, on_one, c, &error), error, "callback");
}

static void run_chain(chain *c, int n)
{
    c->left = n;
    c->n_ms = 0;
    latch_set(&c->done, 1);
    submit_next(c);
    latch_wait(&c->done);
}

void bench_latency(const bench_options *o)
{
    world w;
    chain c = {.w = &w, .done = LATCH_INIT};
    meter m;

    open_world(o, &w);
    c.ms = malloc(((size_t)o->n + WARM_UP) * sizeof *c.ms);
    run_chain(&c, WARM_UP);
    meter_start(&m);
    run_chain(&c, o->n);
    meter_stop(&m);
    meter_print(&m, "latency", o->n);
    printf(",\"errors\":%d,", c.n_errors);
    print_percentiles(c.ms, c.n_ms);
    printf("}\n");
    free(c.ms);
    fflush(stdout);
    close_world(&w);
}

/* ---- many at once ---- */

typedef struct crowd {
    latch done;
    atomic_int n_errors, n_done;
} crowd;

static void on_any(tkx_future *future, void *user_data)
{
    crowd *c = user_data;

    atomic_fetch_add(&c->n_done, 1);
    if (!consume(future))
        atomic_fetch_add(&c->n_errors, 1);
    latch_down(&c->done);
}

static void submit_all(world *w, crowd *c, int n)
{
    latch_set(&c->done, n);
    for (int i = 0; i < n; i++) {
        tkx_future *future;
        tkx_error *error = NULL;

        must(tkx_sampling_sample(w->sampling, &w->prompt.request, 0, &future, &error),
             error, "sample");
        must(tkx_future_on_complete(future, on_any, c, &error), error, "callback");
    }
}

static void warm_up(world *w, crowd *c)
{
    submit_all(w, c, 8);
    latch_wait(&c->done);
    atomic_store(&c->n_errors, 0);
    atomic_store(&c->n_done, 0);
}

void bench_concurrent(const bench_options *o)
{
    world w;
    crowd c = {.done = LATCH_INIT};
    long first_peak_kb = 0;
    meter m;

    open_world(o, &w);
    warm_up(&w, &c);
    meter_start(&m);
    for (int r = 0; r < o->rounds; r++) {
        submit_all(&w, &c, o->open);
        latch_wait(&c.done);
        if (r == 0)
            first_peak_kb = status_kb("VmHWM:");
    }
    meter_stop(&m);
    meter_print(&m, "concurrent", (double)o->open * o->rounds);
    printf(",\"open\":%d,\"errors\":%d,\"rss_kb_per_open\":%.3f,\"threads\":%ld}\n",
           o->open, atomic_load(&c.n_errors),
           (double)(first_peak_kb - m.rss_before_kb) / o->open, status_kb("Threads:"));
    fflush(stdout);
    close_world(&w);
}

/* Memory while every sample is open and nothing happens. */
void bench_held(const bench_options *o)
{
    const struct timespec hold = {(time_t)o->hold_s,
                                  (long)((o->hold_s - (double)(time_t)o->hold_s) * 1e9)};
    struct timespec until;
    world w;
    crowd c = {.done = LATCH_INIT};
    long held_kb;
    int n_early;
    meter m;

    open_world(o, &w);
    warm_up(&w, &c);
    meter_start(&m);
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += hold.tv_sec;
    submit_all(&w, &c, o->open);
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
    held_kb = status_kb("VmRSS:");
    n_early = atomic_load(&c.n_done);
    latch_wait(&c.done);
    meter_stop(&m);
    meter_print(&m, "held", o->open);
    printf(",\"open\":%d,\"errors\":%d,\"rss_held_kb\":%ld,\"done_early\":%d,"
           "\"rss_kb_per_open\":%.3f}\n",
           o->open, atomic_load(&c.n_errors), held_kb, n_early,
           (double)(held_kb - m.rss_before_kb) / o->open);
    fflush(stdout);
    close_world(&w);
}
