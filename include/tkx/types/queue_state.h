/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tkx/types/queue_state.h - why an operation is still waiting at the server.
 */
#ifndef TKX_TYPES_QUEUE_STATE_H
#define TKX_TYPES_QUEUE_STATE_H

#include <tkx/export.h>

TKX_BEGIN_DECLS

typedef enum tkx_queue_state {
    TKX_QUEUE_UNKNOWN = 0,
    TKX_QUEUE_ACTIVE,
    TKX_QUEUE_PAUSED_CAPACITY,  /* the backend is short of capacity */
    TKX_QUEUE_PAUSED_RATE_LIMIT /* too many clients or sampler weights of this account */
} tkx_queue_state;

/** "active", "paused_capacity", "paused_rate_limit" or "unknown".  Thread: any. */
TKX_API const char *tkx_queue_state_name(tkx_queue_state state);

TKX_END_DECLS
#endif
