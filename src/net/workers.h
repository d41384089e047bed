/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net/workers.h - a few threads for encoding and decoding, started when first needed.
 */
#ifndef TKX_NET_WORKERS_H
#define TKX_NET_WORKERS_H

#include "net/inbox.h"

typedef struct tkx__workers tkx__workers;

/* n: threads at most; 0: work runs on the loop thread, as it does when no thread is to be
   had, unless never_here.  done() goes through the inbox. */
tkx__workers *tkx__workers_new(int n, bool never_here, tkx__inbox *inbox);
bool tkx__workers_submit(tkx__workers *workers, tkx__task_fn *work, tkx__task_fn *done,
                         void *arg);
/* Refuse new work, finish what was taken, join the threads.  done() calls are then in the
   inbox. */
void tkx__workers_end(tkx__workers *workers);
void tkx__workers_free(tkx__workers *workers); /* after the end; accepts NULL */

#endif
