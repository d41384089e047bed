/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/telemetry.h - what the client tells the service about itself, if it may.
 *
 * A bounded queue that any thread adds to without ever waiting, and a flush every 10 s on
 * the loop thread.  A batch that the service does not take is dropped: nothing that the
 * user does depends on it.
 */
#ifndef TKX_API_TELEMETRY_H
#define TKX_API_TELEMETRY_H

#include <tkx/types/telemetry.h>

#include "api/site.h"

#define TKX__TELEMETRY_MAX_EVENTS 10000
#define TKX__TELEMETRY_MAX_BATCH 100

typedef struct tkx__telemetry tkx__telemetry;

/* NULL: out of memory.  Any thread. */
tkx__telemetry *tkx__telemetry_new(tkx__site *site, bool is_sessionless);
void tkx__telemetry_free(tkx__telemetry *telemetry); /* after stop; accepts NULL */

/*
 * Put a copy of an event into the queue.  What is NULL gets its default: GENERIC_EVENT,
 * the severity that goes with the event, the time since the start as a duration; id,
 * index and time are always ours.  Any thread.
 *
 * Errors: LIMIT when it was dropped: the queue is full, or the event is too large.
 */
tkx_status tkx__telemetry_report(tkx__telemetry *telemetry,
                                 const tkx_telemetry_event *event, tkx_error **err);

/* From now on there is somebody to tell.  session_id NULL: one of our own making. */
void tkx__telemetry_begin(tkx__telemetry *telemetry, const char *session_id);
/* Send what is queued, until the deadline on the site's clock; done() runs later.  False:
   there is nothing to send, or nobody to send it to.  Loop thread. */
bool tkx__telemetry_drain(tkx__telemetry *telemetry, int64_t deadline_ms,
                          void (*done)(void *arg), void *arg);
/* No more requests; done() will not run.  Loop thread, or none. */
void tkx__telemetry_stop(tkx__telemetry *telemetry);

typedef struct tkx__telemetry_counts {
    int64_t n_queued, n_sent, n_dropped;
} tkx__telemetry_counts;

/* Any thread. */
tkx__telemetry_counts tkx__telemetry_count(tkx__telemetry *telemetry);

#endif
