/* SPDX-License-Identifier: Apache-2.0 */
/*
 * util.h - clocks, times as text, random ids, hashes, and files that are whole or absent.
 */
#ifndef MOCK_UTIL_H
#define MOCK_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tkx/error.h>

int64_t mock_now_ms(void);  /* since 1970, UTC */
int64_t mock_mono_ms(void); /* monotonic */

enum { MOCK_TIME_SIZE = 40, MOCK_UUID_SIZE = 37, MOCK_SHA_SIZE = 65 };

/* RFC 3339 in UTC, such as 2026-11-21T03:02:41.678000Z. */
void mock_time_text(int64_t ms, char out[MOCK_TIME_SIZE]);
/* HTTP date, such as Sat, 21 Nov 2026 03:17:41 GMT. */
void mock_http_date(int64_t ms, char out[MOCK_TIME_SIZE]);
/* RFC 3339 with Z, an offset, or neither (UTC), or a bare date; false on anything
   else. */
bool mock_parse_time(const char *text, int64_t *ms);

/* Whether part stands in text, in any case; text may be NULL. */
bool mock_has_word(const char *text, const char *part);

void mock_random(void *to, size_t n);
void mock_uuid(char out[MOCK_UUID_SIZE]);
void mock_sha256_hex(const void *bytes, size_t n, char out[MOCK_SHA_SIZE]);
/* base64url without padding; out has n * 4 / 3 + 4 places. */
void mock_base64url(const void *bytes, size_t n, char *out);

/* Written under another name, synced, renamed: after a crash whole or absent. */
tkx_status mock_write_file(const char *path, const void *data, size_t size,
                           tkx_error **err);
/* Ownership: *data is the caller's; tkx__free(). */
tkx_status mock_read_file(const char *path, char **data, size_t *size, tkx_error **err);

#endif
