/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jw.h - writing JSON into a buffer, for answers.
 *
 * Names and punctuation are the caller's, through jw_fmt(); these write the values that
 * need care.  Numbers are the shortest text that reads back the same; NaN and infinities
 * become null.
 */
#ifndef MOCK_JW_H
#define MOCK_JW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "mock_server/jv.h"

void jw_str(tkx__buf *out, const char *text); /* NULL: null */
void jw_f32(tkx__buf *out, float value);
void jw_f32s(tkx__buf *out, const float *values, size_t n); /* with brackets */
void jw_value(tkx__buf *out, const jv *value);              /* as it was read */

/*
 * Text with places: %s a string with quotes (NULL: null), %d int64_t, %z size_t, %f
 * double, %b int as true or false, %r text as it is (NULL: null), %% a percent sign.
 */
void jw_fmt(tkx__buf *out, const char *fmt, ...);

#endif
