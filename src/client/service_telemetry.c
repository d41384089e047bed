/* SPDX-License-Identifier: Apache-2.0 */
/*
 * service_telemetry.c - what the service's operators are told, if the user agrees.
 */
#include <stdio.h>
#include <string.h>
#include <tkx/telemetry.h>

#include "api/telemetry.h"
#include "base/error.h"
#include "base/options.h"
#include "client/service.h"

tkx_status tkx_service_report(tkx_service *service, const tkx_telemetry_event *event,
                              tkx_error **err)
{
    return service->telemetry ? tkx__telemetry_report(service->telemetry, event, err)
                              : TKX_OK;
}

tkx_status tkx_service_telemetry_stats(tkx_service *service, tkx_telemetry_stats *stats,
                                       tkx_error **err)
{
    tkx_telemetry_stats now = TKX_TELEMETRY_STATS_INIT;
    size_t size = stats->struct_size;

    if (size < sizeof size)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "tkx_telemetry_stats: start from TKX_TELEMETRY_STATS_INIT");
    if (service->telemetry) {
        tkx__telemetry_counts counts = tkx__telemetry_count(service->telemetry);

        now.is_on = 1;
        now.n_queued = counts.n_queued;
        now.n_sent = counts.n_sent;
        now.n_dropped = counts.n_dropped;
    }
    now.struct_size = size;
    memcpy(stats, &now, size < sizeof now ? size : sizeof now);
    return TKX_OK;
}

/* Names and numbers only: messages hold the server's words about the user's data. */
void tkx__service_note_failure(tkx_service *service, const char *what,
                               const tkx_error *error)
{
    tkx_status status = tkx_error_status(error);
    char name[64], text[3][80];
    bool is_users = tkx_error_get_category(error) == TKX_ERROR_CATEGORY_USER ||
                    tkx_error_is_retryable(error);

    if (!service->telemetry || status == TKX_ERR_CLOSED || status == TKX_ERR_CANCELLED)
        return;
    snprintf(name, sizeof name, "%s.failed", what);
    snprintf(text[0], sizeof text[0], "\"%s\"", tkx_status_name(status));
    snprintf(text[1], sizeof text[1], "%d", tkx_error_http_status(error));
    snprintf(text[2], sizeof text[2], "%s", is_users ? "true" : "false");
    const tkx_json_member data[] = {
        {"status", text[0]}, {"http_status", text[1]}, {"passes_or_is_users", text[2]}};
    const tkx_telemetry_event event = {
        .event = "GENERIC_EVENT",
        .severity = is_users ? "WARNING" : "ERROR",
        .event_name = name,
        .event_data = {data, sizeof data / sizeof *data},
    };
    tkx__telemetry_report(service->telemetry, &event, NULL);
}
