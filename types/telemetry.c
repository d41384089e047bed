/* SPDX-License-Identifier: Apache-2.0 */
/* telemetry.c - telemetry batches as tables. */
#include "types/telemetry.h"

#include "types/schema.h"

static const tkx__field event_fields[] = {
    TKX__FIELD(tkx_telemetry_event, STRING, event, .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_telemetry_event, STRING, event_id, .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_telemetry_event, I64, event_session_index, .flags = 0),
    TKX__FIELD(tkx_telemetry_event, STRING, severity, .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_telemetry_event, TIME, timestamp, .flags = 0),
    TKX__FIELD(tkx_telemetry_event, STRING, duration, .flags = TKX__F_OMIT),
    TKX__FIELD(tkx_telemetry_event, STRING, error_type, .flags = TKX__F_OMIT),
    TKX__FIELD(tkx_telemetry_event, STRING, error_message, .flags = TKX__F_OMIT),
    TKX__FIELD(tkx_telemetry_event, STRING, traceback, .flags = TKX__F_OMIT),
    TKX__FIELD(tkx_telemetry_event, STRING, event_name, .flags = TKX__F_OMIT),
    TKX__FIELD(tkx_telemetry_event, MEMBERS, event_data, .flags = TKX__F_OMIT),
};
static const tkx__schema event =
    TKX__SCHEMA("telemetry event", tkx_telemetry_event, event_fields);

static const tkx__field batch_fields[] = {
    TKX__FIELD(tkx_telemetry_request, RECORDS, events, .sub = &event),
    TKX__FIELD(tkx_telemetry_request, STRING, platform, .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_telemetry_request, STRING, sdk_version, .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_telemetry_request, STRING, session_id, .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_telemetry_request, STRING, process_uuid, .flags = TKX__F_OMIT),
};
static const tkx__schema batch =
    TKX__SCHEMA("telemetry batch", tkx_telemetry_request, batch_fields);

tkx_status tkx__telemetry_request_encode_json(const tkx_telemetry_request *request,
                                              tkx__buf *buf, tkx_error **err)
{
    return tkx__schema_encode(&batch, request, buf, err);
}
