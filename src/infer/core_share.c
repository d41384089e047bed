// SPDX-License-Identifier: Apache-2.0
/*
 * core_share.c - when to yield, and when to part.
 *
 * The kernel counts how often it took the core from a thread.  When the count grew since
 * the last look, the time the thread had run until then is about its slice, and it yields
 * after three quarters of that from now on.  Yields that somebody took lengthen the time
 * a little, so that it follows the slice; some in a row that nobody took end it.
 */
#if defined(__linux__)
#define _GNU_SOURCE /* the core of a thread, and which it may have */
#endif
#include "infer/core_share.h"

#include <sched.h>
#include <time.h>

#include <sys/resource.h>

#define LOOK_EVERY_NS 500000 /* the count is read by a call of the kernel */
#define LEAST_NS 500000
#define MOST_NS 20000000
#define TAKEN_NS 100000 /* a yield that took longer was taken by somebody */
#define MAX_IN_VAIN 3
#define MAX_STACKED 2

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

/* ---- giving way ---- */

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

/* Returns when the thread has the core back. */
static int64_t give_way(tkx__core_share *s, int64_t now)
{
    tkx__core_yield();
    s->since = tkx__core_now();
    if (s->since - now > TAKEN_NS) {
        s->most = clamp(s->most + s->most / 16);
        s->n_in_vain = 0;
    } else if (++s->n_in_vain == MAX_IN_VAIN) {
        s->most = 0;
        s->n_in_vain = 0;
    }
    s->n_lost = times_lost(); /* a yield counts, too */
    return s->since;
}

/* ---- parting ---- */

#if defined(__linux__)

/* To a core that no thread of the pool was seen on, if there is one it may have. */
static void move_away(const tkx__core_share *all, size_t n)
{
    cpu_set_t allowed;
    cpu_set_t empty;

    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        return;
    empty = allowed;
    for (size_t i = 0; i < n; i++) {
        int place = atomic_load_explicit(&all[i].place, memory_order_relaxed);

        if (place > 0 && place <= CPU_SETSIZE)
            CPU_CLR((size_t)place - 1, &empty);
    }
    if (CPU_COUNT(&empty) == 0 || sched_setaffinity(0, sizeof empty, &empty) != 0)
        return;
    (void)sched_setaffinity(0, sizeof allowed, &allowed); /* it may go on from there */
}

/* The thread of the higher number goes. */
static void part(tkx__core_share *all, size_t n, size_t mine)
{
    tkx__core_share *s = &all[mine];
    int place = sched_getcpu() + 1;
    bool is_stacked = false;

    for (size_t i = 0; i < mine; i++)
        is_stacked = is_stacked ||
                     atomic_load_explicit(&all[i].place, memory_order_relaxed) == place;
    s->n_stacked = is_stacked ? s->n_stacked + 1 : 0;
    if (s->n_stacked == MAX_STACKED) {
        s->n_stacked = 0;
        move_away(all, n);
        place = sched_getcpu() + 1;
    }
    atomic_store_explicit(&s->place, place, memory_order_relaxed);
}

#else

static void part(tkx__core_share *all, size_t n, size_t mine)
{
    (void)all;
    (void)n;
    (void)mine;
}

#endif

void tkx__core_share_look(tkx__core_share *all, size_t n, size_t mine)
{
    tkx__core_share *s = &all[mine];
    int64_t now = tkx__core_now();
    long n_lost;

    if (now - s->seen < LOOK_EVERY_NS)
        return;
    n_lost = times_lost();
    if (n_lost != s->n_lost)
        lost(s, now, n_lost);
    else if (s->most && now - s->since >= s->most)
        now = give_way(s, now);
    s->seen = now;
    part(all, n, mine);
}
