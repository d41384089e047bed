/* SPDX-License-Identifier: Apache-2.0 */
/*
 * models/checks.h - comparing what a rig computes with a file of recorded values.
 *
 * The bounds are those of the table in models/README.md, "Ask of an engine".
 */
#ifndef TESTS_CONFORMANCE_MODELS_CHECKS_H
#define TESTS_CONFORMANCE_MODELS_CHECKS_H

#include "conformance.h"
#include "models/rig.h"

/* ---- recorded arrays (checks.c) ---- */

/* A tensor of that name, dtype and number of elements (0: any); NULL otherwise. */
const tkx__tensor *ref_find(const tkx__safetensors *ref, tkx__dtype dtype, size_t n,
                            const char *fmt, ...) TKX_PRINTF(4, 5);
const float *ref_floats(const tkx__safetensors *ref, size_t n, const char *fmt, ...)
    TKX_PRINTF(3, 4);
/* I32 tokens as ids the engine takes; free() them.  NULL when absent. */
int64_t *ref_tokens(const tkx__safetensors *ref, size_t *n, const char *fmt, ...)
    TKX_PRINTF(3, 4);

/* ---- distance ---- */

typedef struct distance {
    double max;
    double sum_sq;
    size_t n;
    size_t worst; /* index of the largest */
    float want, got;
} distance;

void distance_add(distance *d, const float *got, const float *want, size_t n);
double distance_rms(const distance *d);
double correlation(const float *a, const float *b, size_t n);
float logprob_of(const float *logits, size_t n, int64_t id);

/* ---- whole files (prompts.c, coarse.c) ---- */

/* One file of recorded values: the base's, or those with one adapter. */
typedef struct ref_case {
    rig *r;
    const tkx__safetensors *ref;
    const char *name;   /* "llama r4 f32": before the prompt's name in the report */
    const char *prefix; /* before "p7.logits", such as "r4."; "" usually */
    conf_report *report;
} ref_case;

/* Float32: whole, token by token, uneven; top-k; greedy; filters; draws. */
void check_exact(const ref_case *c);
/* The coarse paths, position by position on the recorded tokens. */
void check_coarse(const ref_case *c);

/* Calls fn with "p7", "p33" ... for every prompt of the file, in its order. */
typedef void prompt_fn(const ref_case *c, const char *prompt);
void for_prompts(const ref_case *c, prompt_fn *fn);

#endif
