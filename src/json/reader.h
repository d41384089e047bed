/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json/reader.h - pull values out of a whole JSON text, in place.
 *
 * The caller asks for what it expects; nothing is built in between:
 *
 *     tkx__json_read_object(&r);
 *     while (tkx__json_read_key(&r, &key)) {
 *         if (tkx__json_text_is(&key, "size"))
 *             tkx__json_read_i64(&r, &size);
 *         else
 *             tkx__json_skip(&r);
 *     }
 *     return tkx__json_finish(&r, "checkpoint", err);
 *
 * The first failure stays: every later call does nothing, returns false (key, element) or
 * leaves its output zero, so that loops end and one check at the end is enough.  Grammar
 * is strict (RFC 8259, no BOM, valid UTF-8, paired surrogates); skipped values are
 * checked too. Integers never pass through a double.  A later duplicate of a key wins by
 * itself.
 *
 * Ownership: the text is borrowed for the reader's life.  Views point into it, or into
 * the arena when they held escapes.  Not thread-safe.
 */
#ifndef TKX_JSON_READER_H
#define TKX_JSON_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tkx/error.h>

#include "base/arena.h"

#define TKX__JSON_MAX_DEPTH 256

enum {
    /* What servers in other languages send: NaN, Infinity, -Infinity as bare words and
       null (as NaN) where a float is read; numbers written as text, flags as words or
       numbers, numbers as flags. */
    TKX__JSON_LENIENT = 1
};

/* Bytes in UTF-8, not NUL-terminated. */
typedef struct tkx__json_text {
    const char *data;
    size_t size;
} tkx__json_text;

typedef enum tkx__json_kind {
    TKX__JSON_NONE = 0, /* failed, or nothing left */
    TKX__JSON_OBJECT,
    TKX__JSON_ARRAY,
    TKX__JSON_STRING,
    TKX__JSON_NUMBER, /* with a lenient reader also NaN and the infinities */
    TKX__JSON_BOOL,
    TKX__JSON_NULL
} tkx__json_kind;

/* A number as it stands: integers exact when they fit 64 bits, else a double. */
typedef struct tkx__json_number {
    enum { TKX__JSON_I64, TKX__JSON_U64, TKX__JSON_F64 } kind;
    int64_t i64;
    uint64_t u64; /* only values above INT64_MAX */
    double f64;   /* set for every kind */
} tkx__json_number;

typedef struct tkx__json_reader {
    const char *begin;
    const char *at;
    const char *end;
    tkx__arena *arena;
    unsigned flags;
    int depth;
    bool is_first;                                /* nothing read yet in this container */
    uint64_t is_object[TKX__JSON_MAX_DEPTH / 64]; /* one bit per open container */
    tkx__json_text key;                           /* the last one, for messages */
    tkx_status status;
    const char *problem; /* what was wrong at at; static text */
} tkx__json_reader;

void tkx__json_reader_init(tkx__json_reader *r, const void *bytes, size_t size,
                           tkx__arena *arena, unsigned flags);

/* What comes next, without taking it. */
tkx__json_kind tkx__json_peek(tkx__json_reader *r);

bool tkx__json_read_object(tkx__json_reader *r);
/* The next key; false at the closing brace (which is taken) and after a failure. */
bool tkx__json_read_key(tkx__json_reader *r, tkx__json_text *key);
bool tkx__json_read_array(tkx__json_reader *r);
/* True when another element follows; false at the bracket (taken) and after a failure. */
bool tkx__json_read_element(tkx__json_reader *r);

bool tkx__json_read_text(tkx__json_reader *r, tkx__json_text *text);
/* A NUL-terminated copy in the arena; a NUL inside the text is an error. */
bool tkx__json_read_string(tkx__json_reader *r, const char **text);
bool tkx__json_read_bool(tkx__json_reader *r, bool *value);
bool tkx__json_read_number(tkx__json_reader *r, tkx__json_number *value);
/* Whole numbers written 1.0 are accepted below 2^53. */
bool tkx__json_read_i64(tkx__json_reader *r, int64_t *value);
bool tkx__json_read_u64(tkx__json_reader *r, uint64_t *value);
bool tkx__json_read_f64(tkx__json_reader *r, double *value);
/* Takes a null and says true; takes nothing else. */
bool tkx__json_take_null(tkx__json_reader *r);
/* Any value, checked; raw (may be NULL) gets its text. */
void tkx__json_skip(tkx__json_reader *r);
void tkx__json_skip_raw(tkx__json_reader *r, tkx__json_text *raw);

/* Whole arrays of numbers into the arena, fast.  count may be 0 with values not NULL. */
bool tkx__json_read_i64s(tkx__json_reader *r, int64_t **values, size_t *count);
bool tkx__json_read_i32s(tkx__json_reader *r, int32_t **values, size_t *count);
bool tkx__json_read_f32s(tkx__json_reader *r, float **values, size_t *count);
bool tkx__json_read_f64s(tkx__json_reader *r, double **values, size_t *count);

bool tkx__json_text_is(const tkx__json_text *text, const char *word);

/* Record a failure of the caller's own (wrong value, missing key); the first one
   stays. */
void tkx__json_fail(tkx__json_reader *r, tkx_status status, const char *problem);

/* Ends the reading: only blanks may follow.  "<what>: <problem> at byte N (after key
   k)". */
tkx_status tkx__json_finish(tkx__json_reader *r, const char *what, tkx_error **err);
/* The failure so far, without asking for the end of the text. */
tkx_status tkx__json_status(const tkx__json_reader *r, const char *what, tkx_error **err);

#endif
