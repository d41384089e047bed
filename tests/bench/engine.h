/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine.h - the inside of tkx-bench engine, for engine*.c alone.
 */
#ifndef TESTS_BENCH_ENGINE_H
#define TESTS_BENCH_ENGINE_H

#include "infer/adapter.h"
#include "infer/graph.h"

#define ENGINE_MAX_REPS 100
#define ENGINE_MAX_RATES 16

/* A moment to measure from. */
typedef struct engine_moment {
    double at;
    double machine; /* CPU seconds of all processes */
    double own;
} engine_moment;

/* Best steps per second of a decode test, or tokens per second of a prefill. */
typedef struct engine_rate {
    const char *test;
    double best;
    bool is_prefill;
} engine_rate;

typedef struct engine {
    const char *path;
    const char *adapter_path;
    size_t n_threads;
    size_t n_reps;
    engine_moment started;

    tkx__weights *weights; /* NULL: not open yet */
    const tkx__kernels *kernels;
    tkx__threads *pool;
    tkx__adapter *adapter;

    engine_rate rates[ENGINE_MAX_RATES]; /* what the roofs are compared with */
    size_t n_rates;
} engine;

/* A cache and a graph for one test. */
typedef struct engine_context {
    engine *e;
    tkx__kv *kv;
    tkx__graph *graph;
    uint32_t *ids; /* [n_seqs][n_blocks] */
    size_t n_blocks;
    float top_logit; /* of the last row */
    size_t top;
} engine_context;

/* What the runs of one test took. */
typedef struct engine_samples {
    double rate[ENGINE_MAX_REPS];
    double others[ENGINE_MAX_REPS]; /* cores that other processes used meanwhile */
    double cpu[ENGINE_MAX_REPS];    /* CPU seconds of our own */
    size_t n;
} engine_samples;

/* What is measured: see engine.c. */
typedef enum engine_kind {
    ENGINE_PREFILL,
    ENGINE_DECODE,
    ENGINE_FIRST,
    ENGINE_LOAD,
    ENGINE_TOK,
    ENGINE_ROOF
} engine_kind;

typedef struct engine_test {
    const char *text; /* as given */
    engine_kind kind;
    size_t n;
    size_t n_seqs;
    size_t n_prompt;
} engine_test;

/* ---- engine_run.c: models and steps; what fails ends the program ---- */

void engine_open(engine *e); /* the model and the adapter, once */
void engine_close(engine *e);
void engine_open_context(engine *e, engine_context *c, size_t n_pos, size_t n_seqs,
                         size_t batch);
void engine_close_context(engine_context *c);
/* Tokens 0 .. n-1 into the first sequence. */
void engine_prefill(engine_context *c, size_t n);
/* All sequences see the first one's prompt: whole blocks shared, the rest copied. */
void engine_share_prompt(engine_context *c, size_t n_seqs, size_t n_prompt);
/* n steps of n_seqs sequences after n_prompt common tokens; [n_seqs] of each array. */
void engine_decode(engine_context *c, size_t n, size_t n_seqs, size_t n_prompt,
                   tkx__step_part *parts, int64_t *tokens);

/* ---- engine_report.c ---- */

engine_moment engine_start(void);
void engine_take(engine_samples *s, double units, const engine_moment *from);
void engine_take_seconds(engine_samples *s, const engine_moment *from);
/* extra: more members, with a comma before each. */
void engine_report(const engine *e, const char *test, const char *unit,
                   const engine_samples *s, const char *extra);
void engine_keep_rate(engine *e, const char *test, const engine_samples *s,
                      double per_unit, bool is_prefill);
/* The kept rates beside the limits, measured now. */
void engine_report_roofs(engine *e);

/* ---- engine_tests.c ---- */

/* 0: it failed, and said so. */
int engine_run(engine *e, const engine_test *test);

#endif
