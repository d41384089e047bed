/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jv.c - recursive descent over one JSON text; depth is bounded, so is memory (the
 * arena).
 *
 * Strict: RFC 8259 grammar, UTF-8 checked, no byte order mark, no NaN.  A name that comes
 * twice is found by its first place.
 */
#include "mock_server/jv.h"

#include <string.h>

#include "base/error.h"
#include "base/str.h"

enum { MAX_DEPTH = 64, MAX_NUMBER = 64 };

typedef struct reader {
    const char *text;
    const char *at;
    const char *end;
    tkx__arena *arena;
    const char *problem;
    int depth;
} reader;

static bool read_value(reader *r, jv *out);

static bool broken(reader *r, const char *problem)
{
    if (!r->problem)
        r->problem = problem;
    return false;
}

static void skip_space(reader *r)
{
    while (r->at < r->end &&
           (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r'))
        r->at++;
}

static bool is_digit(const reader *r)
{
    return r->at < r->end && *r->at >= '0' && *r->at <= '9';
}

static void skip_digits(reader *r)
{
    while (is_digit(r))
        r->at++;
}

/* Moves past a number of the JSON grammar. */
static bool scan_number(reader *r)
{
    if (r->at < r->end && *r->at == '-')
        r->at++;
    if (!is_digit(r))
        return broken(r, "a number needs a digit");
    if (*r->at == '0')
        r->at++;
    else
        skip_digits(r);
    if (r->at < r->end && *r->at == '.') {
        r->at++;
        if (!is_digit(r))
            return broken(r, "a digit must follow the point");
        skip_digits(r);
    }
    if (r->at < r->end && (*r->at == 'e' || *r->at == 'E')) {
        r->at++;
        if (r->at < r->end && (*r->at == '+' || *r->at == '-'))
            r->at++;
        if (!is_digit(r))
            return broken(r, "an exponent needs a digit");
        skip_digits(r);
    }
    return true;
}

static bool read_hex4(reader *r, unsigned *out)
{
    unsigned v = 0;
    if (r->end - r->at < 4)
        return broken(r, "a short \\u escape");
    for (int i = 0; i < 4; i++) {
        char c = *r->at++;
        unsigned d;
        if (c >= '0' && c <= '9')
            d = (unsigned)(c - '0');
        else if ((c | 32) >= 'a' && (c | 32) <= 'f')
            d = (unsigned)((c | 32) - 'a' + 10);
        else
            return broken(r, "a bad \\u escape");
        v = v * 16 + d;
    }
    *out = v;
    return true;
}

static char *put_utf8(char *to, unsigned cp)
{
    if (cp < 0x80) {
        *to++ = (char)cp;
    } else if (cp < 0x800) {
        *to++ = (char)(0xC0 | cp >> 6);
        *to++ = (char)(0x80 | (cp & 63));
    } else if (cp < 0x10000) {
        *to++ = (char)(0xE0 | cp >> 12);
        *to++ = (char)(0x80 | (cp >> 6 & 63));
        *to++ = (char)(0x80 | (cp & 63));
    } else {
        *to++ = (char)(0xF0 | cp >> 18);
        *to++ = (char)(0x80 | (cp >> 12 & 63));
        *to++ = (char)(0x80 | (cp >> 6 & 63));
        *to++ = (char)(0x80 | (cp & 63));
    }
    return to;
}

static bool read_unicode(reader *r, char **to)
{
    unsigned cp, low;
    if (!read_hex4(r, &cp))
        return false;
    if (cp >= 0xD800 && cp < 0xDC00) {
        if (r->end - r->at < 6 || r->at[0] != '\\' || r->at[1] != 'u')
            return broken(r, "half a surrogate pair");
        r->at += 2;
        if (!read_hex4(r, &low))
            return false;
        if (low < 0xDC00 || low > 0xDFFF)
            return broken(r, "half a surrogate pair");
        cp = 0x10000 + ((cp - 0xD800) << 10) + (low - 0xDC00);
    } else if (cp >= 0xDC00 && cp < 0xE000) {
        return broken(r, "half a surrogate pair");
    }
    *to = put_utf8(*to, cp);
    return true;
}

static bool read_escape(reader *r, char **to)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    const char *hit;
    if (r->at >= r->end)
        return broken(r, "text ends inside a string");
    if (*r->at == 'u') {
        r->at++;
        return read_unicode(r, to);
    }
    hit = *r->at ? strchr(names, *r->at) : NULL;
    if (!hit)
        return broken(r, "an unknown escape");
    *(*to)++ = values[hit - names];
    r->at++;
    return true;
}

/* r->at is behind the opening quote. */
static bool read_string(reader *r, const char **text, size_t *size)
{
    const char *close = r->at;
    char *out, *to;
    while (close < r->end && *close != '"')
        close += *close == '\\' ? 2 : 1;
    if (close >= r->end)
        return broken(r, "text ends inside a string");
    out = to = tkx__arena_alloc(r->arena, (size_t)(close - r->at) + 1, 1);
    if (!out)
        return broken(r, NULL);
    while (*r->at != '"') {
        if ((unsigned char)*r->at < 32)
            return broken(r, "a control character inside a string");
        if (*r->at != '\\') {
            *to++ = *r->at++;
            continue;
        }
        r->at++;
        if (!read_escape(r, &to))
            return false;
    }
    r->at++;
    *to = '\0';
    *text = out;
    *size = (size_t)(to - out);
    if (tkx__utf8_valid_prefix(out, *size) != *size)
        return broken(r, "a string that is not UTF-8");
    return true;
}

/* An array of numbers and nothing else; false (and r unmoved) when it is not one. */
static bool read_packed(reader *r, jv *out)
{
    const char *start = r->at;
    size_t n = 0;
    for (;;) {
        skip_space(r);
        if (!(is_digit(r) || (r->at < r->end && *r->at == '-')) || !scan_number(r))
            break;
        n++;
        skip_space(r);
        if (r->at < r->end && *r->at == ',') {
            r->at++;
            continue;
        }
        if (r->at < r->end && *r->at == ']') {
            out->is_packed = true;
            out->text = start;
            out->size = (size_t)(r->at++ - start);
            out->n = n;
            return true;
        }
        break;
    }
    r->at = start;
    r->problem = NULL;
    return false;
}

/* What follows an item: 1 another one, 0 the closing character, -1 trouble. */
static int after_item(reader *r, char close)
{
    skip_space(r);
    if (r->at < r->end && *r->at == ',') {
        r->at++;
        return 1;
    }
    if (r->at < r->end && *r->at == close) {
        r->at++;
        return 0;
    }
    broken(r, "a comma or the end of the list was expected");
    return -1;
}

static bool read_name(reader *r, jv *item)
{
    size_t size;
    skip_space(r);
    if (r->at >= r->end || *r->at != '"')
        return broken(r, "a name was expected");
    r->at++;
    if (!read_string(r, &item->key, &size))
        return false;
    if (strlen(item->key) != size)
        return broken(r, "a name with a zero byte");
    skip_space(r);
    if (r->at >= r->end || *r->at != ':')
        return broken(r, "a colon was expected");
    r->at++;
    return true;
}

static bool read_items(reader *r, jv *out, char close)
{
    jv **tail = &out->first;
    int more = 1;
    skip_space(r);
    if (r->at < r->end && *r->at == close) {
        r->at++;
        return true;
    }
    while (more == 1) {
        jv *item = tkx__arena_zalloc(r->arena, 1, sizeof *item);
        if (!item)
            return broken(r, NULL);
        if (close == '}' && !read_name(r, item))
            return false;
        if (!read_value(r, item))
            return false;
        *tail = item;
        tail = &item->next;
        out->n++;
        more = after_item(r, close);
    }
    return more == 0;
}

static bool read_word(reader *r, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(r->end - r->at) < n || memcmp(r->at, word, n) != 0)
        return broken(r, "a value was expected");
    r->at += n;
    return true;
}

static bool read_list(reader *r, jv *out)
{
    bool ok;
    char open = *r->at++;
    out->kind = open == '[' ? JV_ARRAY : JV_OBJECT;
    if (open == '[' && read_packed(r, out))
        return true;
    if (++r->depth > MAX_DEPTH)
        return broken(r, "nested too deeply");
    ok = read_items(r, out, open == '[' ? ']' : '}');
    r->depth--;
    return ok;
}

static bool read_value(reader *r, jv *out)
{
    skip_space(r);
    if (r->at >= r->end)
        return broken(r, "text ends where a value was expected");
    switch (*r->at) {
    case '{':
    case '[':
        return read_list(r, out);
    case '"':
        r->at++;
        out->kind = JV_STRING;
        return read_string(r, &out->text, &out->size);
    case 't':
        out->kind = JV_BOOL;
        out->is_true = true;
        return read_word(r, "true");
    case 'f':
        out->kind = JV_BOOL;
        return read_word(r, "false");
    case 'n':
        out->kind = JV_NULL;
        return read_word(r, "null");
    default:
        out->kind = JV_NUMBER;
        out->text = r->at;
        if (!scan_number(r))
            return false;
        out->size = (size_t)(r->at - out->text);
        return true;
    }
}

tkx_status jv_parse(tkx__arena *arena, const char *text, size_t size, const jv **out,
                    tkx_error **err)
{
    reader r = {.text = text, .at = text, .end = text + size, .arena = arena};
    jv *root = tkx__arena_zalloc(arena, 1, sizeof *root);
    bool ok = root && read_value(&r, root);

    if (ok) {
        skip_space(&r);
        if (r.at != r.end)
            ok = broken(&r, "more text behind the value");
    }
    if (ok) {
        *out = root;
        return TKX_OK;
    }
    if (!r.problem)
        return tkx__fail_memory(err);
    return tkx__fail(err, TKX_ERR_PARSE, "JSON at byte %zu: %s", (size_t)(r.at - text),
                     r.problem);
}

const jv *jv_get(const jv *value, const char *key)
{
    if (!value || value->kind != JV_OBJECT)
        return NULL;
    for (const jv *m = value->first; m; m = m->next)
        if (strcmp(m->key, key) == 0)
            return m->kind == JV_NULL ? NULL : m;
    return NULL;
}

const char *jv_get_str(const jv *value, const char *key)
{
    const jv *m = jv_get(value, key);
    return m && m->kind == JV_STRING ? m->text : NULL;
}

/* The spelling as a C string; false when it is longer than any number needs to be. */
static bool spell(const char *text, size_t size, char out[MAX_NUMBER])
{
    if (size >= MAX_NUMBER)
        return false;
    memcpy(out, text, size);
    out[size] = '\0';
    return true;
}

static bool text_i64(const char *text, size_t size, int64_t *out)
{
    char digits[MAX_NUMBER];
    double d;
    if (!spell(text, size, digits))
        return false;
    if (tkx__parse_i64(digits, out))
        return true;
    /* 3.0 and 1e3 are integers too, as Python's json gives them to a validator. */
    if (!tkx__parse_f64(digits, &d) || !(d >= -9007199254740992.0) ||
        !(d <= 9007199254740992.0) || d != (double)(int64_t)d)
        return false;
    *out = (int64_t)d;
    return true;
}

static bool text_f64(const char *text, size_t size, double *out)
{
    char digits[MAX_NUMBER];
    return spell(text, size, digits) && tkx__parse_f64(digits, out);
}

bool jv_i64(const jv *value, int64_t *out)
{
    return value && value->kind == JV_NUMBER && text_i64(value->text, value->size, out);
}

bool jv_bits64(const jv *value, uint64_t *out)
{
    char digits[MAX_NUMBER];
    int64_t negative;
    if (!value || value->kind != JV_NUMBER || !spell(value->text, value->size, digits))
        return false;
    if (tkx__parse_u64(digits, out))
        return true;
    if (!tkx__parse_i64(digits, &negative))
        return false;
    *out = (uint64_t)negative;
    return true;
}

bool jv_f64(const jv *value, double *out)
{
    return value && value->kind == JV_NUMBER && text_f64(value->text, value->size, out);
}

/* The next number of a packed array; at moves behind its comma. */
static const char *next_item(const char **at, const char *end, size_t *size)
{
    const char *start = *at, *stop;
    while (start < end && strchr(" \t\r\n", *start))
        start++;
    stop = start;
    while (stop < end && !strchr(" \t\r\n,", *stop))
        stop++;
    *size = (size_t)(stop - start);
    while (stop < end && *stop != ',')
        stop++;
    *at = stop < end ? stop + 1 : end;
    return start;
}

bool jv_i64s(const jv *value, int64_t *out)
{
    const char *at, *item;
    size_t size;
    if (!value || value->kind != JV_ARRAY || (value->n > 0 && !value->is_packed))
        return false;
    at = value->text;
    for (size_t i = 0; i < value->n; i++) {
        item = next_item(&at, value->text + value->size, &size);
        if (!text_i64(item, size, &out[i]))
            return false;
    }
    return true;
}

bool jv_f32s(const jv *value, float *out)
{
    const char *at, *item;
    size_t size;
    double d;
    if (!value || value->kind != JV_ARRAY || (value->n > 0 && !value->is_packed))
        return false;
    at = value->text;
    for (size_t i = 0; i < value->n; i++) {
        item = next_item(&at, value->text + value->size, &size);
        if (!text_f64(item, size, &d))
            return false;
        out[i] = (float)d;
    }
    return true;
}
