/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client.h - the benchmarks of the client against a server that answers at once.
 *
 * Each prints one JSON object.  Only public headers of the library are used, but for
 * libevent in busy.c, which lends its own loop.
 */
#ifndef TESTS_BENCH_CLIENT_H
#define TESTS_BENCH_CLIENT_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include <tkx/sampling.h>
#include <tkx/training.h>

typedef struct bench_options {
    const char *base_url;
    const char *loss, *tokens, *mode;
    int n, open, rounds, datums, len, reps, steps, depth, max_tokens, prompt;
    double hold_s, seconds;
} bench_options;

/* ---- meter.c ---- */

typedef struct meter {
    long rss_before_kb, rss_peak_kb;
    int64_t wall_ns, cpu_ns;
} meter;

int64_t now_ns(void);
long status_kb(const char *key); /* of /proc/self/status, such as "VmRSS:" */
void meter_start(meter *m);      /* also resets the peak */
void meter_stop(meter *m);
/* Print the common keys, leaving the object open: the caller adds ",..." and "}\n". */
void meter_print(const meter *m, const char *bench, double n_ops);
/* Sorts; prints "p50_ms":..,"p99_ms":..,"max_ms":.. */
void print_percentiles(double *ms, size_t n);
double percentile(double *ms, size_t n, int percent); /* sorts */

/* ---- world.c ---- */

/* Ends the program when something fails. */
tkx_context *bench_context(const bench_options *o, struct event_base *base);
tkx_service *bench_service(tkx_context *context);
tkx_sampling *bench_sampling(tkx_service *service);
tkx_training *bench_training(tkx_service *service);
void must(tkx_status status, tkx_error *error, const char *what);
/* Wait, and end the program when it failed. */
void must_wait(tkx_future *future, const char *what);

/* Prompt and request as the options say; keep it while the request is used. */
typedef struct bench_prompt {
    int32_t tokens[4096];
    tkx_chunk chunk;
    tkx_sample_request request;
} bench_prompt;
void make_prompt(const bench_options *o, bench_prompt *prompt);

/* A batch of datums over its own arrays. */
typedef struct bench_batch {
    tkx_datum *datums; /* [n] */
    size_t n, n_bytes; /* numbers in it, as 4 and 8 bytes */
    int32_t *inputs;
    int64_t *targets;
    float *floats;
    tkx_chunk *chunks;
    tkx_named_tensor *tensors;
} bench_batch;
void make_batch(const bench_options *o, bench_batch *batch);
void free_batch(bench_batch *batch);

/* A count that one thread waits for and the loop thread brings to zero. */
typedef struct latch {
    pthread_mutex_t lock;
    pthread_cond_t zero;
    int left;
} latch;
#define LATCH_INIT                                                                       \
    {                                                                                    \
        .lock = PTHREAD_MUTEX_INITIALIZER, .zero = PTHREAD_COND_INITIALIZER              \
    }
void latch_set(latch *l, int n);
void latch_down(latch *l);
void latch_wait(latch *l);

/* ---- beats.c ---- */

#define N_BEATING 50 /* sessions */
#define MAX_BEATS 4096

typedef struct beats {
    tkx_service *services[N_BEATING];
    int64_t last_ms[N_BEATING]; /* when the latest beat got through */
    double late_ms[MAX_BEATS];  /* [n] */
    size_t n;
} beats;
void beats_start(beats *b, tkx_context *context); /* takes 10 s */
void beats_look(beats *b);                        /* often; after the start */
void beats_stop(beats *b);

/* ---- the benchmarks ---- */

void bench_startup(const bench_options *o);
void bench_latency(const bench_options *o);
void bench_concurrent(const bench_options *o);
void bench_held(const bench_options *o);
void bench_fwdbwd(const bench_options *o);
void bench_pipeline(const bench_options *o);
void bench_busy(const bench_options *o);

#endif
