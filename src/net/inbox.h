/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net/inbox.h - how any thread hands the loop something to run.
 *
 * A list under a mutex and an eventfd.  The descriptor is written once for many posts,
 * and not at all when the loop is awake and will look anyway.
 */
#ifndef TKX_NET_INBOX_H
#define TKX_NET_INBOX_H

#include <pthread.h>
#include <stdbool.h>

#include "net/loop.h"

typedef struct tkx__inbox {
    pthread_mutex_t lock;
    tkx__post_node *head, **tail;
    bool is_signalled; /* the descriptor was written and not yet read */
    bool is_closed;
    int fd; /* eventfd; -1 before open and after close */
} tkx__inbox;

tkx_status tkx__inbox_init(tkx__inbox *inbox, tkx_error **err);
void tkx__inbox_clear(tkx__inbox *inbox); /* nobody posts any more */

/* False once closed.  wake: the loop may be asleep.  Any thread. */
bool tkx__inbox_push(tkx__inbox *inbox, tkx__post_node *node, bool wake);

/* Run what has come so far; returns how many.  Loop thread. */
size_t tkx__inbox_run(tkx__inbox *inbox);
/* The descriptor was readable: forget the signal.  Loop thread. */
void tkx__inbox_acknowledge(tkx__inbox *inbox);
/* Refuse posts from now on; false, and still open, while there is something to run. */
bool tkx__inbox_try_close(tkx__inbox *inbox);

#endif
