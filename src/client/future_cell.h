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
 */
#ifndef TKX_CLIENT_FUTURE_CELL_H
#define TKX_CLIENT_FUTURE_CELL_H

#include <pthread.h>
#include <stdatomic.h>

#include "client/context_links.h"
#include "client/future.h"

#define TKX__HISTORY_SIZE 8u

/* One history step in eight bytes. */
typedef struct tkx__step {
    uint32_t at_ms; /* since the call; stands still after 49 days */
    uint8_t state;
    uint16_t http_status;
} tkx__step;

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
    tkx_context *context; /* counted */
    const tkx__result_type *type;
    void *result;
    tkx_error *error;
    tkx__future_end_fn *on_end; /* NULL: nobody to tell */
    void *end_arg;
    tkx__future_watch *watches;
    tkx__waiter *waiters;
    tkx__future_links links;
    int64_t born_ms, state_since_ms, done_ms;
    uint32_t n_attempts, n_polls;
    uint64_t bytes_sent, bytes_received;
    char *queue_reason; /* NULL: none */
    int last_http_status;
    tkx__step history[TKX__HISTORY_SIZE];
};

/* Takes no other lock; the returned one is what tkx__future_lock() holds. */
pthread_mutex_t *tkx__future_lock(const tkx_future *future);
void tkx__future_unlock(const tkx_future *future);
int64_t tkx__future_now(const tkx_future *future);
/* Lock held. */
void tkx__future_add_history(tkx_future *future, int64_t now, tkx_future_state state,
                             int http_status);

#endif
