/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reader_string.c - strings: a view where the text can stand for itself, else a copy
 * without escapes in the arena.
 */
#include <string.h>

#include "base/str.h"
#include "json/reader.h"
#include "json/reader_in.h"

#define EACH_BYTE UINT64_C(0x0101010101010101)
#define EACH_TOP UINT64_C(0x8080808080808080)

/* Nonzero when one of eight bytes is a quote, a backslash, a control or not ASCII. */
static uint64_t has_special(uint64_t v)
{
    uint64_t quote = v ^ (EACH_BYTE * '"');
    uint64_t slash = v ^ (EACH_BYTE * '\\');

    return ((quote - EACH_BYTE) | (slash - EACH_BYTE) | (v - EACH_BYTE * 0x20) | v) &
           EACH_TOP;
}

static const char *plain_run(const char *p, const char *end)
{
    while (end - p >= 8) {
        uint64_t v;

        memcpy(&v, p, 8);
        if (has_special(v))
            break;
        p += 8;
    }
    return p;
}

/* From after the opening quote to the closing one; counts escapes.  NULL: no closing. */
static const char *find_end(tkx__json_reader *r, const char *p, bool *has_escapes,
                            bool *is_ascii)
{
    for (;;) {
        p = plain_run(p, r->end);
        if (p == r->end)
            return NULL;
        if (*p == '"')
            return p;
        if ((unsigned char)*p < 0x20) {
            r->at = p;
            tkx__json_fail(r, TKX_ERR_PARSE, "control character in a string");
            return NULL;
        }
        if (*p == '\\') {
            *has_escapes = true;
            if (++p == r->end)
                return NULL;
        }
        if ((unsigned char)*p >= 0x80)
            *is_ascii = false;
        p++;
    }
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Four hex digits at p; -1 when there are not. */
static long hex4(const char *p, const char *end)
{
    long value = 0;

    if (end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(p[i]);

        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

static char *put_utf8(char *to, unsigned long c)
{
    if (c < 0x80) {
        *to++ = (char)c;
    } else if (c < 0x800) {
        *to++ = (char)(0xC0 | c >> 6);
        *to++ = (char)(0x80 | (c & 0x3F));
    } else if (c < 0x10000) {
        *to++ = (char)(0xE0 | c >> 12);
        *to++ = (char)(0x80 | (c >> 6 & 0x3F));
        *to++ = (char)(0x80 | (c & 0x3F));
    } else {
        *to++ = (char)(0xF0 | c >> 18);
        *to++ = (char)(0x80 | (c >> 12 & 0x3F));
        *to++ = (char)(0x80 | (c >> 6 & 0x3F));
        *to++ = (char)(0x80 | (c & 0x3F));
    }
    return to;
}

/* *p stands after "\u"; false on anything but one whole character. */
static bool unescape_unicode(const char **p, const char *end, char **to)
{
    long c = hex4(*p, end);

    if (c < 0)
        return false;
    *p += 4;
    if (c >= 0xDC00 && c <= 0xDFFF)
        return false;
    if (c >= 0xD800 && c <= 0xDBFF) {
        long low;

        if (end - *p < 6 || (*p)[0] != '\\' || (*p)[1] != 'u')
            return false;
        low = hex4(*p + 2, end);
        if (low < 0xDC00 || low > 0xDFFF)
            return false;
        *p += 6;
        c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
    }
    *to = put_utf8(*to, (unsigned long)c);
    return true;
}

/* Unescape [p, end) into to; returns its end, or NULL. */
static char *unescape(tkx__json_reader *r, const char *p, const char *end, char *to)
{
    static const char from_letter[] = "\"\\/bfnrt";
    static const char to_byte[] = "\"\\/\b\f\n\r\t";

    while (p < end) {
        const char *slash = memchr(p, '\\', (size_t)(end - p));
        size_t n = (size_t)((slash ? slash : end) - p);
        const char *letter;

        memcpy(to, p, n);
        to += n;
        if (!slash)
            break;
        p = slash + 2; /* find_end saw a byte after each backslash */
        letter = slash[1] ? strchr(from_letter, slash[1]) : NULL;
        if (letter) {
            *to++ = to_byte[letter - from_letter];
        } else if (slash[1] != 'u' || !unescape_unicode(&p, end, &to)) {
            r->at = slash;
            tkx__json_fail(r, TKX_ERR_PARSE, "bad escape in a string");
            return NULL;
        }
    }
    return to;
}

/* Raw text between the quotes, cursor after the closing one. */
static bool take_quoted(tkx__json_reader *r, tkx__json_text *raw, bool *has_escapes)
{
    bool is_ascii = true;
    const char *from;
    const char *close;

    if (r->status != TKX_OK)
        return false;
    tkx__json_blanks(r);
    if (r->at == r->end || *r->at != '"') {
        tkx__json_fail(r, TKX_ERR_PARSE,
                       r->at == r->end ? "text ends early" : "expected a string");
        return false;
    }
    from = r->at + 1;
    *has_escapes = false;
    close = find_end(r, from, has_escapes, &is_ascii);
    if (!close) {
        tkx__json_fail(r, TKX_ERR_PARSE, "string without an end");
        return false;
    }
    if (!is_ascii) {
        size_t valid = tkx__utf8_valid_prefix(from, (size_t)(close - from));

        if (valid != (size_t)(close - from)) {
            r->at = from + valid;
            tkx__json_fail(r, TKX_ERR_PARSE, "invalid UTF-8 in a string");
            return false;
        }
    }
    *raw = (tkx__json_text){from, (size_t)(close - from)};
    r->at = close + 1;
    return true;
}

/* The text without escapes and with a NUL behind it, in the arena. */
static bool copy_text(tkx__json_reader *r, const tkx__json_text *raw, bool has_escapes,
                      tkx__json_text *text)
{
    char *to = tkx__arena_alloc(r->arena, raw->size + 1, 1);
    char *end;

    if (!to) {
        tkx__json_fail(r, TKX_ERR_NO_MEMORY, "no memory for a string");
        return false;
    }
    if (has_escapes) {
        end = unescape(r, raw->data, raw->data + raw->size, to);
        if (!end)
            return false;
    } else {
        memcpy(to, raw->data, raw->size);
        end = to + raw->size;
    }
    *end = '\0';
    *text = (tkx__json_text){to, (size_t)(end - to)};
    return true;
}

bool tkx__json_read_text(tkx__json_reader *r, tkx__json_text *text)
{
    tkx__json_text raw;
    bool has_escapes;

    *text = (tkx__json_text){"", 0};
    if (!take_quoted(r, &raw, &has_escapes))
        return false;
    if (has_escapes)
        return copy_text(r, &raw, true, text);
    *text = raw;
    return true;
}

bool tkx__json_read_string(tkx__json_reader *r, const char **text)
{
    tkx__json_text raw;
    tkx__json_text copy;
    bool has_escapes;

    *text = NULL;
    if (!take_quoted(r, &raw, &has_escapes) || !copy_text(r, &raw, has_escapes, &copy))
        return false;
    if (memchr(copy.data, '\0', copy.size)) {
        tkx__json_fail(r, TKX_ERR_PARSE, "NUL inside a string");
        return false;
    }
    *text = copy.data;
    return true;
}
