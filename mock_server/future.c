/* SPDX-License-Identifier: Apache-2.0 */
/*
 * future.c - the life of a promise behind its submit.
 *
 *     OPEN --recorded--> DONE | FAILED --retention over--> GONE
 *       \--cancel_future--> CANCELLED
 *
 * A held poll is answered when its op is settled or when its hold time ends: "try again"
 * while the op still waits, 408 while it runs (in the dialects that have both).
 */
#include "mock_server/future.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "mock_server/jw.h"
#include "mock_server/sweep.h"
#include "mock_server/util.h"
#include "mock_server/work.h"

void outcome_init(outcome *out)
{
    memset(out, 0, sizeof *out);
    tkx__buf_init(&out->json, (size_t)1 << 31);
    tkx__buf_init(&out->proto, (size_t)1 << 31);
    out->category = "unknown";
}

void outcome_clear(outcome *out)
{
    tkx__buf_clear(&out->json);
    tkx__buf_clear(&out->proto);
}

void outcome_fail(outcome *out, tkx_error **err)
{
    tkx_error_category category = tkx_error_get_category(*err);
    tkx_status st = tkx_error_status(*err);
    bool is_user = category == TKX_ERROR_CATEGORY_USER;
    if (category == TKX_ERROR_CATEGORY_UNKNOWN)
        is_user = st == TKX_ERR_INVALID_ARGUMENT || st == TKX_ERR_PARSE ||
                  st == TKX_ERR_NOT_FOUND || st == TKX_ERR_LIMIT ||
                  st == TKX_ERR_UNSUPPORTED || st == TKX_ERR_INVALID_STATE ||
                  st == TKX_ERR_PERMISSION;
    out->has_failed = true;
    out->category = is_user ? "user" : "server";
    snprintf(out->error, sizeof out->error, "%s", tkx_error_message(*err));
    tkx_error_free(*err);
    *err = NULL;
}

static bool is_replayed(const op *o)
{
    return o->kind == OP_FORWARD_BACKWARD || o->kind == OP_OPTIM_STEP;
}

tkx_status future_record(mock_server *srv, const op *o, const outcome *out,
                         tkx_error **err)
{
    static const char sql[] =
        "UPDATE promises SET state=?, json=?, proto=?, error=?, category=?, done_at=?,"
        " body=CASE WHEN ? THEN body END,"
        " cursor=CASE WHEN sampler_id IS NULL THEN NULL ELSE"
        "  (SELECT COALESCE(MAX(p.cursor),0)+1 FROM promises p"
        "   WHERE p.sampler_id=promises.sampler_id) END"
        " WHERE request_id=?";
    bool is_kept = is_replayed(o) && !out->has_failed;
    bool is_cancelled = o->kind == OP_SAMPLE && atomic_load(&o->is_cancelled);
    int64_t state = is_cancelled      ? PROMISE_CANCELLED
                    : out->has_failed ? PROMISE_FAILED
                                      : PROMISE_DONE;
    return db_run(srv->db, err, sql, "ibbssiis", state,
                  out->json.size ? (const void *)out->json.data : NULL, out->json.size,
                  out->proto.size ? (const void *)out->proto.data : NULL, out->proto.size,
                  out->has_failed ? out->error : NULL,
                  out->has_failed ? out->category : NULL, mock_now_ms(), (int64_t)is_kept,
                  o->request_id);
}

static void answer_failed(call *c, const char *error, const char *category)
{
    mock_dialect dialect = c->srv->opt.dialect;
    tkx__buf_reset(&c->out);
    if (dialect == DIALECT_SKYRL) {
        call_error(c, 400, "%s", error ? error : "failed");
        return;
    }
    if (dialect == DIALECT_TWINKLE && category && strcmp(category, "server") == 0)
        category = "Server";
    jw_fmt(&c->out, "{\"error\":%s,\"category\":%s}", error ? error : "failed", category);
    call_ok(c);
}

/* The result as the poll wants it, or the announcement of its size. */
static void answer_done(call *c, const void *json, size_t json_size, const void *proto,
                        size_t proto_size, bool has_proto)
{
    const mock_options *opt = &c->srv->opt;
    bool as_proto = has_proto && c->wants_proto && opt->dialect != DIALECT_TWINKLE;
    size_t size = as_proto ? proto_size : json_size;
    bool is_hosted = opt->dialect == DIALECT_HOSTED || opt->dialect == DIALECT_HOSTED25;
    call_ok(c);
    if (is_hosted && c->wants_metadata && size >= opt->metadata_bytes) {
        jw_fmt(&c->out,
               "{\"status\":\"complete_metadata\",\"response_payload_size\":%z,"
               "\"request_id\":%s}",
               size, c->request_id);
        return;
    }
    c->content_type = as_proto ? "application/x-protobuf" : "application/json";
    tkx__buf_append(&c->out, as_proto ? proto : json, size);
}

/* False when the promise is not settled in the records. */
static bool answer_from_records(call *c, const char *request_id)
{
    db_rows *rows = db_query(c->srv->db,
                             "SELECT state, json, proto, error, category, is_lost"
                             " FROM promises WHERE request_id=?",
                             "s", request_id);
    const void *json, *proto;
    size_t json_size, proto_size;
    int64_t state;
    if (!db_next(rows))
        return call_error(c, 404, "unknown request_id %s", request_id);
    state = db_int(rows, 5) ? PROMISE_GONE : db_int(rows, 0);
    if (state == PROMISE_GONE) {
        call_error(c, 410, "the promise %s is gone: its result is kept no longer",
                   request_id);
    } else if (state == PROMISE_DONE) {
        json = db_blob(rows, 1, &json_size);
        proto = db_blob(rows, 2, &proto_size);
        answer_done(c, json, json_size, proto, proto_size, !db_is_null(rows, 2));
    } else if (state == PROMISE_CANCELLED) {
        answer_failed(c, "cancelled by the client", "user");
    } else if (state == PROMISE_FAILED) {
        answer_failed(c, db_text(rows, 3), db_text(rows, 4));
    }
    db_done(rows);
    return state != PROMISE_OPEN;
}

static const char *queue_state(const op *o, char reason[128])
{
    const lane *l = o->lane;
    reason[0] = '\0';
    if (!l || o->is_running || l->is_running)
        return "active";
    if (l->head == o && o->seq_id > l->next_seq) {
        snprintf(reason, 128, "waiting for seq_id %lld", (long long)l->next_seq);
        return "active";
    }
    if (l->is_ready) {
        snprintf(reason, 128, "all workers of this server are busy");
        return "paused_capacity";
    }
    return "active";
}

static void answer_not_ready(call *c, const op *o)
{
    char reason[128];
    const char *state = queue_state(o, reason);
    mock_dialect dialect = c->srv->opt.dialect;
    if (dialect == DIALECT_SKYRL) {
        call_error(c, 408, "Timeout waiting for result");
        return;
    }
    if (dialect == DIALECT_TWINKLE) {
        tkx__buf_puts(&c->out, "{\"type\":\"try_again\"}");
        call_ok(c);
        return;
    }
    if (o->is_running) {
        jw_fmt(&c->out, "{\"detail\":\"still running\",\"queue_state\":%s", state);
        c->status = 408;
    } else {
        jw_fmt(&c->out, "{\"type\":\"try_again\",\"request_id\":%s,\"queue_state\":%s",
               o->request_id, state);
        call_ok(c);
    }
    if (reason[0])
        jw_fmt(&c->out, ",\"queue_state_reason\":%s", reason);
    tkx__buf_putc(&c->out, '}');
}

static int64_t hold_ms(const mock_options *opt)
{
    if (opt->hold_ms > 0)
        return opt->hold_ms;
    return opt->dialect == DIALECT_SKYRL ? 300000 : 30000;
}

bool future_retrieve(call *c, const char *request_id)
{
    op *o = op_table_get(&c->srv->ops, request_id);
    c->request_id = request_id;
    if (!o)
        return answer_from_records(c, request_id) ||
               call_error(c, 503, "the promise %s is being taken up again", request_id);
    c->deadline_ms = mock_mono_ms() + hold_ms(&c->srv->opt);
    c->next = o->waiters;
    o->waiters = c;
    return false;
}

static void write_completion(tkx__buf *out, db_rows *rows)
{
    bool is_done = db_int(rows, 1) == PROMISE_DONE;
    jw_fmt(out, "{\"state\":%s,\"request_id\":%s", is_done ? "finished" : "failed",
           db_text(rows, 0));
    if (is_done)
        jw_fmt(out, ",\"response_payload_uncompressed_size\":%d", db_int(rows, 3));
    tkx__buf_putc(out, '}');
}

/* How many completions were written. */
static size_t write_completions(call *c)
{
    db_rows *rows =
        db_query(c->srv->db,
                 "SELECT request_id, state, cursor, length(proto) FROM promises"
                 " WHERE sampler_id=? AND cursor>? AND state>0"
                 " AND seq_id/1000000000=? ORDER BY cursor LIMIT 1000",
                 "sii", c->request_id, c->wait_cursor, c->wait_copy);
    size_t n = 0;
    tkx__buf_reset(&c->out);
    tkx__buf_puts(&c->out, "{\"completions\":[");
    while (db_next(rows)) {
        if (n++)
            tkx__buf_putc(&c->out, ',');
        write_completion(&c->out, rows);
        c->wait_cursor = db_int(rows, 2);
    }
    jw_fmt(&c->out, "],\"cursor\":%d}", c->wait_cursor);
    call_ok(c);
    return n;
}

bool future_retrieve_completions(call *c, const char *sampler_id, int64_t copy,
                                 int64_t cursor)
{
    mock_server *srv = c->srv;
    c->request_id = sampler_id;
    c->wait_copy = copy;
    c->wait_cursor = cursor;
    if (write_completions(c) > 0 || c->deadline_ms == 0)
        return true;
    if (c->deadline_ms < 0)
        c->deadline_ms = hold_ms(&srv->opt);
    c->deadline_ms += mock_mono_ms();
    c->next = srv->completion_waiters;
    srv->completion_waiters = c;
    return false;
}

/* Answers held polls of retrieve_futures: of one sampler, or those that are overdue. */
static void wake_completions(mock_server *srv, const char *sampler_id, int64_t now)
{
    call **at = &srv->completion_waiters;
    while (*at) {
        call *c = *at;
        bool is_due = sampler_id ? strcmp(c->request_id, sampler_id) == 0 &&
                                       write_completions(c) > 0
                                 : c->deadline_ms <= now;
        if (!is_due) {
            at = &c->next;
            continue;
        }
        *at = c->next;
        if (!sampler_id)
            write_completions(c);
        call_done(c);
    }
}

void future_settle(mock_server *srv, op *o)
{
    call *c = o->waiters, *next;
    op_table_remove(&srv->ops, o);
    for (; c; c = next) {
        next = c->next;
        answer_from_records(c, o->request_id);
        call_done(c);
    }
    if (o->sampler_id)
        wake_completions(srv, o->sampler_id, 0);
    op_free(o);
}

static void end_polls(op *o, int64_t now)
{
    call **at = &o->waiters;
    while (*at) {
        call *c = *at;
        if (c->deadline_ms > now) {
            at = &c->next;
            continue;
        }
        *at = c->next;
        answer_not_ready(c, o);
        call_done(c);
    }
}

static void forget_old(mock_server *srv)
{
    db_run(srv->db, NULL,
           "UPDATE promises SET state=3, json=NULL, proto=NULL, error=NULL"
           " WHERE state IN (1,2,4) AND done_at<?",
           "i", mock_now_ms() - srv->opt.retain_s * 1000);
}

static bool is_due(int64_t *last_ms, int64_t now, int64_t period_ms)
{
    if (now - *last_ms < period_ms)
        return false;
    *last_ms = now;
    return true;
}

void future_tick(mock_server *srv)
{
    int64_t now = mock_mono_ms();
    for (size_t i = 0; srv->ops.n > 0 && i < OP_TABLE_SIZE; i++)
        for (op *o = srv->ops.slots[i]; o; o = o->hash_next)
            end_polls(o, now);
    wake_completions(srv, NULL, now);
    if (is_due(&srv->forgot_ms, now, 10000)) {
        forget_old(srv);
        sweep_expired(srv);
        sweep_sessions(srv);
    }
    if (is_due(&srv->freed_ms, now, 1000))
        work_forget_ended(srv);
}

void future_lose(mock_server *srv, const char *request_id)
{
    op *o = op_table_get(&srv->ops, request_id);
    db_run(srv->db, NULL,
           "INSERT INTO promises (request_id, kind, owner, state, created_at, is_lost)"
           " VALUES (?, 0, '', 3, ?, 1)"
           " ON CONFLICT (request_id) DO UPDATE SET is_lost=1",
           "si", request_id, mock_now_ms());
    if (!o)
        return;
    op_table_remove(&srv->ops, o);
    for (call *c = o->waiters, *next; c; c = next) {
        next = c->next;
        answer_from_records(c, request_id);
        call_done(c);
    }
    o->waiters = NULL;
}
