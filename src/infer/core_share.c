// SPDX-License-Identifier: Apache-2.0
/*
 * core_share.c - when to yield.
 *
 * The kernel counts how often it took the core from a thread.  When the count grew since
 * the last look, the time the thread had run until then is about its slice, and it yields
 * after three quarters of that from now on.  Yields that somebody took lengthen the time
 * a little, so that it follows the slice; some in a row that nobody took end it.
 */
#include "infer/core_share.h"

#include <sched.h>
#include <time.h>

#include <sys/resource.h>

#define LOOK_EVERY_NS 500000 /* the count is read by a call of the kernel */
#define LEAST_NS 500000
#define MOST_NS 20000000
#define TAKEN_NS 100000 /* a yield that took longer was taken by somebody */
#define MAX_IN_VAIN 3

int64_t tkx__core_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void tkx__core_yield(void)
{
    (void)sched_yield();
}

static long times_lost(void)
{
#if defined(RUSAGE_THREAD)
    struct rusage r;

    if (getrusage(RUSAGE_THREAD, &r) == 0)
        return r.ru_nivcsw;
#endif
    return 0;
}

static int64_t clamp(int64_t ns)
{
    return ns < LEAST_NS ? LEAST_NS : ns > MOST_NS ? MOST_NS : ns;
}

static void lost(tkx__core_share *s, int64_t now, long n_lost)
{
    int64_t slice = clamp((s->seen - s->since) / 4 * 3);

    s->most = s->most && s->most < slice ? s->most : slice;
    s->n_lost = n_lost;
    s->n_in_vain = 0;
    s->since = now;
}

static void give_way(tkx__core_share *s, int64_t now)
{
    int64_t back;

    tkx__core_yield();
    back = tkx__core_now();
    if (back - now > TAKEN_NS) {
        s->most = clamp(s->most + s->most / 16);
        s->n_in_vain = 0;
    } else if (++s->n_in_vain == MAX_IN_VAIN) {
        s->most = 0;
        s->n_in_vain = 0;
    }
    s->n_lost = times_lost(); /* a yield counts, too */
    s->since = back;
    s->seen = back;
}

void tkx__core_share_look(tkx__core_share *s)
{
    int64_t now = tkx__core_now();
    long n_lost;

    if (now - s->seen < LOOK_EVERY_NS)
        return;
    n_lost = times_lost();
    if (n_lost != s->n_lost)
        lost(s, now, n_lost);
    else if (s->most && now - s->since >= s->most)
        give_way(s, now);
    else
        s->seen = now;
    if (s->seen < now)
        s->seen = now;
}
