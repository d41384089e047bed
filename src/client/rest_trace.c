/* SPDX-License-Identifier: Apache-2.0 */
/* rest_trace.c - a session's trace: ask once, or until it is there. */
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "client/rest_loop.h"
#include "client/rest_page.h"
#include "types/session.h"

#define ASK_EVERY_MS 5000

TKX__RECORD(trace_export, "trace export");

static const tkx__rest_route route = {
    .what = "export_trace",
    .method = "GET",
    .pattern = "sessions/{}/trace_export",
    .sdk_method = "RestClient.export_session_trace",
    .result = &type_trace_export,
    .decode = decode_trace_export,
};

tkx_status tkx_rest_export_trace(tkx_rest *rest, const char *session_id, tkx_future **out,
                                 tkx_error **err)
{
    return tkx__rest_get(rest, &route, session_id, NULL, out, err);
}

typedef struct trace_wait {
    tkx__rest_loop loop; /* first */
    char *session_id;
    bool has_said;
} trace_wait;

static tkx_status write_path(tkx__rest_loop *l, tkx__buf *path, tkx__buf *body,
                             tkx_error **err)
{
    const char *id = ((trace_wait *)l)->session_id;
    const tkx__rest_text arg = tkx__rest_view(id, strlen(id));

    (void)body;
    return tkx__rest_route_print(&route, &arg, NULL, 0, path, err);
}

static bool is(const tkx_trace_export *trace, const char *status)
{
    return trace->status && strcmp(trace->status, status) == 0;
}

static int64_t look(tkx__rest_loop *l, void **answer, void **result, tkx_error **err)
{
    trace_wait *w = (trace_wait *)l;
    const tkx_trace_export *trace = *answer;

    if (is(trace, "pending")) {
        if (!w->has_said)
            tkx__log_write(l->task.service->site->log, TKX_LOG_INFO, "service",
                           "the trace of session %s is being made; asking every %d s",
                           w->session_id, ASK_EVERY_MS / 1000);
        w->has_said = true;
        return ASK_EVERY_MS;
    }
    if (is(trace, "ready") && trace->url) {
        *result = *answer;
        *answer = NULL;
    } else if (is(trace, "failed")) {
        tkx__fail(err, TKX_ERR_REQUEST_FAILED, "export_trace: the service failed: %s",
                  trace->error ? trace->error : "(no reason given)");
    } else {
        tkx__fail(err, TKX_ERR_PROTOCOL, "export_trace: status \"%s\" %s a link",
                  trace->status ? trace->status : "", trace->url ? "with" : "without");
    }
    return -1;
}

static void clear(tkx__rest_loop *l)
{
    tkx__free(((trace_wait *)l)->session_id);
}

tkx_status tkx_rest_wait_for_trace(tkx_rest *rest, const char *session_id,
                                   tkx_future **out, tkx_error **err)
{
    static const tkx__rest_loop_kind kind = {.route = &route,
                                             .result = &type_trace_export,
                                             .write = write_path,
                                             .look = look,
                                             .clear = clear};
    const tkx__rest_text arg =
        tkx__rest_view(session_id, session_id ? strlen(session_id) : 0);
    tkx__rest_loop *l;
    tkx__buf unused;

    tkx__buf_init(&unused, (size_t)16 << 10);
    tkx_status st = tkx__rest_route_print(&route, &arg, NULL, 0, &unused, err);
    tkx__buf_clear(&unused);
    if (st == TKX_OK)
        st = tkx__rest_loop_new(rest, &kind, sizeof(trace_wait), &l, out, err);
    if (st != TKX_OK)
        return st;
    ((trace_wait *)l)->session_id = tkx__strdup(session_id);
    if (((trace_wait *)l)->session_id)
        return tkx__task_launch(&l->task, out, err);
    tkx__task_drop(&l->task, out);
    return tkx__fail_memory(err);
}
