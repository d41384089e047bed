/* SPDX-License-Identifier: Apache-2.0 */
/*
 * infer/threads.h - a small fork-join pool.
 *
 * One owner calls tkx__threads_run(); the owner's thread works too.  Work is claimed in
 * pieces; what a piece computes never depends on who claims it.  A run may have many
 * phases: whichever thread ends one opens the next, so a thread that lost its core to
 * another process delays the piece it holds and nothing else.
 */
#ifndef TKX_INFER_THREADS_H
#define TKX_INFER_THREADS_H

#include <stdatomic.h>
#include <stddef.h>

#include <tkx/error.h>

typedef struct tkx__threads tkx__threads;

/* Piece number `piece` of a run; `thread` (0 .. n_threads-1) names a scratch area. */
typedef void tkx__threads_fn(void *ctx, size_t piece, size_t thread);

/*
 * A pool of n_threads, the caller's included; 0: as many as the process may run on
 * (affinity and cgroup quota), at most 64.
 */
tkx_status tkx__threads_new(size_t n_threads, tkx__threads **out, tkx_error **err);
void tkx__threads_free(tkx__threads *pool);
size_t tkx__threads_count(const tkx__threads *pool);

/*
 * fn for every piece 0 .. n_pieces-1, and return when all are done.  All memory written
 * by the pieces is visible to the caller.  Pieces run in any order.
 * Thread: one at a time; never from inside a piece.
 */
void tkx__threads_run(tkx__threads *pool, size_t n_pieces, tkx__threads_fn *fn,
                      void *ctx);

/* A part of a run that begins when all pieces of the one before it are done. */
typedef struct tkx__phase {
    tkx__threads_fn *fn;
    void *ctx;
    size_t n_pieces; /* 0: passed over */
} tkx__phase;

/*
 * The phases in order; all memory written in one is visible in the next.  A single piece
 * is done by the thread that ended the phase before, without waking anybody.
 * phases stay untouched until the return.
 */
void tkx__threads_run_phases(tkx__threads *pool, const tkx__phase *phases,
                             size_t n_phases);

/*
 * Pieces that others of the same phase need before they end.  Instead of a phase of their
 * own, at whose end all threads would meet: who comes does those that nobody has begun,
 * goes on with what needs none, and waits at last for those that others hold.
 */
typedef struct tkx__ahead {
    tkx__threads_fn *fn;
    void *ctx;
    size_t n_pieces;
    atomic_size_t next;
    atomic_size_t n_done;
} tkx__ahead;

/* Before the run; n_pieces 0: the other two do nothing. */
void tkx__ahead_set(tkx__ahead *ahead, size_t n_pieces, tkx__threads_fn *fn, void *ctx);
/* From inside a piece, in this order. */
void tkx__ahead_work(tkx__ahead *ahead, size_t thread);
void tkx__ahead_wait(tkx__ahead *ahead);

#endif
