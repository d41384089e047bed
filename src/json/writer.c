/* SPDX-License-Identifier: Apache-2.0 */
/*
 * writer.c - JSON text into a buffer.
 *
 * needs_comma says that a value stands directly before, in the same container.  Arrays of
 * numbers reserve a block at a time and write through a pointer.
 */
#include "json/writer.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/str.h"
#include "json/decimal.h"

void tkx__json_writer_init(tkx__json_writer *w, tkx__buf *buf, unsigned flags)
{
    memset(w, 0, sizeof *w);
    w->buf = buf;
    w->flags = flags;
}

void tkx__json_write_fail(tkx__json_writer *w, tkx_status status, const char *problem)
{
    if (w->status != TKX_OK)
        return;
    w->status = status;
    w->problem = problem;
}

/* Room for a value of up to n bytes, comma written; NULL after a failure. */
static char *room(tkx__json_writer *w, size_t n)
{
    char *to = w->status == TKX_OK ? tkx__buf_reserve(w->buf, n + 1) : NULL;

    if (!to)
        return NULL;
    if (w->needs_comma)
        *to++ = ',';
    w->needs_comma = true;
    return to;
}

/* The value ends at end; everything since the buffer's size is new. */
static void grew(tkx__json_writer *w, const char *end)
{
    tkx__buf_grew(w->buf, (size_t)(end - (w->buf->data + w->buf->size)));
}

static void put_short(tkx__json_writer *w, const char *text, size_t n)
{
    char *to = room(w, n);

    if (!to)
        return;
    memcpy(to, text, n);
    grew(w, to + n);
}

void tkx__json_put_raw(tkx__json_writer *w, const char *json, size_t size)
{
    put_short(w, json, size);
}

void tkx__json_begin_object(tkx__json_writer *w)
{
    put_short(w, "{", 1);
    w->needs_comma = false;
}

void tkx__json_begin_array(tkx__json_writer *w)
{
    put_short(w, "[", 1);
    w->needs_comma = false;
}

void tkx__json_end_object(tkx__json_writer *w)
{
    w->needs_comma = false;
    put_short(w, "}", 1);
}

void tkx__json_end_array(tkx__json_writer *w)
{
    w->needs_comma = false;
    put_short(w, "]", 1);
}

static char *put_escape(char *to, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    static const char named[] = "\b\f\n\r\t\"\\";
    static const char letters[] = "bfnrt\"\\";
    const char *at = c ? strchr(named, c) : NULL;

    *to++ = '\\';
    if (at) {
        *to++ = letters[at - named];
        return to;
    }
    memcpy(to, "u00", 3);
    to[3] = hex[c >> 4];
    to[4] = hex[c & 15];
    return to + 5;
}

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c != '"' && c != '\\';
}

void tkx__json_put_text(tkx__json_writer *w, const char *text, size_t size)
{
    char *to;

    if (w->status != TKX_OK)
        return;
    if (tkx__utf8_valid_prefix(text, size) != size) {
        tkx__json_write_fail(w, TKX_ERR_INVALID_ARGUMENT, "text is not UTF-8");
        return;
    }
    put_short(w, "\"", 1);
    while (size) {
        size_t n = 0;

        while (n < size && is_plain((unsigned char)text[n]))
            n++;
        tkx__buf_append(w->buf, text, n);
        text += n;
        size -= n;
        if (!size)
            break;
        to = tkx__buf_reserve(w->buf, 6);
        if (!to)
            return;
        grew(w, put_escape(to, (unsigned char)*text));
        text++;
        size--;
    }
    tkx__buf_putc(w->buf, '"');
}

void tkx__json_put_string(tkx__json_writer *w, const char *text)
{
    if (text)
        tkx__json_put_text(w, text, strlen(text));
    else
        tkx__json_put_null(w);
}

void tkx__json_put_key(tkx__json_writer *w, const char *key)
{
    tkx__json_put_string(w, key);
    tkx__buf_putc(w->buf, ':');
    w->needs_comma = false;
    if (w->status == TKX_OK)
        w->key = key;
}

void tkx__json_put_i64(tkx__json_writer *w, int64_t value)
{
    char *to = room(w, 20);

    if (to)
        grew(w, to + tkx__decimal_print_i64(value, to));
}

void tkx__json_put_u64(tkx__json_writer *w, uint64_t value)
{
    char *to = room(w, 20);

    if (to)
        grew(w, to + tkx__decimal_print_u64(value, to));
}

static void put_non_finite(tkx__json_writer *w)
{
    if (w->flags & TKX__JSON_NON_FINITE_NULL)
        tkx__json_put_null(w);
    else
        tkx__json_write_fail(w, TKX_ERR_INVALID_ARGUMENT,
                             "JSON cannot hold NaN or an infinity");
}

void tkx__json_put_f64(tkx__json_writer *w, double value)
{
    char *to;

    if (!isfinite(value)) {
        put_non_finite(w);
        return;
    }
    to = room(w, TKX__DECIMAL_MAX);
    if (to)
        grew(w, to + tkx__decimal_print_f64(value, to));
}

void tkx__json_put_bool(tkx__json_writer *w, bool value)
{
    put_short(w, value ? "true" : "false", value ? 4 : 5);
}

void tkx__json_put_null(tkx__json_writer *w)
{
    put_short(w, "null", 4);
}

void tkx__json_put_base64(tkx__json_writer *w, const void *bytes, size_t size)
{
    size_t n = tkx__base64_size(size);
    char *to = room(w, n + 2);

    if (!to)
        return;
    to[0] = '"';
    tkx__base64_encode(bytes, size, to + 1);
    to[n + 1] = '"';
    grew(w, to + n + 2);
}

/* Elements written between two looks at the buffer. */
enum { BLOCK = 256 };

typedef size_t print_fn(const void *values, size_t at, char *to);

static size_t print_i64(const void *values, size_t at, char *to)
{
    return tkx__decimal_print_i64(((const int64_t *)values)[at], to);
}

static size_t print_i32(const void *values, size_t at, char *to)
{
    return tkx__decimal_print_i64(((const int32_t *)values)[at], to);
}

/* Zero length: not finite. */
static size_t print_f32(const void *values, size_t at, char *to)
{
    float v = ((const float *)values)[at];

    return isfinite(v) ? tkx__decimal_print_f32(v, to) : 0;
}

static size_t print_f64(const void *values, size_t at, char *to)
{
    double v = ((const double *)values)[at];

    return isfinite(v) ? tkx__decimal_print_f64(v, to) : 0;
}

static char *put_block(tkx__json_writer *w, const void *values, size_t from, size_t to_n,
                       print_fn *print, char *to)
{
    for (size_t i = from; i < to_n; i++) {
        size_t n = print(values, i, to);

        if (!n && !(w->flags & TKX__JSON_NON_FINITE_NULL)) {
            put_non_finite(w);
            return NULL;
        }
        if (!n) {
            memcpy(to, "null", 4);
            n = 4;
        }
        to += n;
        *to++ = ',';
    }
    return to;
}

/* inlined with a constant print for each kind */
static inline __attribute__((always_inline)) void
put_array(tkx__json_writer *w, const void *values, size_t count, print_fn *print)
{
    tkx__json_begin_array(w);
    for (size_t i = 0; i < count && w->status == TKX_OK; i += BLOCK) {
        size_t end = count - i < BLOCK ? count : i + BLOCK;
        char *to = tkx__buf_reserve(w->buf, (end - i) * (TKX__DECIMAL_MAX + 1));

        if (!to)
            return;
        to = put_block(w, values, i, end, print, to);
        if (!to)
            return;
        grew(w, end == count ? to - 1 : to); /* no comma after the last */
    }
    tkx__json_end_array(w);
}

void tkx__json_put_i64s(tkx__json_writer *w, const int64_t *values, size_t count)
{
    put_array(w, values, count, print_i64);
}

void tkx__json_put_i32s(tkx__json_writer *w, const int32_t *values, size_t count)
{
    put_array(w, values, count, print_i32);
}

void tkx__json_put_f32s(tkx__json_writer *w, const float *values, size_t count)
{
    put_array(w, values, count, print_f32);
}

void tkx__json_put_f64s(tkx__json_writer *w, const double *values, size_t count)
{
    put_array(w, values, count, print_f64);
}

void tkx__json_put_strings(tkx__json_writer *w, const char *const *texts, size_t count)
{
    tkx__json_begin_array(w);
    for (size_t i = 0; i < count; i++)
        tkx__json_put_string(w, texts[i]);
    tkx__json_end_array(w);
}

void tkx__json_member_string(tkx__json_writer *w, const char *key, const char *text)
{
    tkx__json_put_key(w, key);
    tkx__json_put_string(w, text);
}

void tkx__json_member_i64(tkx__json_writer *w, const char *key, int64_t value)
{
    tkx__json_put_key(w, key);
    tkx__json_put_i64(w, value);
}

void tkx__json_member_f64(tkx__json_writer *w, const char *key, double value)
{
    tkx__json_put_key(w, key);
    tkx__json_put_f64(w, value);
}

void tkx__json_member_bool(tkx__json_writer *w, const char *key, bool value)
{
    tkx__json_put_key(w, key);
    tkx__json_put_bool(w, value);
}

tkx_status tkx__json_written(const tkx__json_writer *w, const char *what, tkx_error **err)
{
    if (w->buf->status == TKX_ERR_NO_MEMORY)
        return tkx__fail_memory(err);
    if (w->buf->status != TKX_OK)
        return tkx__fail(err, w->buf->status, "%s: JSON text would pass %zu bytes", what,
                         w->buf->max_size);
    if (w->status != TKX_OK)
        return tkx__fail(err, w->status, "%s: %s (key \"%.60s\")", what, w->problem,
                         w->key ? w->key : "");
    return TKX_OK;
}
