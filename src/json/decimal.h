/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json/decimal.h - binary floating point from and to decimal text, exactly.
 *
 * Reading rounds to nearest even (what strtod does); printing gives the shortest text
 * that reads back to the same value.  Independent of the locale.  Thread: any.
 */
#ifndef TKX_JSON_DECIMAL_H
#define TKX_JSON_DECIMAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* w * 10^q.  Every 64-bit w, any q; overflow gives infinity. */
double tkx__decimal_to_f64(uint64_t w, int64_t q);

/* Longest text either printer writes, no NUL. */
#define TKX__DECIMAL_MAX 28

/* Finite values only; the length written.  "1.0", "-0.0", "1e-12", "0.1". */
size_t tkx__decimal_print_f64(double value, char *to);
/* Shortest text that reads back to value as a float32, directly or through a double. */
size_t tkx__decimal_print_f32(float value, char *to);

/* Decimal integers; at most 20 bytes. */
size_t tkx__decimal_print_u64(uint64_t value, char *to);
size_t tkx__decimal_print_i64(int64_t value, char *to);

#endif
