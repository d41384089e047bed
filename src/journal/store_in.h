/* SPDX-License-Identifier: Apache-2.0 */
/* journal/store_in.h - the inside of a store, for store*.c. */
#ifndef TKX_JOURNAL_STORE_IN_H
#define TKX_JOURNAL_STORE_IN_H

#include <pthread.h>

#include "journal/sql.h"
#include "journal/store.h"

#define TKX__STORE_MAX_BODY ((size_t)1000000000) /* what SQLite takes */

struct tkx__store {
    pthread_mutex_t lock; /* recursive: held by a transaction, taken by each call */
    tkx__sql sql;
    int lock_fd; /* -1: none */
    tkx__store_options options;
};

/* Names of tkx__store_state in the file. */
extern const char *const tkx__store_state_names[];

static inline void tkx__store_enter(tkx__store *store)
{
    pthread_mutex_lock(&store->lock);
}

static inline tkx_status tkx__store_leave(tkx__store *store, tkx_status st)
{
    pthread_mutex_unlock(&store->lock);
    return st;
}

#endif
