// SPDX-License-Identifier: Apache-2.0
/*
 * threads.c - the fork-join pool.
 *
 * One 64-bit word says everything about the open phase: its number, how many pieces it
 * has, which is next.  A piece is claimed by a compare-and-swap on that word, so a thread
 * that comes late, even by several runs, can never claim a piece with a stale job: the
 * job's fields are written before the word and stay until the last piece is done.  Who
 * does that last piece opens the next phase.  Nobody waits for a thread that has claimed
 * nothing, the owner included: a thread that lost its core costs only its piece, and
 * gives the core away between two pieces when it can (core_share.h).
 *
 * Waiting: look for a while, then look and yield, then sleep.  A sleeper raises its count
 * and then looks again; the waker changes the word and then looks at the count (both
 * sequentially consistent), so no wake-up is lost.
 */
#include "infer/threads.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/mem.h"
#include "infer/core_share.h"
#include "infer/hw_limits.h"

#define MAX_THREADS 64
#define PIECE_BITS 20
#define PIECE_MASK (((uint64_t)1 << PIECE_BITS) - 1)
#define RUN_BITS 24
#define MAX_PIECES ((size_t)1 << (PIECE_BITS - 1))

/* How long to look before yielding, and before sleeping.  Between two phases of a
   decoding model pass a few microseconds; being woken takes longer than that. */
#define SPIN_NS 20000
#define YIELD_NS 500000

typedef struct worker {
    tkx__threads *pool;
    size_t index;
    pthread_t thread;
} worker;

struct tkx__threads {
    size_t n_threads;
    size_t n_started; /* workers with a running thread */
    worker workers[MAX_THREADS];
    tkx__core_share owner_share;

    /* The run; written by the owner, `at` by who opens phases. */
    const tkx__phase *phases;
    size_t n_phases;
    size_t at; /* the next phase */

    /* The open phase's job; stable while it has open pieces. */
    tkx__threads_fn *fn;
    void *ctx;

    char apart_1[64];      /* hot words on cache lines of their own */
    _Atomic uint64_t word; /* number | pieces | next */
    char apart_2[64];
    _Atomic size_t n_done;
    char apart_3[64];
    _Atomic int is_ended; /* the run */
    _Atomic int n_sleeping;
    _Atomic int is_closing;

    pthread_mutex_t mutex;
    pthread_cond_t changed;
};

static uint64_t number_of(uint64_t word)
{
    return word >> (2 * PIECE_BITS);
}

static uint64_t make_word(uint64_t number, uint64_t n_pieces)
{
    return (number & (((uint64_t)1 << RUN_BITS) - 1)) << (2 * PIECE_BITS) |
           n_pieces << PIECE_BITS;
}

static void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* ---- phases ---- */

static void wake_all(tkx__threads *p)
{
    if (atomic_load(&p->n_sleeping) == 0)
        return;
    pthread_mutex_lock(&p->mutex);
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->mutex);
}

/* No piece is open.  Phases of a single piece are done on the way. */
static void open_next(tkx__threads *p, size_t thread)
{
    while (p->at < p->n_phases) {
        const tkx__phase *phase = &p->phases[p->at++];
        uint64_t word = atomic_load_explicit(&p->word, memory_order_relaxed);

        if (phase->n_pieces > 1 && phase->n_pieces <= MAX_PIECES && p->n_started > 0) {
            p->fn = phase->fn;
            p->ctx = phase->ctx;
            atomic_store_explicit(&p->n_done, 0, memory_order_relaxed);
            atomic_store(&p->word, make_word(number_of(word) + 1, phase->n_pieces));
            wake_all(p);
            return;
        }
        for (size_t i = 0; i < phase->n_pieces; i++)
            phase->fn(phase->ctx, i, thread);
    }
    atomic_store(&p->is_ended, 1);
    wake_all(p);
}

/* Do pieces until none is left to claim; returns the number of the phase last seen. */
static uint64_t work_on(tkx__threads *p, size_t thread, tkx__core_share *share)
{
    uint64_t word = atomic_load_explicit(&p->word, memory_order_acquire);

    for (;;) {
        uint64_t next = word & PIECE_MASK;
        uint64_t n = word >> PIECE_BITS & PIECE_MASK;

        if (next >= n)
            return number_of(word);
        if (!atomic_compare_exchange_weak_explicit(
                &p->word, &word, word + 1, memory_order_acq_rel, memory_order_acquire))
            continue;
        p->fn(p->ctx, (size_t)next, thread);
        if (atomic_fetch_add(&p->n_done, 1) + 1 == n)
            open_next(p, thread);
        if (tkx__core_is_contested(share))
            tkx__core_share_look(share);
        word = atomic_load_explicit(&p->word, memory_order_acquire);
    }
}

/* ---- waiting ---- */

/* What a thread waits for: another phase, the end of the run (the owner), or of all. */
static bool has_changed(tkx__threads *p, uint64_t seen, bool is_owner)
{
    return number_of(atomic_load(&p->word)) != seen ||
           (is_owner && atomic_load(&p->is_ended)) ||
           atomic_load_explicit(&p->is_closing, memory_order_relaxed);
}

static bool look_for(tkx__threads *p, uint64_t seen, bool is_owner)
{
    int64_t start = tkx__core_now();
    int64_t waited = 0;

    while (waited < YIELD_NS) {
        for (int i = 0; i < 32; i++) {
            if (has_changed(p, seen, is_owner))
                return true;
            relax();
        }
        waited = tkx__core_now() - start;
        if (waited > SPIN_NS)
            tkx__core_yield();
    }
    return false;
}

static void wait_for_change(tkx__threads *p, uint64_t seen, bool is_owner)
{
    if (look_for(p, seen, is_owner))
        return;
    pthread_mutex_lock(&p->mutex);
    atomic_fetch_add(&p->n_sleeping, 1);
    while (!has_changed(p, seen, is_owner))
        pthread_cond_wait(&p->changed, &p->mutex);
    atomic_fetch_sub(&p->n_sleeping, 1);
    pthread_mutex_unlock(&p->mutex);
}

static void *worker_main(void *arg)
{
    worker *w = arg;
    tkx__threads *p = w->pool;
    tkx__core_share share = {0};
    uint64_t seen = 0;

    for (;;) {
        wait_for_change(p, seen, false);
        if (atomic_load(&p->is_closing))
            return NULL;
        seen = work_on(p, w->index, &share);
        tkx__core_share_look(&share);
    }
}

/* ---- the owner's side ---- */

void tkx__threads_run_phases(tkx__threads *p, const tkx__phase *phases, size_t n_phases)
{
    p->phases = phases;
    p->n_phases = n_phases;
    p->at = 0;
    atomic_store_explicit(&p->is_ended, 0, memory_order_relaxed);
    open_next(p, 0);
    for (;;) {
        uint64_t seen = work_on(p, 0, &p->owner_share);

        if (atomic_load(&p->is_ended))
            break;
        wait_for_change(p, seen, true);
    }
    tkx__core_share_look(&p->owner_share);
}

void tkx__threads_run(tkx__threads *p, size_t n_pieces, tkx__threads_fn *fn, void *ctx)
{
    tkx__phase phase = {.fn = fn, .ctx = ctx, .n_pieces = n_pieces};

    tkx__threads_run_phases(p, &phase, 1);
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
    pthread_cond_init(&p->changed, NULL);
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
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->mutex);
    for (size_t i = 1; i <= p->n_started; i++)
        pthread_join(p->workers[i].thread, NULL);
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->mutex);
    tkx__free(p);
}

size_t tkx__threads_count(const tkx__threads *p)
{
    return p->n_threads;
}
