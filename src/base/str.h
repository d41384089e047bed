/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/str.h - text helpers: prefixes, strict numbers, base64, UTF-8 checks.
 */
#ifndef TKX_BASE_STR_H
#define TKX_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool tkx__starts_with(const char *text, const char *prefix);
bool tkx__equals_nocase(const char *a, const char *b); /* ASCII */

/* The whole of text as a number; false on anything else (blanks, signs out of place,
   overflow).  Independent of the locale. */
bool tkx__parse_i64(const char *text, int64_t *out);
bool tkx__parse_u64(const char *text, uint64_t *out);
bool tkx__parse_f64(const char *text, double *out);

/* Length of the valid UTF-8 prefix; equal to n when all of it is valid. */
size_t tkx__utf8_valid_prefix(const char *bytes, size_t n);

/* Standard base64 with padding.  Encoding writes tkx__base64_size(n) chars, no NUL. */
size_t tkx__base64_size(size_t n);
void tkx__base64_encode(const void *bytes, size_t n, char *out);
/* Decodes standard or URL-safe alphabet, padding optional; out needs n / 4 * 3 + 3 bytes.
   Returns the number of bytes, or -1 when the text is not base64. */
ptrdiff_t tkx__base64_decode(const char *text, size_t n, void *out);

#endif
