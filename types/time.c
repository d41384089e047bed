/* SPDX-License-Identifier: Apache-2.0 */
/* time.c - RFC 3339 without the C library's calendar (which knows zones and locales). */
#include "types/time.h"

#include <math.h>
#include <stdio.h>

typedef struct cursor {
    const char *at;
    const char *end;
} cursor;

static bool digits(cursor *c, int n, int *out)
{
    *out = 0;
    for (int i = 0; i < n; i++) {
        if (c->at == c->end || *c->at < '0' || *c->at > '9')
            return false;
        *out = *out * 10 + (*c->at++ - '0');
    }
    return true;
}

static bool take(cursor *c, const char *any_of)
{
    for (; c->at < c->end && *any_of; any_of++)
        if (*c->at == *any_of) {
            c->at++;
            return true;
        }
    return false;
}

static bool is_leap(int y)
{
    return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

static int days_in_month(int y, int m)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    return days[m - 1] + (m == 2 && is_leap(y));
}

/* Days since 1970 of a date in the Gregorian calendar; years from March. */
static int64_t days_from_date(int y, int m, int d)
{
    int64_t year = y - (m <= 2);
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;

    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 +
           day_of_year - 719468;
}

static bool fraction(cursor *c, int64_t *us)
{
    int64_t unit = 100000;

    *us = 0;
    if (!take(c, ".,"))
        return true;
    if (c->at == c->end || *c->at < '0' || *c->at > '9')
        return false;
    for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++, unit /= 10)
        *us += (*c->at - '0') * unit;
    return true;
}

static bool offset(cursor *c, int64_t *seconds)
{
    int h;
    int m;
    bool is_negative;

    *seconds = 0;
    if (c->at == c->end || take(c, "Zz"))
        return true;
    is_negative = *c->at == '-';
    if (!take(c, "+-") || !digits(c, 2, &h))
        return false;
    take(c, ":");
    if (!digits(c, 2, &m) || h > 23 || m > 59)
        return false;
    *seconds = (is_negative ? -1 : 1) * (h * 3600 + m * 60);
    return true;
}

/* What stands behind the date: nothing (midnight), hours and minutes, or all of it. */
static bool clock_time(cursor *c, int *h, int *mi, int *s, int64_t *us)
{
    *h = *mi = *s = 0;
    *us = 0;
    if (c->at == c->end)
        return true;
    if (!take(c, "Tt ") || !digits(c, 2, h) || !take(c, ":") || !digits(c, 2, mi))
        return false;
    return !take(c, ":") || (digits(c, 2, s) && fraction(c, us));
}

bool tkx__time_of_number(double value, tkx_time_us *out)
{
    const double most_seconds = 2e10; /* beyond that they are milliseconds */
    double us = fabs(value) > most_seconds ? value * 1e3 : value * 1e6;

    if (!(fabs(us) < 9e18))
        return false;
    *out = llrint(us);
    return true;
}

bool tkx__time_parse(const char *text, size_t size, tkx_time_us *out)
{
    cursor c = {text, text + size};
    int y;
    int mo;
    int d;
    int h;
    int mi;
    int s;
    int64_t us;
    int64_t zone;

    if (!digits(&c, 4, &y) || !take(&c, "-") || !digits(&c, 2, &mo) || !take(&c, "-") ||
        !digits(&c, 2, &d) || !clock_time(&c, &h, &mi, &s, &us) || !offset(&c, &zone) ||
        c.at != c.end)
        return false;
    if (mo < 1 || mo > 12 || d < 1 || d > days_in_month(y, mo) || h > 23 || mi > 59 ||
        s > 60)
        return false;
    *out =
        (days_from_date(y, mo, d) * 86400 + h * 3600 + mi * 60 + s - zone) * 1000000 + us;
    return true;
}

void tkx__time_print(tkx_time_us time, char *to)
{
    int64_t us = (time % 1000000 + 1000000) % 1000000;
    int64_t seconds = (time - us) / 1000000;
    int64_t rest = (seconds % 86400 + 86400) % 86400;
    int64_t days = (seconds - rest) / 86400 + 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t doe = days - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    int64_t m = mp < 10 ? mp + 3 : mp - 9;

    snprintf(to, TKX__TIME_TEXT_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ",
             (int)(yoe + era * 400 + (m <= 2)), (int)m,
             (int)(doy - (153 * mp + 2) / 5 + 1), (int)(rest / 3600),
             (int)(rest / 60 % 60), (int)(rest % 60), (int)us);
}
