/* SPDX-License-Identifier: Apache-2.0 */
/* client/deadline.h - condition variables on the monotonic clock. */
#ifndef TKX_CLIENT_DEADLINE_H
#define TKX_CLIENT_DEADLINE_H

#include <pthread.h>
#include <stdint.h>
#include <time.h>

/* The moment that lies ms (>= 0) ahead, for pthread_cond_timedwait(). */
void tkx__deadline_after(int64_t ms, struct timespec *at);
void tkx__cond_init(pthread_cond_t *cond);

#endif
