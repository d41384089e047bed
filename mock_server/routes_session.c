/* SPDX-License-Identifier: Apache-2.0 */
/* routes_session.c - sessions: made, kept alive, finished, listed. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "mock_server/handlers.h"
#include "mock_server/jw.h"
#include "mock_server/query.h"
#include "mock_server/server.h"
#include "mock_server/submit.h"
#include "mock_server/util.h"

static void make_session_id(const call *c, char out[64])
{
    char uuid[MOCK_UUID_SIZE];
    mock_uuid(uuid);
    if (c->srv->opt.dialect == DIALECT_SKYRL)
        snprintf(out, 64, "session_%.8s", uuid);
    else if (c->srv->opt.dialect == DIALECT_TWINKLE)
        snprintf(out, 64, "session_%.8s%.4s%.4s%.4s%.12s", uuid, uuid + 9, uuid + 14,
                 uuid + 19, uuid + 24);
    else
        snprintf(out, 64, "%s", uuid);
}

bool handle_create_session(call *c)
{
    const jv *body;
    tkx_error *err = NULL;
    char id[64];
    int64_t now = mock_now_ms();
    if (!call_json(c, &body))
        return true;
    if (!jv_get(body, "tags") || !jv_get_str(body, "sdk_version"))
        return call_invalid(c, jv_get(body, "tags") ? "sdk_version" : "tags",
                            "Field required");
    make_session_id(c, id);
    if (db_run(c->srv->db, &err,
               "INSERT INTO sessions (session_id, owner, project_id, display_name, tags,"
               " user_metadata, sdk_version, created_at, last_seen)"
               " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
               "sssssssii", id, c->owner, jv_get_str(body, "project_id"),
               jv_get_str(body, "display_name"), query_text(c, jv_get(body, "tags")),
               query_text(c, jv_get(body, "user_metadata")),
               jv_get_str(body, "sdk_version"), now, now) != TKX_OK)
        return call_fail(c, &err);
    jw_fmt(&c->out,
           "{\"type\":\"create_session\",\"session_id\":%s,\"info_message\":null,"
           "\"warning_message\":null,\"error_message\":null}",
           id);
    return call_ok(c);
}

bool handle_heartbeat(call *c)
{
    const jv *body;
    const char *id;
    if (!call_json(c, &body))
        return true;
    id = jv_get_str(body, "session_id");
    if (!session_is_alive(c, id))
        return true;
    db_run(c->srv->db, NULL, "UPDATE sessions SET last_seen=? WHERE session_id=?", "is",
           mock_now_ms(), id);
    tkx__buf_puts(&c->out, "{\"type\":\"session_heartbeat\"}");
    return call_ok(c);
}

static bool reason_is_known(const char *reason)
{
    return reason && (strcmp(reason, "success") == 0 || strcmp(reason, "errored") == 0 ||
                      strcmp(reason, "interrupted") == 0);
}

bool handle_finish(call *c)
{
    const jv *body;
    const char *id = c->params[0], *reason;
    mock_db *db = c->srv->db;
    char time[MOCK_TIME_SIZE];
    db_rows *rows;
    if (!call_json(c, &body))
        return true;
    reason = jv_get_str(jv_get(body, "reason"), "type");
    if (!reason_is_known(reason))
        return call_invalid(c, "reason", "type is success, errored or interrupted");
    db_run(db, NULL,
           "UPDATE sessions SET finished_at=COALESCE(finished_at, ?), finish_reason=?,"
           " finish_detail=? WHERE session_id=? AND finish_reason IS NULL",
           "isss", mock_now_ms(), reason, jv_get_str(body, "detail"), id);
    rows = db_query(db,
                    "SELECT finish_reason, finish_detail, finished_at FROM sessions"
                    " WHERE session_id=?",
                    "s", id);
    if (!db_next(rows))
        return call_error(c, 404, "session %s not found", id);
    mock_time_text(db_int(rows, 2), time);
    jw_fmt(&c->out, "{\"session_id\":%s,\"reason\":%s,\"detail\":%s,\"finished_at\":%s}",
           id, db_text(rows, 0), db_text(rows, 1), time);
    db_done(rows);
    return call_ok(c);
}

bool handle_list_sessions(call *c)
{
    query_page page;
    db_rows *rows;
    bool is_first = true;
    if (!query_read_page(c, 20, &page))
        return true;
    rows = db_query(c->srv->db,
                    "SELECT session_id FROM sessions WHERE owner LIKE ?"
                    " ORDER BY created_at DESC, rowid DESC LIMIT ? OFFSET ?",
                    "sii", query_owner(c), page.limit, page.offset);
    tkx__buf_puts(&c->out, "{\"sessions\":[");
    for (; db_next(rows); is_first = false)
        jw_fmt(&c->out, "%r%s", is_first ? "" : ",", db_text(rows, 0));
    tkx__buf_puts(&c->out, "]}");
    return call_ok(c);
}

static void write_ids(call *c, const char *name, db_rows *rows)
{
    bool is_first = true;
    jw_fmt(&c->out, "%s:[", name);
    for (; db_next(rows); is_first = false)
        jw_fmt(&c->out, "%r%s", is_first ? "" : ",", db_text(rows, 0));
    tkx__buf_puts(&c->out, "],");
}

bool handle_get_session(call *c)
{
    mock_db *db = c->srv->db;
    const char *id = c->params[0];
    db_rows *rows = db_query(db,
                             "SELECT user_metadata, display_name FROM sessions"
                             " WHERE session_id=? AND owner LIKE ?",
                             "ss", id, query_owner(c));
    if (!db_next(rows))
        return call_error(c, 404, "session %s not found", id);
    tkx__buf_putc(&c->out, '{');
    write_ids(c, "training_run_ids",
              db_query(db,
                       "SELECT model_id FROM models WHERE session_id=? ORDER BY rowid",
                       "s", id));
    write_ids(
        c, "sampler_ids",
        db_query(db, "SELECT sampler_id FROM samplers WHERE session_id=? ORDER BY rowid",
                 "s", id));
    jw_fmt(&c->out, "\"user_metadata\":%r", db_text(rows, 0));
    if (c->srv->opt.dialect == DIALECT_HOSTED)
        jw_fmt(&c->out, ",\"display_name\":%s", db_text(rows, 1));
    tkx__buf_putc(&c->out, '}');
    db_done(rows);
    return call_ok(c);
}

bool handle_session_project(call *c)
{
    const jv *body;
    const char *project;
    if (!call_json(c, &body))
        return true;
    project = jv_get_str(body, "project_id");
    if (!project)
        return call_error(c, 400, "project_id is missing");
    db_run(c->srv->db, NULL,
           "UPDATE sessions SET project_id=? WHERE session_id=? AND owner=?", "sss",
           project, c->params[0], c->owner);
    if (db_changes(c->srv->db) == 0)
        return call_error(c, 404, "session %s not found", c->params[0]);
    db_run(c->srv->db, NULL, "UPDATE models SET project_id=? WHERE session_id=?", "ss",
           project, c->params[0]);
    return call_empty(c);
}
