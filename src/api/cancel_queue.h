/* SPDX-License-Identifier: Apache-2.0 */
/* api/cancel_queue.h - tell the service that nobody waits for a sample any more. */
#ifndef TKX_API_CANCEL_QUEUE_H
#define TKX_API_CANCEL_QUEUE_H

#include "api/site.h"

/* Best effort: failures are only logged; dropped when the site closes.  Loop thread. */
void tkx__cancel_future(tkx__site *site, const char *request_id);

#endif
