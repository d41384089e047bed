/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json/writer.h - JSON text into a growing buffer, commas by itself.
 *
 *     tkx__json_begin_object(&w);
 *     tkx__json_put_key(&w, "rank");
 *     tkx__json_put_i64(&w, 16);
 *     tkx__json_end_object(&w);
 *     return tkx__json_written(&w, "create_model", err);
 *
 * No blanks, UTF-8 as it is, floats in their shortest exact form.  The first failure
 * stays and later calls do nothing: text that is not UTF-8, and floats that JSON cannot
 * hold (unless they are to become null).  Nesting is the caller's to get right.
 */
#ifndef TKX_JSON_WRITER_H
#define TKX_JSON_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tkx/error.h>

#include "base/buf.h"

enum {
    TKX__JSON_NON_FINITE_NULL = 1 /* NaN and infinities become null, not a failure */
};

typedef struct tkx__json_writer {
    tkx__buf *buf; /* borrowed; its maximum is the writer's */
    unsigned flags;
    bool needs_comma;
    tkx_status status;
    const char *problem; /* static text */
    const char *key;     /* the last one, for messages; borrowed */
} tkx__json_writer;

void tkx__json_writer_init(tkx__json_writer *w, tkx__buf *buf, unsigned flags);

void tkx__json_begin_object(tkx__json_writer *w);
void tkx__json_end_object(tkx__json_writer *w);
void tkx__json_begin_array(tkx__json_writer *w);
void tkx__json_end_array(tkx__json_writer *w);
void tkx__json_put_key(tkx__json_writer *w, const char *key);

void tkx__json_put_text(tkx__json_writer *w, const char *text, size_t size);
void tkx__json_put_string(tkx__json_writer *w, const char *text); /* NULL: null */
void tkx__json_put_i64(tkx__json_writer *w, int64_t value);
void tkx__json_put_u64(tkx__json_writer *w, uint64_t value);
void tkx__json_put_f64(tkx__json_writer *w, double value);
void tkx__json_put_bool(tkx__json_writer *w, bool value);
void tkx__json_put_null(tkx__json_writer *w);
/* Text that is JSON already; not checked. */
void tkx__json_put_raw(tkx__json_writer *w, const char *json, size_t size);
void tkx__json_put_base64(tkx__json_writer *w, const void *bytes, size_t size);

void tkx__json_put_i64s(tkx__json_writer *w, const int64_t *values, size_t count);
void tkx__json_put_i32s(tkx__json_writer *w, const int32_t *values, size_t count);
void tkx__json_put_f32s(tkx__json_writer *w, const float *values, size_t count);
void tkx__json_put_f64s(tkx__json_writer *w, const double *values, size_t count);

void tkx__json_put_strings(tkx__json_writer *w, const char *const *texts, size_t count);

/* A member: key and value. */
void tkx__json_member_string(tkx__json_writer *w, const char *key, const char *text);
void tkx__json_member_i64(tkx__json_writer *w, const char *key, int64_t value);
void tkx__json_member_f64(tkx__json_writer *w, const char *key, double value);
void tkx__json_member_bool(tkx__json_writer *w, const char *key, bool value);

void tkx__json_write_fail(tkx__json_writer *w, tkx_status status, const char *problem);
/* What came of it all, the buffer's failures included. */
tkx_status tkx__json_written(const tkx__json_writer *w, const char *what,
                             tkx_error **err);

#endif
