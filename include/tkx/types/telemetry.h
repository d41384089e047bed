/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tkx/types/telemetry.h - events a client may report about itself.
 */
#ifndef TKX_TYPES_TELEMETRY_H
#define TKX_TYPES_TELEMETRY_H

#include <tkx/types/common.h>

TKX_BEGIN_DECLS

typedef struct tkx_telemetry_event {
    const char *event;    /* "SESSION_START", "SESSION_END", "UNHANDLED_EXCEPTION",
                             "GENERIC_EVENT" */
    const char *event_id; /* a uuid */
    int64_t event_session_index;
    const char *severity; /* "DEBUG" to "CRITICAL" */
    tkx_time_us timestamp;
    const char *duration;   /* SESSION_END */
    const char *error_type; /* UNHANDLED_EXCEPTION, as the two below */
    const char *error_message;
    const char *traceback;
    const char *event_name; /* GENERIC_EVENT, as the one below */
    tkx_json_member_list event_data;
} tkx_telemetry_event;

typedef struct tkx_telemetry_request {
    const tkx_telemetry_event *events;
    size_t n_events; /* 1 to 100 */
    const char *platform;
    const char *sdk_version;
    const char *session_id;
    const char *process_uuid; /* NULL: left out */
} tkx_telemetry_request;

TKX_END_DECLS
#endif
