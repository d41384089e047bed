/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/scan.h - look at the members of a JSON object without building a tree.
 *
 * For the small answers that come with every sample (handles, try-again, completions):
 * values are spans of the text, decoded only when wanted.  Nothing is allocated but the
 * strings asked for.  Input may be hostile; every step is bounded.
 */
#ifndef TKX_API_SCAN_H
#define TKX_API_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* A value as it stands in the text; text NULL: absent. */
typedef struct tkx__span {
    const char *text;
    size_t size;
} tkx__span;

typedef struct tkx__scan {
    const char *at;
    const char *end;
    char closer; /* '}' or ']' */
    bool is_first;
    bool is_done; /* the closer was found */
    bool is_bad;  /* what came so far is not JSON */
} tkx__scan;

/* Enter an object or a list; false when the text is neither (blanks around it are
   fine). */
bool tkx__scan_enter(tkx__scan *scan, const char *text, size_t size);
/* The next member of an object, the key without quotes and undecoded.  False at the
   end. */
bool tkx__scan_member(tkx__scan *scan, tkx__span *key, tkx__span *value);
bool tkx__scan_element(tkx__scan *scan, tkx__span *value);

bool tkx__span_is(tkx__span span,
                  const char *text); /* key, or raw literal such as true */
bool tkx__span_is_string(tkx__span value, const char *text); /* "text", unescaped */
bool tkx__span_is_null(tkx__span value);                     /* null or absent */
/* A decoded copy (tkx__free), or NULL: no string, bad escapes, or no memory. */
char *tkx__span_dup(tkx__span value);
/* An integer, also one written as 12.0; false for anything else. */
bool tkx__span_i64(tkx__span value, int64_t *out);

/* Append text as a JSON string, quotes included. */
void tkx__put_quoted(tkx__buf *out, const char *text);

/* Values of several keys at once: values[i] belongs to keys[i].  False: not an object. */
bool tkx__scan_pick(const char *text, size_t size, const char *const *keys, size_t n,
                    tkx__span *values);

#endif
