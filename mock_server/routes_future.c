/* SPDX-License-Identifier: Apache-2.0 */
/* routes_future.c - asking for promises, one by one or by sampling session. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "mock_server/future.h"
#include "mock_server/handlers.h"
#include "mock_server/jw.h"
#include "mock_server/util.h"

bool handle_retrieve(call *c)
{
    const jv *body, *metadata;
    const char *id, *accept = call_header_in(c, "Accept");
    if (!call_json(c, &body))
        return true;
    id = jv_get_str(body, "request_id");
    if (!id)
        return call_invalid(c, "request_id", "Input should be a valid string");
    metadata = jv_get(body, "allow_metadata_only");
    c->wants_metadata = metadata && metadata->is_true;
    c->wants_proto = mock_has_word(accept, "application/x-protobuf");
    return future_retrieve(c, id);
}

/* The payloads that the client has read may go. */
static void forget_payloads(call *c, const jv *list)
{
    for (const jv *id = list ? list->first : NULL; id; id = id->next)
        if (id->kind == JV_STRING)
            db_run(c->srv->db, NULL,
                   "UPDATE promises SET state=3, json=NULL, proto=NULL, error=NULL"
                   " WHERE request_id=? AND state IN (1, 2, 4)",
                   "s", id->text);
}

bool handle_retrieve_futures(call *c)
{
    const jv *body, *target, *timeout;
    const char *sampler;
    int64_t copy = 0, cursor = 0;
    double seconds;
    if (!call_json(c, &body))
        return true;
    target = jv_get(body, "target");
    sampler = jv_get_str(target, "sampling_session_id");
    if (!sampler)
        return call_invalid(c, "target", "a sampling_session_id is wanted");
    jv_i64(jv_get(target, "cloned_sampler_id"), &copy);
    jv_i64(jv_get(body, "prev_cursor"), &cursor);
    timeout = jv_get(body, "timeout");
    c->deadline_ms = -1; /* the server's own hold time */
    if (timeout && jv_f64(timeout, &seconds))
        c->deadline_ms =
            seconds > 0 ? (int64_t)(seconds > 3600 ? 3.6e6 : seconds * 1000) : 0;
    forget_payloads(c, jv_get(body, "retrieved_request_ids"));
    return future_retrieve_completions(c, sampler, copy, cursor);
}

bool handle_cancel(call *c)
{
    const jv *body;
    const char *id;
    op *o;
    if (!call_json(c, &body))
        return true;
    id = jv_get_str(body, "request_id");
    o = id ? op_table_get(&c->srv->ops, id) : NULL;
    if (o && o->kind == OP_SAMPLE)
        atomic_store(&o->is_cancelled, true);
    else if (!id || !db_scalar(c->srv->db, 0,
                               "SELECT 1 FROM promises WHERE request_id=? AND kind=?",
                               "si", id, (int64_t)OP_SAMPLE))
        return call_error(c, 404, "no sample has the request_id %s", id ? id : "(none)");
    c->status = 204;
    return true;
}
