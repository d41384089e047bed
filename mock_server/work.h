/* SPDX-License-Identifier: Apache-2.0 */
/* work.h - the threads beside the loop, and how they are given work. */
#ifndef MOCK_WORK_H
#define MOCK_WORK_H

#include "mock_server/server.h"

/* Takes up what an earlier process left open, then starts the threads. */
tkx_status work_start(mock_server *srv, tkx_error **err);
/* False when a thread was still busy after timeout_ms; nothing may be freed then. */
bool work_stop(mock_server *srv, int64_t timeout_ms);

/* Free the idle lanes, and models in memory, of sessions that have ended.  Under the
 * lock.
 */
void work_forget_ended(mock_server *srv);
/* Under the lock: hand over an op; it is the server's from here on. */
void work_submit(mock_server *srv, op *o, const char *model_id);

#endif
