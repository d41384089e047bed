/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/buf.h - a growing byte buffer with a maximum.
 *
 * It remembers its first failure, so callers append freely and check tkx__buf_status()
 * once.  After a failure appends do nothing.  Not thread-safe.
 */
#ifndef TKX_BASE_BUF_H
#define TKX_BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>

#include <tkx/error.h>

typedef struct tkx__buf {
    char *data; /* NUL-terminated once anything was appended; NULL before */
    size_t size;
    size_t capacity;
    size_t max_size;
    tkx_status status; /* OK, NO_MEMORY, or LIMIT when max_size would be passed */
} tkx__buf;

void tkx__buf_init(tkx__buf *buf, size_t max_size);
void tkx__buf_clear(tkx__buf *buf); /* frees; the buffer can be used again */
void tkx__buf_reset(tkx__buf *buf); /* empties, keeps the memory */

/* Room for n more bytes at the returned place (NULL on failure); then tkx__buf_grew(). */
char *tkx__buf_reserve(tkx__buf *buf, size_t n);
void tkx__buf_grew(tkx__buf *buf, size_t n);

void tkx__buf_append(tkx__buf *buf, const void *bytes, size_t n);
void tkx__buf_puts(tkx__buf *buf, const char *text);
void tkx__buf_putc(tkx__buf *buf, char c);
void tkx__buf_printf(tkx__buf *buf, const char *fmt, ...) TKX_PRINTF(2, 3);

/* The text so far, "" when empty; valid until the next append. */
const char *tkx__buf_text(const tkx__buf *buf);
/* Move the bytes out; the caller frees them, tkx__free().  NULL when empty or failed. */
char *tkx__buf_take(tkx__buf *buf, size_t *size);

#endif
