/* SPDX-License-Identifier: Apache-2.0 */
/* types/time.h - RFC 3339 times as microseconds since 1970. */
#ifndef TKX_TYPES_TIME_H
#define TKX_TYPES_TIME_H

#include <stdbool.h>
#include <stddef.h>

#include <tkx/types/common.h>

/* "2026-01-02T03:04:05.678901Z", an offset, or neither (UTC); digits past the sixth are
   cut; seconds, or all behind the date, may be missing.  False on anything else. */
bool tkx__time_parse(const char *text, size_t size, tkx_time_us *out);
/* Seconds since 1970, or milliseconds when there are more than 2e10; false: too far. */
bool tkx__time_of_number(double value, tkx_time_us *out);

/* "2026-01-02T03:04:05.678901Z"; to holds TKX__TIME_TEXT_SIZE bytes. */
#define TKX__TIME_TEXT_SIZE 96
void tkx__time_print(tkx_time_us time, char *to);

#endif
