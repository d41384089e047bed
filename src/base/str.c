/* SPDX-License-Identifier: Apache-2.0 */
/* str.c - text helpers.  strtod is locale-dependent, so numbers are checked by shape and
   parsed under the "C" locale. */
#include "base/str.h"

#include <errno.h>
#include <locale.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

bool tkx__starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static unsigned char lower(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
}

bool tkx__equals_nocase(const char *a, const char *b)
{
    while (*a && lower(*a) == lower(*b)) {
        a++;
        b++;
    }
    return lower(*a) == lower(*b);
}

bool tkx__parse_u64(const char *text, uint64_t *out)
{
    uint64_t value = 0;

    if (!*text)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return false;
        if (__builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*text - '0'), &value))
            return false;
    }
    *out = value;
    return true;
}

bool tkx__parse_i64(const char *text, int64_t *out)
{
    bool is_negative = *text == '-';
    uint64_t value;

    if (!tkx__parse_u64(text + is_negative, &value))
        return false;
    if (value > (uint64_t)INT64_MAX + is_negative)
        return false;
    *out = is_negative ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}

static locale_t c_locale;

static void make_c_locale(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

bool tkx__parse_f64(const char *text, double *out)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    locale_t before;
    char *end;
    double value;

    if (!*text || strspn(text, "+-.0123456789eE") != strlen(text))
        return false;
    pthread_once(&once, make_c_locale);
    before = c_locale ? uselocale(c_locale) : (locale_t)0;
    errno = 0;
    value = strtod(text, &end);
    if (before)
        uselocale(before);
    if (*end || end == text)
        return false;
    *out = value;
    return true;
}

/* Length of the well-formed sequence at p, 0 when there is none (Unicode table 3-7). */
static size_t utf8_sequence(const unsigned char *p, size_t n)
{
    unsigned lo = 0x80;
    unsigned hi = 0xBF;
    size_t length;

    if (p[0] < 0x80)
        return 1;
    if (p[0] < 0xC2 || p[0] > 0xF4)
        return 0;
    length = p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
    if (length > n)
        return 0;
    if (p[0] == 0xE0)
        lo = 0xA0;
    if (p[0] == 0xED)
        hi = 0x9F;
    if (p[0] == 0xF0)
        lo = 0x90;
    if (p[0] == 0xF4)
        hi = 0x8F;
    if (p[1] < lo || p[1] > hi)
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    return length;
}

size_t tkx__utf8_valid_prefix(const char *bytes, size_t n)
{
    size_t at = 0;

    while (at < n) {
        size_t length = utf8_sequence((const unsigned char *)bytes + at, n - at);

        if (!length)
            break;
        at += length;
    }
    return at;
}

size_t tkx__base64_size(size_t n)
{
    return (n + 2) / 3 * 4;
}

void tkx__base64_encode(const void *bytes, size_t n, char *out)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *p = bytes;

    for (size_t i = 0; i < n; i += 3) {
        size_t left = n - i;
        uint32_t v = (uint32_t)p[i] << 16;

        if (left > 1)
            v |= (uint32_t)p[i + 1] << 8;
        if (left > 2)
            v |= p[i + 2];
        *out++ = digits[v >> 18];
        *out++ = digits[v >> 12 & 63];
        *out++ = left > 1 ? digits[v >> 6 & 63] : '=';
        *out++ = left > 2 ? digits[v & 63] : '=';
    }
}

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    if (c == '/' || c == '_')
        return 63;
    return -1;
}

ptrdiff_t tkx__base64_decode(const char *text, size_t n, void *out)
{
    unsigned char *to = out;
    uint32_t v = 0;
    int n_bits = 0;

    if (n % 4 == 0) {
        if (n && text[n - 1] == '=')
            n--;
        if (n && text[n - 1] == '=')
            n--;
    }
    if (n % 4 == 1)
        return -1;
    for (size_t i = 0; i < n; i++) {
        int digit = base64_digit(text[i]);

        if (digit < 0)
            return -1;
        v = v << 6 | (uint32_t)digit;
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            *to++ = (unsigned char)(v >> n_bits);
        }
    }
    return to - (unsigned char *)out;
}
