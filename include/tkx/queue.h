/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tkx/queue.h - the next of many futures to finish, in whatever order they do.
 *
 * Saves rollouts from callbacks: add futures with a tag, take finished ones as they come.
 */
#ifndef TKX_QUEUE_H
#define TKX_QUEUE_H

#include <stddef.h>
#include <stdint.h>

#include <tkx/future.h>

TKX_BEGIN_DECLS

typedef struct tkx_queue tkx_queue;

/** Thread: any.  @p out is the caller's: tkx_queue_free(). */
TKX_API tkx_status tkx_queue_new(tkx_queue **out, tkx_error **err);

/** Forget the queue and its futures; nobody may be waiting in it.  Thread: any.  Accepts
    NULL. */
TKX_API void tkx_queue_free(tkx_queue *queue);

/**
 * Watch a future; one that has completed is delivered like any other.
 *
 * Thread:    any.
 * Ownership: @p future is counted; @p tag is handed back as it is.
 */
TKX_API tkx_status tkx_queue_add(tkx_queue *queue, tkx_future *future, void *tag,
                                 tkx_error **err);

/**
 * The next finished future.
 *
 * Thread:    any; several may wait.  On a loop thread only with @p timeout_ms 0.
 * Ownership: @p future is the caller's, tkx_future_unref(); @p tag may be NULL.
 * Units:     @p timeout_ms; negative: without limit.
 * Errors:    NOT_FOUND when nothing is left in the queue, TIMEOUT, WOULD_BLOCK.
 */
TKX_API tkx_status tkx_queue_next(tkx_queue *queue, int64_t timeout_ms,
                                  tkx_future **future, void **tag, tkx_error **err);

/** How many futures are in the queue, finished or not.  Thread: any. */
TKX_API size_t tkx_queue_size(const tkx_queue *queue);

TKX_END_DECLS
#endif
