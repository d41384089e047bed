/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tkx/telemetry.h - events that the service's operators get to see, if the user agrees.
 *
 * Off unless tkx_service_options.telemetry or TINKER_TELEMETRY says otherwise.  When on,
 * the service is told: that the session started and ended, which operations failed (the
 * name of the operation, the status, the HTTP status and the number of attempts, never a
 * message, a prompt or a header), and whatever the program reports here.  API keys and
 * tokens in reported texts are blotted out.  Nothing ever waits for it, and events are
 * dropped when 10,000 are queued or the service does not take them.
 */
#ifndef TKX_TELEMETRY_H
#define TKX_TELEMETRY_H

#include <tkx/service.h>
#include <tkx/types/telemetry.h>

TKX_BEGIN_DECLS

/**
 * Queue an event.  Does nothing when telemetry is off.
 *
 * Thread:    any; never blocks.
 * Ownership: @p event is copied.  Its id, index and time are ours; the rest may be NULL:
 *            GENERIC_EVENT, the severity that goes with it, the session's duration.
 * Errors:    LIMIT when the event was dropped: no room, or more than 64 KiB.
 */
TKX_API tkx_status tkx_service_report(tkx_service *service,
                                      const tkx_telemetry_event *event, tkx_error **err);

typedef struct tkx_telemetry_stats {
    size_t struct_size;
    int is_on;
    int64_t n_queued;
    int64_t n_sent;
    int64_t n_dropped; /* found no room, or were not taken */
} tkx_telemetry_stats;

#define TKX_TELEMETRY_STATS_INIT                                                         \
    {                                                                                    \
        .struct_size = sizeof(tkx_telemetry_stats)                                       \
    }

/** What has become of the events.  Thread: any.  Errors: INVALID_ARGUMENT for a struct
    without its size. */
TKX_API tkx_status tkx_service_telemetry_stats(tkx_service *service,
                                               tkx_telemetry_stats *stats,
                                               tkx_error **err);

TKX_END_DECLS
#endif
