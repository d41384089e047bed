/* SPDX-License-Identifier: Apache-2.0 */
/* jw.c - escapes, shortest numbers, and a small format of its own (see the header). */
#include "mock_server/jw.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void jw_strn(tkx__buf *out, const char *text, size_t size)
{
    size_t from = 0;
    tkx__buf_putc(out, '"');
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 32 && c != '"' && c != '\\')
            continue;
        tkx__buf_append(out, text + from, i - from);
        from = i + 1;
        if (c == '"' || c == '\\') {
            tkx__buf_putc(out, '\\');
            tkx__buf_putc(out, (char)c);
        } else {
            tkx__buf_printf(out, "\\u%04x", c);
        }
    }
    tkx__buf_append(out, text + from, size - from);
    tkx__buf_putc(out, '"');
}

void jw_str(tkx__buf *out, const char *text)
{
    if (text)
        jw_strn(out, text, strlen(text));
    else
        tkx__buf_puts(out, "null");
}

static void jw_f64(tkx__buf *out, double value)
{
    char text[40];
    if (!isfinite(value)) {
        tkx__buf_puts(out, "null");
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    tkx__buf_puts(out, text);
}

void jw_f32(tkx__buf *out, float value)
{
    char text[40];
    if (!isfinite(value)) {
        tkx__buf_puts(out, "null");
        return;
    }
    for (int digits = 7; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)value);
        if (strtof(text, NULL) == value)
            break;
    }
    tkx__buf_puts(out, text);
}

void jw_f32s(tkx__buf *out, const float *values, size_t n)
{
    tkx__buf_putc(out, '[');
    for (size_t i = 0; i < n; i++) {
        if (i)
            tkx__buf_putc(out, ',');
        jw_f32(out, values[i]);
    }
    tkx__buf_putc(out, ']');
}

static void write_items(tkx__buf *out, const jv *value)
{
    if (value->is_packed)
        tkx__buf_append(out, value->text, value->size);
    for (const jv *m = value->first; m; m = m->next) {
        if (m != value->first)
            tkx__buf_putc(out, ',');
        if (value->kind == JV_OBJECT) {
            jw_str(out, m->key);
            tkx__buf_putc(out, ':');
        }
        jw_value(out, m);
    }
}

void jw_value(tkx__buf *out, const jv *value)
{
    switch (value ? value->kind : JV_NULL) {
    case JV_NULL:
        tkx__buf_puts(out, "null");
        break;
    case JV_BOOL:
        tkx__buf_puts(out, value->is_true ? "true" : "false");
        break;
    case JV_NUMBER:
        tkx__buf_append(out, value->text, value->size);
        break;
    case JV_STRING:
        jw_strn(out, value->text, value->size);
        break;
    case JV_ARRAY:
    case JV_OBJECT:
        tkx__buf_putc(out, value->kind == JV_ARRAY ? '[' : '{');
        write_items(out, value);
        tkx__buf_putc(out, value->kind == JV_ARRAY ? ']' : '}');
        break;
    }
}

void jw_fmt(tkx__buf *out, const char *fmt, ...)
{
    va_list args;
    const char *raw;
    va_start(args, fmt);
    for (const char *p = fmt; *p; p++) {
        size_t plain = strcspn(p, "%");
        tkx__buf_append(out, p, plain);
        p += plain;
        if (!*p || !*++p)
            break;
        switch (*p) {
        case 's':
            jw_str(out, va_arg(args, const char *));
            break;
        case 'd':
            tkx__buf_printf(out, "%" PRId64, va_arg(args, int64_t));
            break;
        case 'z':
            tkx__buf_printf(out, "%zu", va_arg(args, size_t));
            break;
        case 'f':
            jw_f64(out, va_arg(args, double));
            break;
        case 'b':
            tkx__buf_puts(out, va_arg(args, int) ? "true" : "false");
            break;
        case 'r':
            raw = va_arg(args, const char *);
            tkx__buf_puts(out, raw ? raw : "null");
            break;
        default:
            tkx__buf_putc(out, *p);
            break;
        }
    }
    va_end(args);
}
