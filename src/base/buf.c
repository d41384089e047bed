/* SPDX-License-Identifier: Apache-2.0 */
/* buf.c - a growing byte buffer; capacity doubles, never past max_size (plus a NUL). */
#include "base/buf.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

void tkx__buf_init(tkx__buf *buf, size_t max_size)
{
    memset(buf, 0, sizeof *buf);
    buf->max_size = max_size < SIZE_MAX / 4 ? max_size : SIZE_MAX / 4;
}

void tkx__buf_clear(tkx__buf *buf)
{
    tkx__free(buf->data);
    tkx__buf_init(buf, buf->max_size);
}

void tkx__buf_reset(tkx__buf *buf)
{
    buf->size = 0;
    buf->status = TKX_OK;
    if (buf->data)
        buf->data[0] = '\0';
}

char *tkx__buf_reserve(tkx__buf *buf, size_t n)
{
    size_t capacity = buf->capacity ? buf->capacity : 64;
    char *data;

    if (buf->status != TKX_OK)
        return NULL;
    if (n > buf->max_size - buf->size) {
        buf->status = TKX_ERR_LIMIT;
        return NULL;
    }
    if (buf->capacity > buf->size + n)
        return buf->data + buf->size;
    while (capacity <= buf->size + n)
        capacity *= 2;
    if (capacity > buf->max_size + 1)
        capacity = buf->max_size + 1;
    data = tkx__realloc(buf->data, capacity, 1);
    if (!data) {
        buf->status = TKX_ERR_NO_MEMORY;
        return NULL;
    }
    buf->data = data;
    buf->capacity = capacity;
    return data + buf->size;
}

void tkx__buf_grew(tkx__buf *buf, size_t n)
{
    assert(n < buf->capacity - buf->size);
    buf->size += n;
    buf->data[buf->size] = '\0';
}

void tkx__buf_append(tkx__buf *buf, const void *bytes, size_t n)
{
    char *to = tkx__buf_reserve(buf, n);

    if (!to)
        return;
    if (n)
        memcpy(to, bytes, n);
    tkx__buf_grew(buf, n);
}

void tkx__buf_puts(tkx__buf *buf, const char *text)
{
    tkx__buf_append(buf, text, strlen(text));
}

void tkx__buf_putc(tkx__buf *buf, char c)
{
    tkx__buf_append(buf, &c, 1);
}

void tkx__buf_printf(tkx__buf *buf, const char *fmt, ...)
{
    va_list args;
    int n;
    char *to;

    va_start(args, fmt);
    n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (n < 0)
        return;
    to = tkx__buf_reserve(buf, (size_t)n);
    if (!to)
        return;
    va_start(args, fmt);
    vsnprintf(to, (size_t)n + 1, fmt, args);
    va_end(args);
    tkx__buf_grew(buf, (size_t)n);
}

const char *tkx__buf_text(const tkx__buf *buf)
{
    return buf->data ? buf->data : "";
}

char *tkx__buf_take(tkx__buf *buf, size_t *size)
{
    char *data = buf->status == TKX_OK ? buf->data : NULL;

    if (size)
        *size = data ? buf->size : 0;
    if (data)
        buf->data = NULL;
    tkx__buf_clear(buf);
    return data;
}
