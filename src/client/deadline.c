/* SPDX-License-Identifier: Apache-2.0 */
/* deadline.c - waiting on the monotonic clock. */
#include "client/deadline.h"

void tkx__deadline_after(int64_t ms, struct timespec *at)
{
    const int64_t max_ms = INT64_C(1000) * 3600 * 24 * 365 * 100;

    if (ms > max_ms)
        ms = max_ms;
    clock_gettime(CLOCK_MONOTONIC, at);
    at->tv_sec += (time_t)(ms / 1000);
    at->tv_nsec += (long)(ms % 1000) * 1000000;
    if (at->tv_nsec >= 1000000000) {
        at->tv_sec++;
        at->tv_nsec -= 1000000000;
    }
}

void tkx__cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attr);
    pthread_condattr_destroy(&attr);
}
