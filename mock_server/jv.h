/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jv.h - a JSON text as values, for request bodies.
 *
 * Numbers keep their spelling, so 64-bit integers are exact; an array of plain numbers is
 * one value that is read into a C array on demand.  Values live in the caller's arena and
 * point into the text, which must outlive them.
 */
#ifndef MOCK_JV_H
#define MOCK_JV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tkx/error.h>

#include "base/arena.h"

typedef enum jv_kind {
    JV_NULL,
    JV_BOOL,
    JV_NUMBER,
    JV_STRING,
    JV_ARRAY,
    JV_OBJECT
} jv_kind;

typedef struct jv jv;
struct jv {
    jv_kind kind;
    bool is_true;
    bool is_packed;  /* an array of numbers only: text and n, no children */
    const char *key; /* of an object's member */
    const char
        *text;   /* number: spelling; string: decoded, NUL-terminated; packed: items */
    size_t size; /* of text */
    size_t n;    /* items or members */
    jv *first;
    jv *next;
};

/* The whole text as one value.  Errors: PARSE with the byte offset, NO_MEMORY. */
tkx_status jv_parse(tkx__arena *arena, const char *text, size_t size, const jv **out,
                    tkx_error **err);

/* The member of an object; NULL when absent, null, or value is no object. */
const jv *jv_get(const jv *value, const char *key);
/* A member that is a string; NULL otherwise. */
const char *jv_get_str(const jv *value, const char *key);

/* The number exactly; false for any other value, fractions and overflow. */
bool jv_i64(const jv *value, int64_t *out);
/* -2^63 .. 2^64-1; negative ones as their two's complement. */
bool jv_bits64(const jv *value, uint64_t *out);
bool jv_f64(const jv *value, double *out);

/* All items of an array; out has value->n places. */
bool jv_i64s(const jv *value, int64_t *out);
bool jv_f32s(const jv *value, float *out);

#endif
