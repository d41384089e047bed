/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client/context_links.h - how futures hang on their context.
 *
 * A pending future is in the context's list, so that closing can end it; a completed one
 * with posted watches waits in the ready list for the next turn.  Futures count the
 * context, which therefore outlives them as a shell without a loop.
 */
#ifndef TKX_CLIENT_CONTEXT_LINKS_H
#define TKX_CLIENT_CONTEXT_LINKS_H

#include "client/context.h"
#include "client/future.h"

/* Refused with CLOSED once the context is closed.  Counts the context.  Any thread. */
tkx_status tkx__context_link(tkx_context *context, tkx_future *future, tkx_error **err);
/* Completed.  Loop thread, or nobody else may know the future. */
void tkx__context_unlink(tkx_context *context, tkx_future *future);
/* Run its watches at the next turn; counts the future meanwhile.  Loop thread. */
void tkx__context_add_ready(tkx_context *context, tkx_future *future);
void tkx__context_unref(tkx_context *context);

#endif
