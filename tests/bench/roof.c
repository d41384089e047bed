/* SPDX-License-Identifier: Apache-2.0 */
/* roof.c - memory bandwidth and peak arithmetic of this machine. */
#include "roof.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "infer/threads.h"

#define STREAMS 8
#define BYTES_PER_THREAD ((size_t)192 << 20)
#define PASSES 6

double bench_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef struct reading {
    const uint64_t *data; /* [n_threads][BYTES_PER_THREAD / 8] */
    volatile uint64_t sink[64];
} reading;

static void read_piece(void *ctx, size_t piece, size_t thread)
{
    reading *r = ctx;
    size_t n = BYTES_PER_THREAD / sizeof(uint64_t);
    size_t part = n / STREAMS;
    const uint64_t *p = r->data + piece * n;
    uint64_t sum = 0;

    for (size_t i = 0; i < part; i += 8) /* one cache line of each stream in turn */
        for (size_t s = 0; s < STREAMS; s++) {
            const uint64_t *line = p + s * part + i;

            sum += (line[0] ^ line[1]) + (line[2] ^ line[3]) + (line[4] ^ line[5]) +
                   (line[6] ^ line[7]);
        }
    r->sink[thread % 64] = sum;
}

double roof_read(size_t n_threads)
{
    size_t size = n_threads * BYTES_PER_THREAD;
    uint64_t *data = aligned_alloc(4096, size);
    tkx__threads *pool = NULL;
    double best = 0;
    reading r = {.data = data};

    if (!data || tkx__threads_new(n_threads, &pool, NULL) != TKX_OK) {
        free(data);
        return 0;
    }
    memset(data, 1, size);
    for (int i = 0; i < PASSES; i++) {
        double start = bench_now();
        double rate;

        tkx__threads_run(pool, n_threads, read_piece, &r);
        rate = (double)size / (bench_now() - start);
        best = rate > best ? rate : best;
    }
    tkx__threads_free(pool);
    free(data);
    return best;
}

#if defined(__x86_64__)
#include <immintrin.h>

#define TURNS 4000000

/* 12 independent chains: enough to hide the latency of the two units. */
__attribute__((target("avx2,fma"))) static void fma_piece(void *ctx, size_t piece,
                                                          size_t thread)
{
    volatile float *sink = ctx;
    __m256 x = _mm256_set1_ps(0.999f);
    __m256 y = _mm256_set1_ps(0.1f);
    __m256 a = y, b = y, c = y, d = y, e = y, f = y, g = y, h = y, i = y, j = y, k = y,
           l = y;

    (void)piece;
    for (int n = 0; n < TURNS; n++) {
        a = _mm256_fmadd_ps(a, x, y);
        b = _mm256_fmadd_ps(b, x, y);
        c = _mm256_fmadd_ps(c, x, y);
        d = _mm256_fmadd_ps(d, x, y);
        e = _mm256_fmadd_ps(e, x, y);
        f = _mm256_fmadd_ps(f, x, y);
        g = _mm256_fmadd_ps(g, x, y);
        h = _mm256_fmadd_ps(h, x, y);
        i = _mm256_fmadd_ps(i, x, y);
        j = _mm256_fmadd_ps(j, x, y);
        k = _mm256_fmadd_ps(k, x, y);
        l = _mm256_fmadd_ps(l, x, y);
        __asm__ volatile("" : "+x"(a), "+x"(b), "+x"(c), "+x"(d), "+x"(e), "+x"(f));
        __asm__ volatile("" : "+x"(g), "+x"(h), "+x"(i), "+x"(j), "+x"(k), "+x"(l));
    }
    a = _mm256_add_ps(_mm256_add_ps(_mm256_add_ps(a, b), _mm256_add_ps(c, d)),
                      _mm256_add_ps(_mm256_add_ps(e, f), _mm256_add_ps(g, h)));
    a = _mm256_add_ps(a, _mm256_add_ps(_mm256_add_ps(i, j), _mm256_add_ps(k, l)));
    sink[thread % 64] = _mm256_cvtss_f32(a);
}

double roof_fma(size_t n_threads)
{
    static volatile float sink[64];
    tkx__threads *pool = NULL;
    double best = 0;

    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") ||
        tkx__threads_new(n_threads, &pool, NULL) != TKX_OK)
        return 0;
    for (int i = 0; i < PASSES; i++) {
        double start = bench_now();
        double rate;

        tkx__threads_run(pool, n_threads, fma_piece, (void *)(uintptr_t)sink);
        rate = (double)n_threads * TURNS * 12 * 8 * 2 / (bench_now() - start);
        best = rate > best ? rate : best;
    }
    tkx__threads_free(pool);
    return best;
}
#else
double roof_fma(size_t n_threads)
{
    (void)n_threads;
    return 0;
}
#endif
