/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client/future_cell.h - the inside of a future, for future*.c alone.
 *
 *     PENDING --succeed, fail, cancel, close--> DONE --take--> DONE, result gone
 *
 * Completion happens on the loop thread only; everything else on any thread.  All fields
 * but the count, the type and the context are under the future's lock, one of a fixed set
 * chosen by address, so that thousands of pending futures carry no mutex each.  Nothing
 * is called with it held, but for post(), which only appends to a list.
 *
 * There may be tens of thousands: times are kept as milliseconds since the call (32 bits;
 * they stand still after 49 days), a step of the history takes six bytes, and the first
 * callback needs no node of its own.
 */
#ifndef TKX_CLIENT_FUTURE_CELL_H
#define TKX_CLIENT_FUTURE_CELL_H

#include <pthread.h>
#include <stdatomic.h>

#include "client/context_links.h"
#include "client/future.h"

#define TKX__HISTORY_SIZE 8u

/* A thread inside tkx_future_wait(), on its stack. */
typedef struct tkx__waiter {
    pthread_cond_t woken;
    struct tkx__waiter *next;
} tkx__waiter;

struct tkx_future {
    atomic_uint n_refs;
    bool is_done, is_cancelled, is_taken;
    uint8_t n_stuck_told; /* by the watchdog */
    uint8_t cancel_mode, state, queue_state;
    uint8_t n_history, next_history;
    bool has_failed; /* which of outcome it is */
    uint16_t last_http_status;
    tkx_context *context; /* counted */
    const tkx__result_type *type;
    union {
        void *result; /* NULL also when taken */
        tkx_error *error;
    } outcome;
    tkx__future_end_fn *on_end; /* NULL: nobody to tell */
    void *end_arg;
    tkx_future_fn *callback; /* the first; NULL: none, or it has run */
    void *callback_data;
    tkx__future_watch *watches;
    tkx__waiter *waiters;
    tkx__future_links links;
    int64_t born_ms;
    uint32_t state_since, done_at; /* since born_ms */
    uint32_t n_attempts, n_polls;
    uint64_t bytes_sent, bytes_received;
    char *queue_reason;                    /* NULL: none */
    uint32_t step_at[TKX__HISTORY_SIZE];   /* since born_ms */
    uint16_t step_what[TKX__HISTORY_SIZE]; /* state << 12 | HTTP status */
};

/* Takes no other lock; the returned one is what tkx__future_lock() holds. */
pthread_mutex_t *tkx__future_lock(const tkx_future *future);
void tkx__future_unlock(const tkx_future *future);
/* Milliseconds since the call. */
uint32_t tkx__future_age(const tkx_future *future);
/* Lock held. */
void tkx__future_add_history(tkx_future *future, uint32_t at, tkx_future_state state,
                             int http_status);

#endif
