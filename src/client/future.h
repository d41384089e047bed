/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client/future.h - the producer's side of a future.
 *
 * An operation makes its future, hands one reference to the user, keeps one, and
 * completes it exactly once from the loop thread.  Callbacks are posted, never nested.
 * Unless stated otherwise these functions are for the loop thread; new() and take() are
 * for any.
 */
#ifndef TKX_CLIENT_FUTURE_H
#define TKX_CLIENT_FUTURE_H

#include <stdbool.h>

#include <tkx/context.h>
#include <tkx/future.h>

/* A kind of result; one static object each, compared by address. */
typedef struct tkx__result_type {
    const char *name;              /* such as "sample response" */
    void (*free_fn)(void *result); /* frees a result nobody took; NULL: nothing to free */
} tkx__result_type;

/*
 * The operation is given up: the user cancelled (reason CANCELLED) or the context closes
 * (CLOSED).  Runs on the loop thread, once at most, never inside tkx_future_cancel(). The
 * future itself completes by itself right after; completing it here is allowed, and later
 * completions are harmless.  With CLOSED no reply or timer will come any more unless the
 * hook's owner is one of the context's closers (context.h).
 */
typedef void tkx__future_end_fn(tkx_future *future, tkx_status reason, void *arg);

/*
 * A pending future with one reference, the producer's.  NULL when memory is short or the
 * context is closed (err says which).  Any thread.
 */
tkx_future *tkx__future_new(tkx_context *context, const tkx__result_type *type,
                            tkx__future_end_fn *on_end, void *arg, tkx_error **err);

/* What tkx_future_cancel() answers from now on.  DETACHED at birth. */
typedef enum tkx__cancel_mode {
    TKX__CANCEL_DETACH = 0, /* DETACHED */
    TKX__CANCEL_REMOVE,     /* REMOVED: nothing was sent */
    TKX__CANCEL_TELL        /* SENT: on_end will send a cancel request */
} tkx__cancel_mode;

/* False when a cancel came first: drop the operation (on_end follows or has run).  Call
   it right before the request goes out, to leave REMOVE.  Any thread. */
bool tkx__future_set_cancel_mode(tkx_future *future, tkx__cancel_mode mode);

/* True from tkx_future_cancel() on, also before on_end has run.  Any thread. */
bool tkx__future_is_cancelled(const tkx_future *future);

/* Complete: result is taken in any case (freed when the future was already completed). */
void tkx__future_succeed(tkx_future *future, void *result);
/* Complete: *error is taken and set to NULL; a NULL error reads as NO_MEMORY. */
void tkx__future_fail(tkx_future *future, tkx_error **error);

/* After this on_end will not run: its arg is going away. */
void tkx__future_forget_owner(tkx_future *future);

/*
 * Move the result out, once.  *out is void * of the type's result.  Any thread.
 *
 * Errors: a copy of the operation's own failure; INVALID_STATE when pending or taken;
 * INVALID_ARGUMENT when the result is of another type (the message names both).
 */
tkx_status tkx__future_take(tkx_future *future, const tkx__result_type *type, void **out,
                            tkx_error **err);

/* Progress.  state is also written to the history when it differs or http_status != 0. */
void tkx__future_note_state(tkx_future *future, tkx_future_state state, int http_status);
void tkx__future_note_queue(tkx_future *future, tkx_queue_state state,
                            const char *reason);
void tkx__future_note_attempt(tkx_future *future, uint64_t bytes_sent);
void tkx__future_note_poll(tkx_future *future);
void tkx__future_note_received(tkx_future *future, uint64_t bytes);

tkx_context *tkx__future_context(const tkx_future *future);

/* Complete with *error (taken) first, then tell the owner that it is given up
   (CANCELLED), so that the error stands.  Loop thread. */
void tkx__future_give_up(tkx_future *future, tkx_error **error);
/* tkx_future_set_deadline() from the loop thread, counted from the call; 0: the context's
   call_timeout_ms.  False: out of memory. */
bool tkx__future_limit(tkx_future *future, int64_t timeout_ms);

/* For the watchdog: is it older than after_ms, doubled for each time it was told?  Counts
   as told, then. */
bool tkx__future_is_stuck(tkx_future *future, int64_t now, int64_t after_ms);

/*
 * Somebody who is told of the completion, through a node of his own.  With is_posted the
 * function runs at the next turn of the loop, else inside the completion (internal users
 * that only move a pointer).  The node is the function's to free.
 */
typedef struct tkx__future_watch tkx__future_watch;
struct tkx__future_watch {
    void (*fn)(tkx_future *future, tkx__future_watch *watch);
    bool is_posted;
    tkx__future_watch *next;
};

/* False when the future has completed already: fn will not run.  Any thread. */
bool tkx__future_add_watch(tkx_future *future, tkx__future_watch *watch);

/* ---- for context.c ---- */

/* The links of a future in its context; pending under the context's lock, ready on the
   loop thread. */
typedef struct tkx__future_links {
    tkx_future *prev;
    tkx_future *next; /* pending futures, later completed ones whose watches are due */
} tkx__future_links;

tkx__future_links *tkx__future_get_links(tkx_future *future);
/* Run the posted watches of a completed future. */
void tkx__future_run_watches(tkx_future *future);
/* End a pending future: tell its owner, then fail it with CLOSED. */
void tkx__future_end(tkx_future *future, tkx_status reason);

#endif
