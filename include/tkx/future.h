/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tkx/future.h - the outcome of one asynchronous operation.
 *
 * Every call that reaches the service returns a tkx_future.  It completes exactly once,
 * with a result or with a tkx_error, and does not change afterwards.  Each operation has
 * its own tkx_future_take_...() that moves the result out.  Futures are counted.
 */
#ifndef TKX_FUTURE_H
#define TKX_FUTURE_H

#include <stddef.h>
#include <stdint.h>

#include <tkx/error.h>

TKX_BEGIN_DECLS

typedef struct tkx_future tkx_future;

/**
 * Told, once, that @p future has completed.
 *
 * Thread:    the context's loop thread, no tkx lock held; may call any tkx function, but
 *            must not block.
 * Ownership: @p future is borrowed; tkx_future_ref() keeps it past the call.
 */
typedef void tkx_future_fn(tkx_future *future, void *user_data);

/** One more owner; returns @p future.  Thread: any. */
TKX_API tkx_future *tkx_future_ref(tkx_future *future);
/** One owner less.  The operation goes on without an audience.  Thread: any.  Accepts
 * NULL. */
TKX_API void tkx_future_unref(tkx_future *future);

/** 1 once it has completed.  Thread: any. */
TKX_API int tkx_future_is_done(const tkx_future *future);

/**
 * Ask to be told when the future completes; at the next turn of the loop if it already
 * has. Never runs inside this call.  May be called several times: each function is told
 * once.
 *
 * Thread:    any.
 * Errors:    NO_MEMORY; CLOSED when the future has completed and its context is gone.
 */
TKX_API tkx_status tkx_future_on_complete(tkx_future *future, tkx_future_fn *fn,
                                          void *user_data, tkx_error **err);

/**
 * Block until the future has completed, whatever its outcome; the operation itself is not
 * touched by a wait that times out.
 *
 * Thread:    any; on the loop thread only for a completed future.
 * Units:     @p timeout_ms; negative: without limit.
 * Errors:    TIMEOUT, with a message that says what the operation is doing and the latest
 *            trouble with the connection, if any, as its cause;
 *            WOULD_BLOCK on the loop thread.
 */
TKX_API tkx_status tkx_future_wait(tkx_future *future, int64_t timeout_ms,
                                   tkx_error **err);

/** Why the operation failed; NULL while pending or after success.  Borrowed from the
    future.  Thread: any. */
TKX_API const tkx_error *tkx_future_error(const tkx_future *future);

/* What came of asking for an end. */
typedef enum tkx_cancel_outcome {
    TKX_CANCEL_TOO_LATE = 0, /* it had completed, or was cancelled before */
    TKX_CANCEL_REMOVED,      /* never sent, never will be */
    TKX_CANCEL_SENT,         /* the service is being told to stop */
    TKX_CANCEL_DETACHED      /* the service carries it out; only the outcome is dropped */
} tkx_cancel_outcome;

/**
 * Give the operation up: the future completes with CANCELLED on the loop thread.  A
 * training operation still runs in its turn, since the sequence has no holes.
 *
 * Thread:    any.
 */
TKX_API tkx_cancel_outcome tkx_future_cancel(tkx_future *future);

/**
 * Limit the operation, whatever call it came from.  If it has not completed by then it is
 * given up as by tkx_future_cancel() and the future fails with TIMEOUT: the message says
 * what the operation was doing, the cause is the latest trouble with the connection.  Of
 * several limits the earliest counts.  Options with a timeout_ms set one, too.
 *
 * Thread:    any.
 * Units:     @p timeout_ms from now; 0 or less: at the next turn of the loop.
 * Errors:    NO_MEMORY; CLOSED once the context is closed.  OK when it has completed.
 */
TKX_API tkx_status tkx_future_set_deadline(tkx_future *future, int64_t timeout_ms,
                                           tkx_error **err);

/* What an operation is doing. */
typedef enum tkx_future_state {
    TKX_FUTURE_QUEUED = 0,  /* waits for a slot, its turn, its encoding or its loss */
    TKX_FUTURE_SUBMITTING,  /* its request is under way */
    TKX_FUTURE_WAITING,     /* the service has it; a poll is open or due */
    TKX_FUTURE_BACKING_OFF, /* waits before it tries again */
    TKX_FUTURE_FETCHING,    /* the result is ready and on its way */
    TKX_FUTURE_PAUSED,      /* billing pause (402) */
    TKX_FUTURE_DONE
} tkx_future_state;

typedef enum tkx_queue_state {
    TKX_QUEUE_STATE_UNKNOWN = 0,
    TKX_QUEUE_STATE_ACTIVE,
    TKX_QUEUE_STATE_PAUSED_RATE_LIMIT,
    TKX_QUEUE_STATE_PAUSED_CAPACITY
} tkx_queue_state;

/* A look at an operation: why a wait is still a wait. */
typedef struct tkx_future_progress_info {
    size_t struct_size;
    tkx_future_state state;
    tkx_queue_state queue_state;
    char queue_reason[128]; /* the service's words, cut; "" when it gave none */
    int64_t age_ms;         /* since the call; frozen when done */
    int64_t state_age_ms;   /* in this state */
    uint32_t n_attempts;    /* sends of the operation's own request */
    uint32_t n_polls;       /* rounds of waiting for its promise */
    uint64_t bytes_sent;    /* request bodies */
    uint64_t bytes_received;
    int last_http_status; /* 0: none yet */
} tkx_future_progress_info;

#define TKX_FUTURE_PROGRESS_INIT                                                         \
    {                                                                                    \
        .struct_size = sizeof(tkx_future_progress_info)                                  \
    }

/**
 * Where the operation stands.
 *
 * Thread:    any.
 * Errors:    INVALID_ARGUMENT for a struct without its size.
 */
TKX_API tkx_status tkx_future_progress(const tkx_future *future,
                                       tkx_future_progress_info *info, tkx_error **err);

/* One step of an operation's history. */
typedef struct tkx_future_event {
    int64_t at_ms; /* since the call */
    tkx_future_state state;
    int http_status; /* of the answer that led here; 0: none */
} tkx_future_event;

/**
 * The latest steps, oldest first; a small fixed ring, so earlier ones are forgotten.
 *
 * Thread:    any.
 * Shapes:    events[capacity]; returns how many were written (8 at most).
 */
TKX_API size_t tkx_future_history(const tkx_future *future, tkx_future_event *events,
                                  size_t capacity);

/**
 * One line on where the operation stands: what it is to give, its state and for how long,
 * attempts, polls, what the service said of its queue, and the latest steps.
 *
 * Thread:    any.
 * Shapes:    text[size], cut and always terminated; returns the whole length.
 */
TKX_API size_t tkx_future_describe(const tkx_future *future, char *text, size_t size);

/** The state's name in lower case, such as "backing off".  Thread: any. */
TKX_API const char *tkx_future_state_name(tkx_future_state state);

TKX_END_DECLS
#endif
