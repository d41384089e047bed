/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backoff.c - the waiting formulas of both retry layers and the Retry-After forms.
 */
#include "api/backoff.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/str.h"

#define MAX_ASKED_MS 60000

/* min(first * 2^n, most); the shift is bounded so that it cannot overflow. */
static int64_t doubled(int64_t first, unsigned n, int64_t most)
{
    if (n > 30)
        return most;
    int64_t d = first << n;
    return d < most ? d : most;
}

/* Rounded up: a wait must not end before its time. */
static int64_t scaled(int64_t ms, double factor)
{
    return (int64_t)ceil((double)ms * factor - 1e-3);
}

int64_t tkx__backoff_inner_ms(unsigned n_retries, double u)
{
    return scaled(doubled(500, n_retries, 10000), 1.0 - 0.25 * u);
}

int64_t tkx__backoff_outer_ms(unsigned n_failures, double u)
{
    return scaled(doubled(1000, n_failures, 30000), u);
}

int64_t tkx__backoff_link_ms(unsigned n_failures)
{
    return doubled(1000, n_failures, 30000);
}

int64_t tkx__backoff_floor_ms(unsigned n_fast, double u)
{
    return scaled(doubled(250, n_fast, 5000), 0.5 + 0.5 * u);
}

int64_t tkx__backoff_sample_ms(unsigned n_attempts, int64_t base_ms, int64_t max_ms,
                               double jitter, double u)
{
    int64_t d = doubled(base_ms, n_attempts > 0 ? n_attempts - 1 : 0, max_ms);

    d += (int64_t)((2.0 * u - 1.0) * jitter * (double)d);
    if (d < 0)
        return 0;
    return d < max_ms ? d : max_ms;
}

static int month_of(const char *name)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

    for (int m = 0; m < 12; m++)
        if (memcmp(names + m * 3, name, 3) == 0)
            return m;
    return -1;
}

int64_t tkx__http_date_ms(const char *text)
{
    struct tm tm = {0};
    char month[4] = "";
    char zone[4] = "";
    const char *comma = strchr(text, ',');

    if (!comma || sscanf(comma + 1, " %2d %3s %4d %2d:%2d:%2d %3s", &tm.tm_mday, month,
                         &tm.tm_year, &tm.tm_hour, &tm.tm_min, &tm.tm_sec, zone) != 7)
        return -1;
    tm.tm_mon = strlen(month) == 3 ? month_of(month) : -1;
    tm.tm_year -= 1900;
    if (tm.tm_mon < 0 || tm.tm_year < 70 ||
        (strcmp(zone, "GMT") != 0 && strcmp(zone, "UTC") != 0))
        return -1;
    time_t t = timegm(&tm);
    return t < 0 ? -1 : (int64_t)t * 1000;
}

static int64_t in_window(double ms)
{
    return ms > 0 && ms <= MAX_ASKED_MS ? (int64_t)ceil(ms) : -1;
}

int64_t tkx__backoff_asked_ms(const tkx__reply *reply, int64_t wall_ms)
{
    double number;
    const char *text = tkx__reply_header(reply, "retry-after-ms");

    if (text && tkx__parse_f64(text, &number))
        return in_window(number);
    text = tkx__reply_header(reply, "retry-after");
    if (!text)
        return -1;
    if (tkx__parse_f64(text, &number))
        return in_window(number * 1000.0);
    int64_t date = tkx__http_date_ms(text);
    return date < 0 ? -1 : in_window((double)(date - wall_ms));
}

bool tkx__status_is_retryable(int http_status)
{
    return http_status == 408 || http_status == 409 || http_status == 429 ||
           http_status >= 500;
}

bool tkx__reply_should_retry(const tkx__reply *reply)
{
    const char *said = tkx__reply_header(reply, "x-should-retry");

    if (said && strcmp(said, "true") == 0)
        return true;
    if (said && strcmp(said, "false") == 0)
        return false;
    return tkx__status_is_retryable(reply->http_status);
}
