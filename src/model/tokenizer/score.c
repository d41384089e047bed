/* SPDX-License-Identifier: Apache-2.0 */
/* score.c - see score.h. */
#include "model/tokenizer/score.h"

#include <stdint.h>

#include "json/decimal.h"

#define LARGEST_POWER 308
#define MANY 1000000 /* digits of an exponent beyond this change nothing */

typedef struct scanned {
    const char *at, *end;
    uint64_t digits;
    int64_t exponent;
    bool is_full; /* 64 bits hold no more digits */
} scanned;

static bool is_digit(const scanned *s)
{
    return s->at < s->end && *s->at >= '0' && *s->at <= '9';
}

static void read_digits(scanned *s, bool is_fraction)
{
    for (; is_digit(s); s->at++) {
        uint64_t digit = (uint64_t)(*s->at - '0');

        s->is_full |= s->digits > (UINT64_MAX - digit) / 10;
        if (!s->is_full)
            s->digits = s->digits * 10 + digit;
        s->exponent += (int)s->is_full - (int)is_fraction;
    }
}

static void read_exponent(scanned *s)
{
    bool is_negative = *s->at == '-';
    int64_t e = 0;

    if (*s->at == '-' || *s->at == '+')
        s->at++;
    for (; is_digit(s); s->at++)
        if (e < MANY)
            e = e * 10 + (*s->at - '0');
    s->exponent += is_negative ? -e : e;
}

static double scaled(uint64_t digits, int64_t exponent)
{
    double value = (double)digits;

    for (; exponent < -LARGEST_POWER && value > 0; exponent += LARGEST_POWER)
        value /= tkx__decimal_to_f64(1, LARGEST_POWER);
    if (value == 0)
        return 0;
    return exponent < 0 ? value / tkx__decimal_to_f64(1, -exponent)
                        : value * tkx__decimal_to_f64(1, exponent);
}

double tkx__score_read(tkx__json_text number)
{
    scanned s = {.at = number.data, .end = number.data + number.size};
    bool is_negative = s.at < s.end && *s.at == '-';
    double value;

    s.at += is_negative;
    read_digits(&s, false);
    if (s.at < s.end && *s.at == '.') {
        s.at++;
        read_digits(&s, true);
    }
    if (s.end - s.at > 1) {
        s.at++;
        read_exponent(&s);
    }
    value = scaled(s.digits, s.exponent);
    return is_negative ? -value : value;
}
