/* SPDX-License-Identifier: Apache-2.0 */
/*
 * beats.c - how late are heartbeats?
 *
 * A session sends one 10 s after the last got through, which is too seldom for a
 * percentile, so there are many sessions, begun one after the other.  How late one is:
 * what its way there and back took longer than those 10 s.
 */
#include <stdlib.h>
#include <time.h>

#include "client/client.h"

#define BEAT_MS 10000
#define JITTER_MS 100 /* the two clock readings of one look are that close */

/* When session i last got through. */
static int64_t latest_ms(const beats *b, size_t i)
{
    return now_ns() / 1000000 - tkx_service_heartbeat_age_ms(b->services[i]);
}

void beats_start(beats *b, tkx_context *context)
{
    const struct timespec apart = {0, BEAT_MS / N_BEATING * INT64_C(1000000)};

    for (size_t i = 0; i < N_BEATING; i++) {
        tkx_error *error = NULL;
        tkx_future *started;

        b->services[i] = bench_service(context);
        must(tkx_service_start(b->services[i], &started, &error), error, "start");
        must_wait(started, "start");
        tkx_future_unref(started);
        nanosleep(&apart, NULL);
    }
    for (size_t i = 0; i < N_BEATING; i++)
        b->last_ms[i] = latest_ms(b, i);
}

void beats_look(beats *b)
{
    for (size_t i = 0; i < N_BEATING; i++) {
        int64_t at = latest_ms(b, i);

        if (at - b->last_ms[i] < JITTER_MS)
            continue;
        if (b->n < MAX_BEATS)
            b->late_ms[b->n++] = (double)(at - b->last_ms[i] - BEAT_MS);
        b->last_ms[i] = at;
    }
}

void beats_stop(beats *b)
{
    for (size_t i = 0; i < N_BEATING; i++)
        tkx_service_free(b->services[i]);
}
