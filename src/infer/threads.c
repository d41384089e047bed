// SPDX-License-Identifier: Apache-2.0
/*
 * threads.c - the fork-join pool.
 *
 * One 64-bit word says everything about a run: its number, how many pieces it has, which
 * is next.  A piece is claimed by a compare-and-swap on that word, so a thread that comes
 * late, even by several runs, can never claim a piece with a stale job: the job's fields
 * are written before the word and stay until the last piece is done.  Nobody waits for a
 * thread that has claimed nothing, so a worker that lost its core costs only its piece.
 *
 * Waiting: spin for a while, then sleep.  A sleeper raises its flag and then looks again;
 * the waker changes the word and then looks at the flag (both sequentially consistent),
 * so no wake-up is lost.
 */
#include "infer/threads.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

#include "base/error.h"
#include "base/mem.h"
#include "infer/hw_limits.h"

#define MAX_THREADS 64
#define PIECE_BITS 20
#define PIECE_MASK (((uint64_t)1 << PIECE_BITS) - 1)
#define RUN_BITS 24
#define MAX_PIECES ((size_t)1 << (PIECE_BITS - 1))

/* How long to look before sleeping.  Between two runs of a decoding model pass a few
   microseconds; more means that somebody else has the core. */
#define SPIN_NS 40000

typedef struct worker {
    tkx__threads *pool;
    size_t index;
    pthread_t thread;
} worker;

struct tkx__threads {
    size_t n_threads;
    size_t n_started; /* workers with a running thread */
    worker workers[MAX_THREADS];

    /* The job; stable while the run it belongs to has open pieces. */
    tkx__threads_fn *fn;
    void *ctx;

    char apart_1[64];      /* hot words on cache lines of their own */
    _Atomic uint64_t word; /* run | pieces | next */
    char apart_2[64];
    _Atomic size_t n_done;
    char apart_3[64];
    _Atomic int n_sleeping;
    _Atomic int owner_sleeps;
    _Atomic int is_closing;

    pthread_mutex_t mutex;
    pthread_cond_t work;
    pthread_cond_t done;
};

static uint64_t run_of(uint64_t word)
{
    return word >> (2 * PIECE_BITS);
}

static uint64_t make_word(uint64_t run, uint64_t n_pieces)
{
    return (run & (((uint64_t)1 << RUN_BITS) - 1)) << (2 * PIECE_BITS) |
           n_pieces << PIECE_BITS;
}

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* ---- pieces ---- */

static void wake_owner(tkx__threads *p)
{
    if (!atomic_load(&p->owner_sleeps))
        return;
    pthread_mutex_lock(&p->mutex);
    pthread_cond_signal(&p->done);
    pthread_mutex_unlock(&p->mutex);
}

/* Do pieces until none is left to claim. */
static void work_on(tkx__threads *p, size_t thread)
{
    uint64_t word = atomic_load_explicit(&p->word, memory_order_acquire);

    for (;;) {
        uint64_t next = word & PIECE_MASK;
        uint64_t n = word >> PIECE_BITS & PIECE_MASK;

        if (next >= n)
            return;
        if (!atomic_compare_exchange_weak_explicit(
                &p->word, &word, word + 1, memory_order_acq_rel, memory_order_acquire))
            continue;
        p->fn(p->ctx, (size_t)next, thread);
        if (atomic_fetch_add(&p->n_done, 1) + 1 == n)
            wake_owner(p);
        word = atomic_load_explicit(&p->word, memory_order_acquire);
    }
}

/* ---- waiting ---- */

static void wait_for_work(tkx__threads *p, uint64_t seen_run)
{
    int64_t until = now_ns() + SPIN_NS;

    do {
        for (int i = 0; i < 32; i++) {
            if (run_of(atomic_load_explicit(&p->word, memory_order_acquire)) !=
                    seen_run ||
                atomic_load_explicit(&p->is_closing, memory_order_relaxed))
                return;
            relax();
        }
    } while (now_ns() < until);

    pthread_mutex_lock(&p->mutex);
    atomic_fetch_add(&p->n_sleeping, 1);
    while (run_of(atomic_load(&p->word)) == seen_run && !atomic_load(&p->is_closing))
        pthread_cond_wait(&p->work, &p->mutex);
    atomic_fetch_sub(&p->n_sleeping, 1);
    pthread_mutex_unlock(&p->mutex);
}

static void wait_for_done(tkx__threads *p, size_t n_pieces)
{
    int64_t until = now_ns() + SPIN_NS;

    do {
        for (int i = 0; i < 32; i++) {
            if (atomic_load_explicit(&p->n_done, memory_order_acquire) == n_pieces)
                return;
            relax();
        }
    } while (now_ns() < until);

    pthread_mutex_lock(&p->mutex);
    atomic_store(&p->owner_sleeps, 1);
    while (atomic_load(&p->n_done) != n_pieces)
        pthread_cond_wait(&p->done, &p->mutex);
    atomic_store(&p->owner_sleeps, 0);
    pthread_mutex_unlock(&p->mutex);
}

static void *worker_main(void *arg)
{
    worker *w = arg;
    tkx__threads *p = w->pool;
    uint64_t run = 0;

    for (;;) {
        wait_for_work(p, run);
        if (atomic_load(&p->is_closing))
            return NULL;
        run = run_of(atomic_load_explicit(&p->word, memory_order_acquire));
        work_on(p, w->index);
    }
}

/* ---- the owner's side ---- */

void tkx__threads_run(tkx__threads *p, size_t n_pieces, tkx__threads_fn *fn, void *ctx)
{
    uint64_t run = run_of(atomic_load_explicit(&p->word, memory_order_relaxed)) + 1;

    if (n_pieces <= 1 || p->n_started == 0 || n_pieces > MAX_PIECES) {
        for (size_t i = 0; i < n_pieces; i++)
            fn(ctx, i, 0);
        return;
    }
    p->fn = fn;
    p->ctx = ctx;
    atomic_store_explicit(&p->n_done, 0, memory_order_relaxed);
    atomic_store(&p->word, make_word(run, n_pieces));
    if (atomic_load(&p->n_sleeping) > 0) {
        pthread_mutex_lock(&p->mutex);
        pthread_cond_broadcast(&p->work);
        pthread_mutex_unlock(&p->mutex);
    }
    work_on(p, 0);
    wait_for_done(p, n_pieces);
}

static tkx_status start_workers(tkx__threads *p, tkx_error **err)
{
    for (size_t i = 1; i < p->n_threads; i++) {
        worker *w = &p->workers[i];
        int rc;

        w->pool = p;
        w->index = i;
        rc = pthread_create(&w->thread, NULL, worker_main, w);
        if (rc != 0)
            return tkx__fail_errno(err, rc, "start worker thread %zu of %zu", i,
                                   p->n_threads);
        p->n_started = i;
    }
    return TKX_OK;
}

tkx_status tkx__threads_new(size_t n_threads, tkx__threads **out, tkx_error **err)
{
    tkx__threads *p;
    tkx_status st;

    if (n_threads == 0)
        n_threads = tkx__hw_usable_cpus();
    if (n_threads > MAX_THREADS)
        n_threads = MAX_THREADS;
    p = tkx__calloc(1, sizeof *p);
    if (!p)
        return tkx__fail_memory(err);
    p->n_threads = n_threads;
    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->work, NULL);
    pthread_cond_init(&p->done, NULL);
    st = start_workers(p, err);
    if (st != TKX_OK) {
        tkx__threads_free(p);
        return st;
    }
    *out = p;
    return TKX_OK;
}

void tkx__threads_free(tkx__threads *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->mutex);
    atomic_store(&p->is_closing, 1);
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->mutex);
    for (size_t i = 1; i <= p->n_started; i++)
        pthread_join(p->workers[i].thread, NULL);
    pthread_cond_destroy(&p->done);
    pthread_cond_destroy(&p->work);
    pthread_mutex_destroy(&p->mutex);
    tkx__free(p);
}

size_t tkx__threads_count(const tkx__threads *p)
{
    return p->n_threads;
}
