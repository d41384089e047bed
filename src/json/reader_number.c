/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reader_number.c - numbers and arrays of numbers.
 *
 * One scan checks the grammar and collects up to 19 digits and the decimal exponent; that
 * is exact for all but very long texts, which go to the base layer's strtod.
 */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "json/decimal.h"
#include "json/reader.h"
#include "json/reader_in.h"

typedef struct scanned {
    const char *from;
    uint64_t digits; /* the first 19 significant ones */
    int64_t exponent;
    bool is_negative;
    bool is_whole; /* no fraction, no exponent */
    bool is_cut;   /* more than 19 digits */
} scanned;

/* The value of eight digits, when all eight bytes are digits (little-endian trick). */
static bool eight_digits(const char *p, uint32_t *value)
{
    uint64_t v;

    memcpy(&v, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    if (((v & 0xF0F0F0F0F0F0F0F0U) |
         (((v + 0x0606060606060606U) & 0xF0F0F0F0F0F0F0F0U) >> 4)) != 0x3333333333333333U)
        return false;
    v = (v & 0x0F0F0F0F0F0F0F0FU) * 2561 >> 8;
    v = (v & 0x00FF00FF00FF00FFU) * 6553601 >> 16;
    *value = (uint32_t)((v & 0x0000FFFF0000FFFFU) * 42949672960001U >> 32);
    return true;
}

static int n_digits(uint32_t v)
{
    int n = 0;

    for (; v; v /= 10)
        n++;
    return n;
}

/* Digits from p; counts significant ones (leading zeros of the number do not count). */
static const char *scan_digits(const char *p, const char *end, scanned *s, int *n_kept)
{
    uint32_t eight;

    while (end - p >= 8 && *n_kept <= 11 && eight_digits(p, &eight)) {
        *n_kept += s->digits ? 8 : n_digits(eight);
        s->digits = s->digits * 100000000U + eight;
        p += 8;
    }
    for (; p < end && tkx__json_is_digit(*p); p++) {
        if (*n_kept < 19) {
            s->digits = s->digits * 10 + (uint64_t)(*p - '0');
            *n_kept += s->digits != 0;
        } else {
            s->is_cut = true;
        }
    }
    return p;
}

static const char *scan_exponent(const char *p, const char *end, scanned *s)
{
    bool is_negative;
    int64_t e = 0;

    s->is_whole = false;
    p++;
    is_negative = p < end && *p == '-';
    if (p < end && (*p == '-' || *p == '+'))
        p++;
    if (p == end || !tkx__json_is_digit(*p))
        return NULL;
    for (; p < end && tkx__json_is_digit(*p); p++)
        if (e < 100000000)
            e = e * 10 + (*p - '0');
    s->exponent += is_negative ? -e : e;
    return p;
}

/* NULL: not a number. */
static const char *scan_number(const char *p, const char *end, scanned *s)
{
    int n_kept = 0;
    const char *dot;

    memset(s, 0, sizeof *s);
    s->from = p;
    s->is_whole = true;
    s->is_negative = p < end && *p == '-';
    p += s->is_negative;
    if (p == end || !tkx__json_is_digit(*p))
        return NULL;
    if (*p == '0') {
        p++;
        if (p < end && tkx__json_is_digit(*p))
            return NULL; /* a leading zero */
    } else {
        p = scan_digits(p, end, s, &n_kept);
    }
    if (p < end && *p == '.') {
        dot = ++p;
        s->is_whole = false;
        p = scan_digits(p, end, s, &n_kept);
        if (p == dot)
            return NULL;
        s->exponent = -(p - dot);
    }
    if (p < end && (*p == 'e' || *p == 'E'))
        return scan_exponent(p, end, s);
    return p;
}

/* The long way, for more digits than 64 bits hold.  at is the end of the text. */
static double parse_long(tkx__json_reader *r, const scanned *s, const char *at)
{
    size_t n = (size_t)(at - s->from);
    char *text = tkx__malloc(n + 1);
    double value = 0;

    if (!text) {
        tkx__json_fail(r, TKX_ERR_NO_MEMORY, "no memory for a number");
        return 0;
    }
    memcpy(text, s->from, n);
    text[n] = '\0';
    if (!tkx__parse_f64(text, &value))
        tkx__json_fail(r, TKX_ERR_PARSE, "bad number");
    tkx__free(text);
    return value;
}

static double to_f64(tkx__json_reader *r, const scanned *s, const char *at)
{
    double value;

    if (s->is_cut)
        return parse_long(r, s, at);
    if (s->exponent == 0 && s->digits < UINT64_C(1) << 53)
        value = (double)s->digits;
    else
        value = tkx__decimal_to_f64(s->digits, s->exponent);
    return s->is_negative ? -value : value;
}

static bool bare_word(tkx__json_reader *r, double *value)
{
    if (!(r->flags & TKX__JSON_LENIENT))
        return false;
    if (tkx__json_take_word(r, "NaN"))
        *value = NAN;
    else if (tkx__json_take_word(r, "Infinity"))
        *value = INFINITY;
    else if (tkx__json_take_word(r, "-Infinity"))
        *value = -INFINITY;
    else
        return false;
    return true;
}

/* Digits of one whole number as an exact integer, else a double. */
static void classify(tkx__json_reader *r, const scanned *s, const char *at,
                     tkx__json_number *out)
{
    uint64_t limit = (uint64_t)INT64_MAX + s->is_negative;
    uint64_t wide = 0;
    bool is_exact = s->is_whole;

    out->f64 = to_f64(r, s, at);
    for (const char *p = s->from + s->is_negative; is_exact && s->is_cut && p < at; p++)
        is_exact = !__builtin_mul_overflow(wide, 10u, &wide) &&
                   !__builtin_add_overflow(wide, (uint64_t)(*p - '0'), &wide);
    if (!s->is_cut)
        wide = s->digits;
    if (is_exact && wide <= limit) {
        out->kind = TKX__JSON_I64;
        out->i64 = s->is_negative ? (int64_t)(0 - wide) : (int64_t)wide;
    } else if (is_exact && !s->is_negative) {
        out->kind = TKX__JSON_U64;
        out->u64 = wide;
    } else {
        out->kind = TKX__JSON_F64;
    }
}

bool tkx__json_read_number(tkx__json_reader *r, tkx__json_number *value)
{
    scanned s;
    const char *at;

    memset(value, 0, sizeof *value);
    if (r->status != TKX_OK)
        return false;
    tkx__json_blanks(r);
    if (bare_word(r, &value->f64)) {
        value->kind = TKX__JSON_F64;
        return true;
    }
    at = scan_number(r->at, r->end, &s);
    if (!at) {
        tkx__json_fail(r, TKX_ERR_PARSE,
                       r->at == r->end ? "text ends early" : "expected a number");
        return false;
    }
    classify(r, &s, at, value);
    if (r->status != TKX_OK)
        return false;
    r->at = at;
    return true;
}

static bool refuse_number(tkx__json_reader *r, const char *at, const char *problem)
{
    r->at = at;
    tkx__json_fail(r, TKX_ERR_PARSE, problem);
    return false;
}

/* A double that names one integer exactly. */
static bool is_whole_f64(double v)
{
    return v >= -9007199254740992.0 && v <= 9007199254740992.0 && (double)(int64_t)v == v;
}

bool tkx__json_read_i64(tkx__json_reader *r, int64_t *value)
{
    tkx__json_number n;
    const char *from;

    *value = 0;
    if (r->status != TKX_OK)
        return false;
    tkx__json_blanks(r);
    from = r->at;
    if (!tkx__json_lax_number(r, &n) && !tkx__json_read_number(r, &n))
        return false;
    if (n.kind == TKX__JSON_U64)
        return refuse_number(r, from, "integer beyond 64 bits");
    if (n.kind == TKX__JSON_F64) {
        if (!is_whole_f64(n.f64))
            return refuse_number(r, from, "expected an integer of 64 bits");
        n.i64 = (int64_t)n.f64;
    }
    *value = n.i64;
    return true;
}

bool tkx__json_read_u64(tkx__json_reader *r, uint64_t *value)
{
    tkx__json_number n;
    const char *from;

    *value = 0;
    if (r->status != TKX_OK)
        return false;
    tkx__json_blanks(r);
    from = r->at;
    if (!tkx__json_lax_number(r, &n) && !tkx__json_read_number(r, &n))
        return false;
    if (n.kind == TKX__JSON_F64) {
        if (!is_whole_f64(n.f64))
            return refuse_number(r, from, "expected an integer of 64 bits");
        n.kind = TKX__JSON_I64;
        n.i64 = (int64_t)n.f64;
    }
    if (n.kind == TKX__JSON_I64 && n.i64 < 0)
        return refuse_number(r, from, "expected a number that is not negative");
    *value = n.kind == TKX__JSON_U64 ? n.u64 : (uint64_t)n.i64;
    return true;
}

/* null and what else may stand for a number, where lenient. */
static bool loose_float(tkx__json_reader *r, double *value)
{
    tkx__json_number n;

    *value = NAN;
    if (*r->at == 'n')
        return tkx__json_take_null(r);
    if (!tkx__json_lax_number(r, &n))
        return false;
    *value = n.f64;
    return true;
}

bool tkx__json_read_f64(tkx__json_reader *r, double *value)
{
    tkx__json_number n;
    scanned s;
    const char *at;

    *value = 0;
    if (r->status != TKX_OK)
        return false;
    tkx__json_blanks(r);
    at = scan_number(r->at, r->end, &s);
    if (at) {
        *value = to_f64(r, &s, at);
        r->at = at;
        return r->status == TKX_OK;
    }
    if (r->at < r->end && r->flags & TKX__JSON_LENIENT && loose_float(r, value))
        return true;
    *value = 0;
    if (!tkx__json_read_number(r, &n))
        return false;
    *value = n.f64;
    return true;
}

/*
 * Upper bound of the elements of the array that begins at r->at: commas up to the first
 * closing bracket, plus one.  Arrays of numbers hold no other brackets.
 */
static size_t bound_elements(const tkx__json_reader *r)
{
    size_t n = 1;
    const char *close = memchr(r->at, ']', (size_t)(r->end - r->at));
    const char *end = close ? close : r->end;

    for (const char *p = r->at; p < end; p++)
        n += *p == ',';
    return n;
}

static void *new_array(tkx__json_reader *r, size_t element_size)
{
    void *values;

    if (!tkx__json_read_array(r))
        return NULL;
    values = tkx__arena_alloc(r->arena, bound_elements(r), element_size);
    if (!values)
        tkx__json_fail(r, TKX_ERR_NO_MEMORY, "no memory for an array");
    return values;
}

/* "123," and "-123]": the usual element, taken without the general scan. */
static bool short_integer(tkx__json_reader *r, int64_t *value)
{
    const char *p = r->at;
    bool is_negative = p < r->end && *p == '-';
    int64_t v = 0;
    const char *from;

    p += is_negative;
    from = p;
    while (p < r->end && p - from < 18 && tkx__json_is_digit(*p))
        v = v * 10 + (*p++ - '0');
    if (p == from || p == r->end || (*p != ',' && *p != ']') ||
        (*from == '0' && p - from > 1))
        return false;
    *value = is_negative ? -v : v;
    r->at = p;
    return true;
}

bool tkx__json_read_i64s(tkx__json_reader *r, int64_t **values, size_t *count)
{
    int64_t *to = new_array(r, sizeof *to);
    size_t n = 0;

    *values = NULL;
    *count = 0;
    if (!to)
        return false;
    while (tkx__json_read_element(r)) {
        if (!short_integer(r, &to[n]) && !tkx__json_read_i64(r, &to[n]))
            return false;
        n++;
    }
    *values = to;
    *count = n;
    return r->status == TKX_OK;
}

bool tkx__json_read_i32s(tkx__json_reader *r, int32_t **values, size_t *count)
{
    int32_t *to = new_array(r, sizeof *to);
    size_t n = 0;
    int64_t v;

    *values = NULL;
    *count = 0;
    if (!to)
        return false;
    while (tkx__json_read_element(r)) {
        if (!short_integer(r, &v) && !tkx__json_read_i64(r, &v))
            return false;
        if (v < INT32_MIN || v > INT32_MAX)
            return refuse_number(r, r->at, "integer beyond 32 bits");
        to[n++] = (int32_t)v;
    }
    *values = to;
    *count = n;
    return r->status == TKX_OK;
}

bool tkx__json_read_f32s(tkx__json_reader *r, float **values, size_t *count)
{
    float *to = new_array(r, sizeof *to);
    size_t n = 0;
    double v;

    *values = NULL;
    *count = 0;
    if (!to)
        return false;
    while (tkx__json_read_element(r)) {
        if (!tkx__json_read_f64(r, &v))
            return false;
        to[n++] = (float)v;
    }
    *values = to;
    *count = n;
    return r->status == TKX_OK;
}

bool tkx__json_read_f64s(tkx__json_reader *r, double **values, size_t *count)
{
    double *to = new_array(r, sizeof *to);
    size_t n = 0;

    *values = NULL;
    *count = 0;
    if (!to)
        return false;
    while (tkx__json_read_element(r))
        if (!tkx__json_read_f64(r, &to[n++]))
            return false;
    *values = to;
    *count = n;
    return r->status == TKX_OK;
}
