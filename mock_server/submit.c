/* SPDX-License-Identifier: Apache-2.0 */
/*
 * submit.c - a promise is in the records before its handle goes out, so a crash behind
 * the answer loses nothing, and one before it leaves nothing that the client does not
 * resend.
 */
#include "mock_server/submit.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "mock_server/future.h"
#include "mock_server/jw.h"
#include "mock_server/sweep.h"
#include "mock_server/util.h"
#include "mock_server/work.h"

/* SkyRL and twinkle drop the record of a session that timed out. */
static bool refuse_session(call *c, const char *session_id, bool has_reason)
{
    mock_dialect dialect = c->srv->opt.dialect;
    if (has_reason)
        return !call_error(c, 410, "session %s is finished", session_id);
    if (dialect == DIALECT_SKYRL || dialect == DIALECT_TWINKLE)
        return !call_error(c, 404, "session %s not found", session_id);
    return !call_error(c, 410, "session %s has ended: no heartbeat came for %lld ms",
                       session_id, (long long)c->srv->opt.session_ms);
}

bool session_is_alive(call *c, const char *session_id)
{
    db_rows *rows;
    bool is_finished, has_reason;
    if (!session_id) {
        call_invalid(c, "session_id", "Field required");
        return false;
    }
    sweep_sessions(c->srv);
    rows = db_query(c->srv->db,
                    "SELECT finished_at, finish_reason FROM sessions WHERE session_id=?",
                    "s", session_id);
    if (!db_next(rows)) {
        call_error(c, 404, "session %s not found", session_id);
        return false;
    }
    is_finished = !db_is_null(rows, 0);
    has_reason = !db_is_null(rows, 1);
    db_done(rows);
    return !is_finished || refuse_session(c, session_id, has_reason);
}

static void make_request_id(call *c, const op_spec *spec, char out[640])
{
    mock_server *srv = c->srv;
    char uuid[MOCK_UUID_SIZE];
    const char *owner_id = spec->model_id ? spec->model_id : spec->sampler_id;
    mock_uuid(uuid);
    switch (srv->opt.dialect) {
    case DIALECT_SKYRL:
        snprintf(out, 640, "%lld",
                 (long long)db_scalar(
                     srv->db, 1, "SELECT COALESCE(MAX(rowid),0)+1 FROM promises", ""));
        return;
    case DIALECT_TWINKLE:
        snprintf(out, 640, "req_%.8s%.4s%.4s%.4s%.12s", uuid, uuid + 9, uuid + 14,
                 uuid + 19, uuid + 24);
        return;
    case DIALECT_HOSTED:
    case DIALECT_HOSTED25:
        break;
    }
    if (owner_id && spec->seq_id >= 0)
        snprintf(out, 640, "%s:%lld", owner_id, (long long)spec->seq_id);
    else
        snprintf(out, 640, "%s:%s-%.8s", owner_id ? owner_id : "sample",
                 op_kind_name(spec->kind), uuid);
}

static bool write_handle(call *c, const op_spec *spec, const char *request_id,
                         size_t n_samples)
{
    mock_dialect dialect = c->srv->opt.dialect;
    c->request_id = call_keep(c, request_id);
    jw_fmt(&c->out, "{\"request_id\":%s", request_id);
    if (spec->kind == OP_CREATE_MODEL)
        jw_fmt(&c->out, ",\"model_id\":%s", spec->model_id);
    if (dialect == DIALECT_SKYRL)
        jw_fmt(&c->out, ",\"future_id\":%s,\"status\":\"pending\"", request_id);
    if (n_samples > 0 && dialect == DIALECT_HOSTED) {
        tkx__buf_puts(&c->out, ",\"sample_sequence_ids\":[");
        for (size_t i = 0; i < n_samples; i++)
            jw_fmt(&c->out, "%r\"%r/%z\"", i ? "," : "", request_id, i);
        tkx__buf_putc(&c->out, ']');
    }
    tkx__buf_putc(&c->out, '}');
    return call_ok(c);
}

/* The promise that has this number already; false when there is none. */
static bool find_earlier(call *c, const op_spec *spec, size_t n_samples)
{
    mock_db *db = c->srv->db;
    db_rows *rows;
    bool is_same;
    char id[640];
    if (spec->seq_id < 0 || (!spec->model_id && !spec->sampler_id))
        return false;
    rows = spec->model_id ? db_query(db,
                                     "SELECT request_id, sha256, kind FROM promises"
                                     " WHERE model_id=? AND seq_id=?",
                                     "si", spec->model_id, spec->seq_id)
                          : db_query(db,
                                     "SELECT request_id, sha256, kind FROM promises"
                                     " WHERE sampler_id=? AND seq_id=?",
                                     "si", spec->sampler_id, spec->seq_id);
    if (!db_next(rows))
        return false;
    is_same = db_int(rows, 2) == (int64_t)spec->kind && db_text(rows, 1) &&
              strcmp(db_text(rows, 1), spec->sha256) == 0;
    snprintf(id, sizeof id, "%s", db_text(rows, 0));
    db_done(rows);
    if (is_same)
        return write_handle(c, spec, id, n_samples);
    return call_error(c, 409, "seq_id %lld of %s was used with another request already",
                      (long long)spec->seq_id,
                      spec->model_id ? spec->model_id : spec->sampler_id);
}

static tkx_status record(call *c, const op_spec *spec, tkx_error **err)
{
    return db_run(
        c->srv->db, err,
        "INSERT INTO promises (request_id, kind, owner, session_id, model_id,"
        " sampler_id, seq_id, sha256, body, is_proto, seed, source, base_model,"
        " created_at) VALUES (?, ?, ?, ?, ?, ?, CASE WHEN ?<0 THEN NULL ELSE ? END,"
        " ?, ?, ?, ?, ?, ?, ?)",
        "sissssiisbiissi", spec->request_id, (int64_t)spec->kind, spec->owner,
        spec->session_id, spec->model_id, spec->sampler_id, spec->seq_id, spec->seq_id,
        spec->sha256, spec->body ? spec->body : "", spec->body_size,
        (int64_t)spec->is_proto, (int64_t)spec->seed, spec->source, spec->base_model,
        mock_now_ms());
}

bool submit_op(call *c, const op_spec *given, size_t n_samples)
{
    mock_server *srv = c->srv;
    op_spec whole = *given;
    op_spec *spec = &whole;
    tkx_error *err = NULL;
    char id[640], sha256[MOCK_SHA_SIZE];
    op *o;
    if (!spec->sha256) {
        mock_sha256_hex(spec->body, spec->body_size, sha256);
        spec->sha256 = sha256;
    }
    if (find_earlier(c, spec, n_samples))
        return true;
    if (!spec->request_id) {
        make_request_id(c, spec, id);
        spec->request_id = id;
    }
    spec->owner = c->owner;
    o = op_new(spec);
    if (!o)
        return call_error(c, 500, "out of memory");
    if (record(c, spec, &err) != TKX_OK) {
        op_free(o);
        return call_fail(c, &err);
    }
    if (spec->model_id)
        db_run(srv->db, NULL, "UPDATE models SET last_request=? WHERE model_id=?", "is",
               mock_now_ms(), spec->model_id);
    work_submit(srv, o, spec->model_id);
    return write_handle(c, spec, spec->request_id, n_samples);
}

bool submit_done(call *c, const op_spec *given, const char *json)
{
    op_spec spec = *given;
    tkx_error *err = NULL;
    outcome done;
    op *o;
    tkx_status st;
    spec.owner = c->owner;
    o = op_new(&spec);
    if (!o)
        return call_error(c, 500, "out of memory");
    outcome_init(&done);
    tkx__buf_puts(&done.json, json);
    st = record(c, &spec, &err);
    if (st == TKX_OK)
        st = future_record(c->srv, o, &done, &err);
    outcome_clear(&done);
    op_free(o);
    return st == TKX_OK ? write_handle(c, &spec, spec.request_id, 0) : call_fail(c, &err);
}
