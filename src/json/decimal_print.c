/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decimal_print.c - the shortest decimal text of a float, and integers.
 *
 * The method is Giulietti's Schubfach: scale the value and its two rounding bounds by a
 * power of ten with a 128-bit (float32: 64-bit) factor rounded up, keep a sticky bit, and
 * take the candidate with fewest digits inside the bounds, the nearest of two.
 */
#include <string.h>

#include "json/decimal.h"
#include "json/pow10.h"

typedef struct decimal {
    uint64_t digits; /* value = digits * 10^exponent */
    int exponent;
} decimal;

/* How a float of either width is cut up: value = c * 2^q. */
typedef struct binary {
    uint64_t c;
    int q;
    bool is_lower_closer; /* a power of two: the gap below is half the gap above */
} binary;

static int floor_log2_pow10(int e)
{
    return (e * 1741647) >> 19;
}

static tkx__pow10 power_rounded_up(int k)
{
    tkx__pow10 power = tkx__pow10_table[k - TKX__POW10_MIN];

    if ((k < 0 || k > 55) && ++power.lo == 0)
        power.hi++;
    return power;
}

/* The high part of g * cp, its lowest bit set when anything below was lost. */
static uint64_t round_to_odd_f64(tkx__pow10 g, uint64_t cp)
{
    tkx__u128 x = (tkx__u128)g.lo * cp;
    tkx__u128 y = (tkx__u128)g.hi * cp + (uint64_t)(x >> 64);

    return (uint64_t)(y >> 64) | ((uint64_t)y > 1);
}

static uint64_t round_to_odd_f32(uint64_t g, uint64_t cp)
{
    tkx__u128 p = (tkx__u128)g * cp;

    return (uint64_t)(p >> 64) | ((uint32_t)(p >> 32) > 1);
}

/* vb is 4 * v * 10^-k; lower and upper are the bounds, already made inclusive. */
static decimal choose(uint64_t vb, uint64_t lower, uint64_t upper, int k)
{
    uint64_t s = vb / 4;
    bool is_lower_in;
    bool is_upper_in;
    uint64_t mid;

    if (s >= 10) {
        uint64_t sp = s / 10;

        is_lower_in = lower <= 40 * sp;
        is_upper_in = 40 * sp + 40 <= upper;
        if (is_lower_in != is_upper_in)
            return (decimal){sp + is_upper_in, k + 1};
    }
    is_lower_in = lower <= 4 * s;
    is_upper_in = 4 * s + 4 <= upper;
    if (is_lower_in != is_upper_in)
        return (decimal){s + is_upper_in, k};
    mid = 4 * s + 2;
    return (decimal){s + (vb > mid || (vb == mid && (s & 1))), k};
}

static decimal shortest(binary b, bool is_f32)
{
    bool is_even = (b.c & 1) == 0;
    uint64_t left = 4 * b.c - 2 + b.is_lower_closer;
    uint64_t right = 4 * b.c + 2;
    int k = (b.q * 1262611 - (b.is_lower_closer ? 524031 : 0)) >> 22;
    int h = b.q + floor_log2_pow10(-k) + 1;
    tkx__pow10 g = power_rounded_up(-k);
    uint64_t v[3];

    if (is_f32) {
        uint64_t top = tkx__pow10_table[-k - TKX__POW10_MIN].hi +
                       (tkx__pow10_table[-k - TKX__POW10_MIN].lo != 0 || -k < 0);

        v[0] = round_to_odd_f32(top, left << h);
        v[1] = round_to_odd_f32(top, (4 * b.c) << h);
        v[2] = round_to_odd_f32(top, right << h);
    } else {
        v[0] = round_to_odd_f64(g, left << h);
        v[1] = round_to_odd_f64(g, (4 * b.c) << h);
        v[2] = round_to_odd_f64(g, right << h);
    }
    return choose(v[1], v[0] + !is_even, v[2] - !is_even, k);
}

/* "00" to "99" */
static const char pairs[201] = "00010203040506070809101112131415161718192021222324"
                               "25262728293031323334353637383940414243444546474849"
                               "50515253545556575859606162636465666768697071727374"
                               "75767778798081828384858687888990919293949596979899";

static int count_digits(uint64_t v)
{
    static const uint64_t powers[] = {
        UINT64_C(1),
        UINT64_C(10),
        UINT64_C(100),
        UINT64_C(1000),
        UINT64_C(10000),
        UINT64_C(100000),
        UINT64_C(1000000),
        UINT64_C(10000000),
        UINT64_C(100000000),
        UINT64_C(1000000000),
        UINT64_C(10000000000),
        UINT64_C(100000000000),
        UINT64_C(1000000000000),
        UINT64_C(10000000000000),
        UINT64_C(100000000000000),
        UINT64_C(1000000000000000),
        UINT64_C(10000000000000000),
        UINT64_C(100000000000000000),
        UINT64_C(1000000000000000000),
        UINT64_C(10000000000000000000),
    };
    int log2 = 63 - __builtin_clzll(v | 1);
    int guess = (log2 + 1) * 1233 >> 12;

    return guess + (guess < 20 && v >= powers[guess]) + (v == 0);
}

/* Exactly n digits of v. */
static void put_digits(uint64_t v, int n, char *to)
{
    char *p = to + n;

    while (v >= 100) {
        p -= 2;
        memcpy(p, pairs + v % 100 * 2, 2);
        v /= 100;
    }
    if (v >= 10)
        memcpy(p - 2, pairs + v * 2, 2);
    else
        p[-1] = (char)('0' + v);
}

size_t tkx__decimal_print_u64(uint64_t value, char *to)
{
    int n = count_digits(value);

    put_digits(value, n, to);
    return (size_t)n;
}

size_t tkx__decimal_print_i64(int64_t value, char *to)
{
    if (value >= 0)
        return tkx__decimal_print_u64((uint64_t)value, to);
    *to = '-';
    return 1 + tkx__decimal_print_u64(0 - (uint64_t)value, to + 1);
}

static size_t put_exponent(int e, char *to)
{
    size_t n = 0;

    to[n++] = 'e';
    if (e < 0)
        to[n++] = '-';
    return n + tkx__decimal_print_u64((uint64_t)(e < 0 ? -e : e), to + n);
}

/* Plain for values from 1e-4 to 1e16, else d.ddde+x, as most JSON writers do. */
static size_t layout(decimal d, char *to)
{
    char digits[20] = "0";
    int n;
    int point; /* digits before the decimal point */

    while (d.digits % 10 == 0 && d.digits) {
        d.digits /= 10;
        d.exponent++;
    }
    n = count_digits(d.digits);
    put_digits(d.digits, n, digits);
    point = n + d.exponent;
    if (point > 16 || point < -3) {
        size_t at = 0;

        to[at++] = digits[0];
        if (n > 1) {
            to[at++] = '.';
            memcpy(to + at, digits + 1, (size_t)n - 1);
            at += (size_t)n - 1;
        }
        return at + put_exponent(point - 1, to + at);
    }
    if (point <= 0) {
        memcpy(to, "0.0000", 6);
        memcpy(to + 2 - point, digits, (size_t)n);
        return (size_t)(2 - point) + (size_t)n;
    }
    if (point >= n) {
        memcpy(to, digits, (size_t)n);
        memset(to + n, '0', (size_t)(point - n));
        memcpy(to + point, ".0", 2);
        return (size_t)point + 2;
    }
    memcpy(to, digits, (size_t)point);
    to[point] = '.';
    memcpy(to + point + 1, digits + point, (size_t)(n - point));
    return (size_t)n + 1;
}

/* Whole numbers below 1e16 need no search. */
static size_t print_whole(uint64_t value, char *to)
{
    size_t n = tkx__decimal_print_u64(value, to);

    memcpy(to + n, ".0", 2);
    return n + 2;
}

size_t tkx__decimal_print_f64(double value, char *to)
{
    uint64_t bits;
    uint64_t fraction;
    int exponent;
    size_t sign;
    binary b;

    memcpy(&bits, &value, sizeof bits);
    fraction = bits & ((UINT64_C(1) << 52) - 1);
    exponent = (int)(bits >> 52 & 0x7FF);
    sign = bits >> 63;
    if (sign)
        *to++ = '-';
    value = sign ? -value : value;
    if (value < 1e15 && (double)(uint64_t)value == value)
        return sign + print_whole((uint64_t)value, to);
    b.c = exponent ? fraction | UINT64_C(1) << 52 : fraction;
    b.q = (exponent ? exponent : 1) - 1075;
    b.is_lower_closer = fraction == 0 && exponent > 1;
    return sign + layout(shortest(b, false), to);
}

size_t tkx__decimal_print_f32(float value, char *to)
{
    uint32_t bits;
    uint32_t fraction;
    int exponent;
    size_t sign;
    binary b;

    memcpy(&bits, &value, sizeof bits);
    fraction = bits & ((1U << 23) - 1);
    exponent = (int)(bits >> 23 & 0xFF);
    sign = bits >> 31;
    if (sign)
        *to++ = '-';
    value = sign ? -value : value;
    if (value < 16777216.0f && (float)(uint32_t)value == value)
        return sign + print_whole((uint32_t)value, to);
    b.c = exponent ? fraction | 1U << 23 : fraction;
    b.q = (exponent ? exponent : 1) - 150;
    b.is_lower_closer = fraction == 0 && exponent > 1;
    return sign + layout(shortest(b, true), to);
}
