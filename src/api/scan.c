/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan.c - find the borders of JSON values.  It checks the structure that it walks, not
 * the spelling of numbers inside values it skips: whoever decodes a value checks that.
 */
#include "api/scan.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"

#define MAX_DEPTH 512

static bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static void skip_blanks(tkx__scan *s)
{
    while (s->at < s->end && is_blank(*s->at))
        s->at++;
}

static bool bad(tkx__scan *s)
{
    s->is_bad = true;
    s->at = s->end;
    return false;
}

/* From the opening quote to behind the closing one; NULL when there is none. */
static const char *skip_string(const char *at, const char *end)
{
    for (at++; at < end; at++) {
        if (*at == '\\')
            at++;
        else if (*at == '"')
            return at + 1;
    }
    return NULL;
}

/* Behind the list or object that begins at `at`. */
static const char *skip_nested(const char *at, const char *end)
{
    unsigned depth = 0;

    while (at && at < end) {
        char c = *at;
        if (c == '"') {
            at = skip_string(at, end);
            continue;
        }
        if ((c == '{' || c == '[') && ++depth > MAX_DEPTH)
            return NULL;
        at++;
        if ((c == '}' || c == ']') && --depth == 0)
            return at;
    }
    return NULL;
}

static bool take_value(tkx__scan *s, tkx__span *value)
{
    const char *from = s->at;
    const char *to = from;

    if (from >= s->end)
        return bad(s);
    if (*from == '"') {
        to = skip_string(from, s->end);
    } else if (*from == '{' || *from == '[') {
        to = skip_nested(from, s->end);
    } else {
        while (to < s->end && !is_blank(*to) && !strchr(",]}:\"[{", *to))
            to++;
        if (to == from)
            return bad(s);
    }
    if (!to)
        return bad(s);
    *value = (tkx__span){from, (size_t)(to - from)};
    s->at = to;
    return true;
}

bool tkx__scan_enter(tkx__scan *s, const char *text, size_t size)
{
    *s = (tkx__scan){.at = text, .end = text ? text + size : text, .is_first = true};
    skip_blanks(s);
    if (s->at >= s->end || (*s->at != '{' && *s->at != '['))
        return bad(s);
    s->closer = *s->at++ == '{' ? '}' : ']';
    return true;
}

/* At the next member or element; false at the end. */
static bool next_item(tkx__scan *s)
{
    if (s->is_done || s->is_bad)
        return false;
    skip_blanks(s);
    if (s->at >= s->end)
        return bad(s);
    if (*s->at == s->closer) {
        s->at++;
        skip_blanks(s);
        s->is_done = true;
        return s->at < s->end && bad(s); /* something stands behind the value */
    }
    if (!s->is_first) {
        if (*s->at++ != ',')
            return bad(s);
        skip_blanks(s);
    }
    s->is_first = false;
    return true;
}

bool tkx__scan_member(tkx__scan *s, tkx__span *key, tkx__span *value)
{
    if (!next_item(s))
        return false;
    if (!take_value(s, key) || key->size < 2 || *key->text != '"')
        return bad(s);
    key->text++;
    key->size -= 2;
    skip_blanks(s);
    if (s->at >= s->end || *s->at++ != ':')
        return bad(s);
    skip_blanks(s);
    return take_value(s, value);
}

bool tkx__scan_element(tkx__scan *s, tkx__span *value)
{
    return next_item(s) && take_value(s, value);
}

bool tkx__span_is(tkx__span span, const char *text)
{
    return span.text && span.size == strlen(text) &&
           memcmp(span.text, text, span.size) == 0;
}

bool tkx__span_is_string(tkx__span v, const char *text)
{
    return v.text && v.size >= 2 && *v.text == '"' &&
           tkx__span_is((tkx__span){v.text + 1, v.size - 2}, text);
}

bool tkx__span_is_null(tkx__span value)
{
    return !value.text || tkx__span_is(value, "null");
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Four hex digits at `at`, or -1. */
static int32_t hex4(const char *at, const char *end)
{
    int32_t code = 0;

    if (end - at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(at[i]);
        if (digit < 0)
            return -1;
        code = code * 16 + digit;
    }
    return code;
}

static char *put_utf8(char *to, uint32_t c)
{
    if (c < 0x80) {
        *to++ = (char)c;
    } else if (c < 0x800) {
        *to++ = (char)(0xc0 | c >> 6);
        *to++ = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        *to++ = (char)(0xe0 | c >> 12);
        *to++ = (char)(0x80 | (c >> 6 & 0x3f));
        *to++ = (char)(0x80 | (c & 0x3f));
    } else {
        *to++ = (char)(0xf0 | c >> 18);
        *to++ = (char)(0x80 | (c >> 12 & 0x3f));
        *to++ = (char)(0x80 | (c >> 6 & 0x3f));
        *to++ = (char)(0x80 | (c & 0x3f));
    }
    return to;
}

/* A \u escape (at stands behind the u), with its low surrogate if it has one. */
static const char *unescape_u(const char *at, const char *end, char **to)
{
    int32_t code = hex4(at, end);

    if (code <= 0 || (code >= 0xdc00 && code < 0xe000))
        return NULL;
    at += 4;
    if (code >= 0xd800 && code < 0xdc00) {
        int32_t low =
            end - at >= 6 && at[0] == '\\' && at[1] == 'u' ? hex4(at + 2, end) : -1;
        if (low < 0xdc00 || low > 0xdfff)
            return NULL;
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        at += 6;
    }
    *to = put_utf8(*to, (uint32_t)code);
    return at;
}

/* One escape; at stands behind the backslash. */
static const char *unescape(const char *at, const char *end, char **to)
{
    static const char from[] = "\"\\/bfnrt";
    static const char into[] = "\"\\/\b\f\n\r\t";

    if (at >= end)
        return NULL;
    if (*at == 'u')
        return unescape_u(at + 1, end, to);
    const char *found = *at ? strchr(from, *at) : NULL;
    if (!found)
        return NULL;
    *(*to)++ = into[found - from];
    return at + 1;
}

char *tkx__span_dup(tkx__span v)
{
    if (!v.text || v.size < 2 || *v.text != '"')
        return NULL;
    const char *at = v.text + 1;
    const char *end = v.text + v.size - 1;
    char *text = tkx__malloc(v.size); /* decoding never grows */
    char *to = text;

    while (text && at < end) {
        if (*at != '\\') {
            if (!*at)
                break;
            *to++ = *at++;
            continue;
        }
        at = unescape(at + 1, end, &to);
        if (!at)
            break;
    }
    if (text && at == end) {
        *to = '\0';
        return text;
    }
    tkx__free(text);
    return NULL;
}

bool tkx__span_i64(tkx__span v, int64_t *out)
{
    char text[40];
    double number;

    if (!v.text || v.size == 0 || v.size >= sizeof text)
        return false;
    memcpy(text, v.text, v.size);
    text[v.size] = '\0';
    if (tkx__parse_i64(text, out))
        return true;
    if (!tkx__parse_f64(text, &number) || number < -9e15 || number > 9e15 ||
        number != (double)(int64_t)number)
        return false;
    *out = (int64_t)number;
    return true;
}

bool tkx__scan_pick(const char *text, size_t size, const char *const *keys, size_t n,
                    tkx__span *values)
{
    tkx__scan scan;
    tkx__span key, value;

    memset(values, 0, n * sizeof *values);
    if (!tkx__scan_enter(&scan, text, size) || scan.closer != '}')
        return false;
    while (tkx__scan_member(&scan, &key, &value))
        for (size_t i = 0; i < n; i++)
            if (tkx__span_is(key, keys[i]))
                values[i] = value;
    return !scan.is_bad;
}

void tkx__put_quoted(tkx__buf *out, const char *text)
{
    tkx__buf_putc(out, '"');
    for (const char *from = text;; text++) {
        unsigned char c = (unsigned char)*text;
        if (c >= ' ' && c != '"' && c != '\\')
            continue;
        tkx__buf_append(out, from, (size_t)(text - from));
        if (!c)
            break;
        if (c < ' ')
            tkx__buf_printf(out, "\\u%04x", c);
        else
            tkx__buf_printf(out, "\\%c", c);
        from = text + 1;
    }
    tkx__buf_putc(out, '"');
}
