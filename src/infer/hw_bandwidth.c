// SPDX-License-Identifier: Apache-2.0
/*
 * hw_bandwidth.c - how fast this machine reads memory.
 *
 * Each thread reads 8 places of its part in turn: one stream alone gets two thirds of
 * what several get, and the kernels read several rows side by side, too.
 */
#include "infer/hw_bandwidth.h"

#include <stdint.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "infer/threads.h"

#define STREAMS 8
#define LINE 8 /* words of a cache line */

typedef struct reading {
    const uint64_t *data;
    size_t n_words; /* of one thread */
    uint64_t sink[64];
} reading;

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void read_piece(void *ctx, size_t piece, size_t thread)
{
    reading *r = ctx;
    size_t part = r->n_words / STREAMS;
    const uint64_t *p = r->data + piece * r->n_words;
    uint64_t sum = 0;

    for (size_t i = 0; i + LINE <= part; i += LINE)
        for (size_t s = 0; s < STREAMS; s++) {
            const uint64_t *w = p + s * part + i;

            sum += (w[0] ^ w[1]) + (w[2] ^ w[3]) + (w[4] ^ w[5]) + (w[6] ^ w[7]);
        }
    r->sink[thread % 64] += sum; /* so that the loop has a purpose */
}

double tkx__hw_read_bandwidth(size_t n_threads, size_t bytes_per_thread, int n_passes)
{
    reading r = {.n_words = bytes_per_thread / sizeof(uint64_t)};
    tkx__threads *pool = NULL;
    double best = 0;
    size_t size;
    uint64_t *data;

    if (!tkx__mul(n_threads, r.n_words * sizeof(uint64_t), &size))
        return 0;
    data = tkx__malloc(size);
    if (!data || tkx__threads_new(n_threads, &pool, NULL) != TKX_OK) {
        tkx__free(data);
        return 0;
    }
    memset(data, 1, size);
    r.data = data;
    for (int i = 0; i < n_passes; i++) {
        double start = now();
        double rate;

        tkx__threads_run(pool, n_threads, read_piece, &r);
        rate = (double)size / (now() - start);
        best = rate > best ? rate : best;
    }
    tkx__threads_free(pool);
    tkx__free(data);
    return best;
}
