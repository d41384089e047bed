// SPDX-License-Identifier: Apache-2.0
/*
 * threads.c - the fork-join pool.
 *
 * The pieces of a phase are dealt out in even, consecutive shares: a thread that goes
 * through neighbouring rows reads memory in one stream.  Who is through with its share
 * takes pieces from the far end of others'.  What is left of a share is one 64-bit word,
 * with the number of its phase: a piece is claimed by a compare-and-swap on it, so a
 * thread that comes late, even by several runs, can never claim a piece with a stale job.
 * The job's fields are written before the shares and stay until the last piece is done;
 * who does that opens the next phase.  Nobody waits for a thread that has claimed
 * nothing, the owner included: a thread that lost its core costs only its piece, and
 * gives the core away between two pieces when it can (core_share.h).
 *
 * Waiting: look for a while, then look and yield, then sleep.  A sleeper raises its count
 * and then looks again; the waker changes the number and then looks at the count (both
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
#define MAX_PIECES ((size_t)1 << (PIECE_BITS - 1))

/* How long to look before yielding, and before sleeping.  Between two phases of a
   decoding model pass a few microseconds; being woken takes longer than that. */
#define SPIN_NS 20000
#define YIELD_NS 500000
#define LOOKS 1000 /* for a piece ahead, before yielding: some microseconds */

typedef struct worker {
    tkx__threads *pool;
    size_t index;
    pthread_t thread;
} worker;

/* What is left of a thread's share of the open phase, on a cache line of its own. */
typedef struct share {
    _Atomic uint64_t word; /* number of the phase | first piece | end */
    char apart[56];
} share;

struct tkx__threads {
    size_t n_threads;
    size_t n_started; /* workers with a running thread */
    worker workers[MAX_THREADS];
    tkx__core_share cores[MAX_THREADS]; /* each its thread's own */

    /* The run; written by the owner, `at` by who opens phases. */
    const tkx__phase *phases;
    size_t n_phases;
    size_t at; /* the next phase */

    /* The open phase's job; stable while it has open pieces. */
    tkx__threads_fn *fn;
    void *ctx;
    size_t n_pieces;

    share shares[MAX_THREADS];
    _Atomic uint64_t number; /* of the open phase */
    char apart_1[56];        /* hot words on cache lines of their own */
    _Atomic size_t n_done;   /* pieces, and one for opening the phase */
    char apart_2[56];
    _Atomic int is_ended; /* the run */
    _Atomic int n_sleeping;
    _Atomic int is_closing;

    pthread_mutex_t mutex;
    pthread_cond_t changed;
};

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

static uint64_t make_share(uint64_t number, size_t first, size_t end)
{
    return number << (2 * PIECE_BITS) | (uint64_t)first << PIECE_BITS | end;
}

/* True when that was the last that the phase waited for. */
static bool count_done(tkx__threads *p)
{
    size_t n = p->n_pieces; /* of the next phase, perhaps, as soon as this is counted */

    return atomic_fetch_add(&p->n_done, 1) == n;
}

/* Deal out a phase; true when it was done before the last share was dealt. */
static bool open_phase(tkx__threads *p, const tkx__phase *phase)
{
    uint64_t number = atomic_load_explicit(&p->number, memory_order_relaxed) + 1;
    size_t n = phase->n_pieces;

    p->fn = phase->fn;
    p->ctx = phase->ctx;
    p->n_pieces = n;
    atomic_store_explicit(&p->n_done, 0, memory_order_relaxed);
    for (size_t i = 0; i < p->n_threads; i++)
        atomic_store_explicit(
            &p->shares[i].word,
            make_share(number, n * i / p->n_threads, n * (i + 1) / p->n_threads),
            memory_order_release);
    atomic_store(&p->number, number);
    wake_all(p);
    return count_done(p);
}

/* No piece is open.  Phases of a single piece are done on the way. */
static void open_next(tkx__threads *p, size_t thread)
{
    while (p->at < p->n_phases) {
        const tkx__phase *phase = &p->phases[p->at++];

        if (phase->n_pieces <= 1 || phase->n_pieces > MAX_PIECES || p->n_started == 0) {
            for (size_t i = 0; i < phase->n_pieces; i++)
                phase->fn(phase->ctx, i, thread);
        } else if (!open_phase(p, phase)) {
            return;
        }
    }
    atomic_store(&p->is_ended, 1);
    wake_all(p);
}

static bool claim(share *s, bool from_end, size_t *piece)
{
    uint64_t word = atomic_load_explicit(&s->word, memory_order_acquire);

    for (;;) {
        size_t first = (size_t)(word >> PIECE_BITS & PIECE_MASK);
        size_t end = (size_t)(word & PIECE_MASK);

        if (first >= end)
            return false;
        *piece = from_end ? end - 1 : first;
        if (atomic_compare_exchange_weak_explicit(
                &s->word, &word, from_end ? word - 1 : word + (PIECE_MASK + 1),
                memory_order_acq_rel, memory_order_acquire))
            return true;
    }
}

static bool claim_any(tkx__threads *p, size_t thread, size_t *piece)
{
    bool is_claimed = claim(&p->shares[thread], false, piece);

    for (size_t i = 1; i < p->n_threads && !is_claimed; i++)
        is_claimed = claim(&p->shares[(thread + i) % p->n_threads], true, piece);
    return is_claimed;
}

/* Do pieces until none is left to claim; returns the number of the phase last seen. */
static uint64_t work_on(tkx__threads *p, size_t thread)
{
    for (;;) {
        uint64_t number = atomic_load(&p->number);
        size_t piece;

        if (!claim_any(p, thread, &piece))
            return number;
        p->fn(p->ctx, piece, thread);
        if (count_done(p))
            open_next(p, thread);
        if (tkx__core_is_contested(&p->cores[thread]))
            tkx__core_share_look(p->cores, p->n_threads, thread);
    }
}

/* ---- waiting ---- */

/* What a thread waits for: another phase, the end of the run (the owner), or of all. */
static bool has_changed(tkx__threads *p, uint64_t seen, bool is_owner)
{
    return atomic_load(&p->number) != seen || (is_owner && atomic_load(&p->is_ended)) ||
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

/* ---- pieces ahead ---- */

void tkx__ahead_set(tkx__ahead *a, size_t n_pieces, tkx__threads_fn *fn, void *ctx)
{
    a->fn = fn;
    a->ctx = ctx;
    a->n_pieces = n_pieces;
    atomic_init(&a->next, 0);
    atomic_init(&a->n_done, 0);
}

void tkx__ahead_work(tkx__ahead *a, size_t thread)
{
    while (atomic_load_explicit(&a->next, memory_order_relaxed) < a->n_pieces) {
        size_t piece = atomic_fetch_add_explicit(&a->next, 1, memory_order_relaxed);

        if (piece >= a->n_pieces)
            return;
        a->fn(a->ctx, piece, thread);
        atomic_fetch_add_explicit(&a->n_done, 1, memory_order_release);
    }
}

void tkx__ahead_wait(tkx__ahead *a)
{
    for (int i = 0; atomic_load_explicit(&a->n_done, memory_order_acquire) < a->n_pieces;
         i++) {
        if (i < LOOKS)
            relax();
        else
            tkx__core_yield();
    }
}

static void *worker_main(void *arg)
{
    worker *w = arg;
    tkx__threads *p = w->pool;
    uint64_t seen = 0;

    for (;;) {
        wait_for_change(p, seen, false);
        if (atomic_load(&p->is_closing))
            return NULL;
        seen = work_on(p, w->index);
        tkx__core_share_look(p->cores, p->n_threads, w->index);
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
        uint64_t seen = work_on(p, 0);

        if (atomic_load(&p->is_ended))
            break;
        wait_for_change(p, seen, true);
    }
    tkx__core_share_look(p->cores, p->n_threads, 0);
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
