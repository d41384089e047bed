/* SPDX-License-Identifier: Apache-2.0 */
/* roof.c - memory bandwidth and peak arithmetic of this machine. */
#include "roof.h"

#include <stdint.h>
#include <time.h>

#include "infer/hw_bandwidth.h"
#include "infer/threads.h"

#define BYTES_PER_THREAD ((size_t)192 << 20)
#define PASSES 6

double bench_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double roof_read(size_t n_threads)
{
    return tkx__hw_read_bandwidth(n_threads, BYTES_PER_THREAD, PASSES);
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
