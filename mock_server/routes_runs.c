/* SPDX-License-Identifier: Apache-2.0 */
/* routes_runs.c - training runs and checkpoints, read from the records. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "mock_server/handlers.h"
#include "mock_server/jw.h"
#include "mock_server/paths.h"
#include "mock_server/query.h"
#include "mock_server/util.h"

#define CHECKPOINT_COLUMNS                                                               \
    "kind, name, created_at, tinker_path, size_bytes, is_public, user_metadata, "        \
    "expires_at"
#define IS_LIVE "(expires_at IS NULL OR expires_at>?)"

/* A row of CHECKPOINT_COLUMNS, at the given first column. */
static void write_checkpoint(call *c, db_rows *rows, int at)
{
    tkx__buf *out = &c->out;
    const char *kind = db_text(rows, at), *name = db_text(rows, at + 1);
    mock_dialect dialect = c->srv->opt.dialect;
    if (dialect == DIALECT_SKYRL)
        jw_fmt(out, "{\"checkpoint_id\":%s", name);
    else
        jw_fmt(out, "{\"checkpoint_id\":\"%r/%r\"", kind, name);
    jw_fmt(out, ",\"checkpoint_type\":%s,\"time\":", checkpoint_type_of(kind));
    query_write_time(out, rows, at + 2);
    jw_fmt(out, ",\"tinker_path\":%s", db_text(rows, at + 3));
    if (dialect != DIALECT_SKYRL) {
        jw_fmt(out, ",\"size_bytes\":%d,\"public\":%b", db_int(rows, at + 4),
               (int)db_int(rows, at + 5));
        tkx__buf_puts(out, ",\"expires_at\":");
        query_write_time(out, rows, at + 7);
    }
    if (dialect == DIALECT_HOSTED)
        jw_fmt(out, ",\"user_metadata\":%r", db_text(rows, at + 6));
    tkx__buf_putc(out, '}');
}

/* Rows of CHECKPOINT_COLUMNS; external ones are unknown to the 0.25 generation. */
static void write_checkpoints(call *c, db_rows *rows)
{
    bool is_first = true;
    tkx__buf_puts(&c->out, "\"checkpoints\":[");
    for (; db_next(rows); is_first = false) {
        if (!is_first)
            tkx__buf_putc(&c->out, ',');
        write_checkpoint(c, rows, 0);
    }
    tkx__buf_putc(&c->out, ']');
}

static void write_last(call *c, const char *name, const char *run, const char *kind)
{
    db_rows *rows =
        db_query(c->srv->db,
                 "SELECT " CHECKPOINT_COLUMNS " FROM checkpoints WHERE run=?"
                 " AND kind=? AND " IS_LIVE " ORDER BY created_at DESC LIMIT 1",
                 "ssi", run, kind, mock_now_ms());
    jw_fmt(&c->out, ",%s:", name);
    if (!db_next(rows)) {
        tkx__buf_puts(&c->out, "null");
        return;
    }
    write_checkpoint(c, rows, 0);
    db_done(rows);
}

#define RUN_COLUMNS                                                                      \
    "model_id, base_model, owner, is_corrupted, rank, last_request, user_metadata"

static void write_run(call *c, db_rows *rows)
{
    const char *id = db_text(rows, 0);
    jw_fmt(
        &c->out,
        "{\"training_run_id\":%s,\"base_model\":%s,\"model_owner\":%s,\"is_lora\":true,"
        "\"corrupted\":%b,\"lora_rank\":%d,\"last_request_time\":",
        id, db_text(rows, 1), db_text(rows, 2), (int)db_int(rows, 3), db_int(rows, 4));
    query_write_time(&c->out, rows, 5);
    write_last(c, "last_checkpoint", id, "weights");
    write_last(c, "last_sampler_checkpoint", id, "sampler_weights");
    jw_fmt(&c->out, ",\"user_metadata\":%r}", db_text(rows, 6));
}

bool handle_list_runs(call *c)
{
    const char *project = call_query(c, "project_id"), *owner = query_owner(c);
    mock_db *db = c->srv->db;
    query_page page;
    db_rows *rows;
    bool is_first = true;
    int64_t total;
    if (!query_read_page(c, 20, &page))
        return true;
    total = db_scalar(db, 0,
                      "SELECT COUNT(*) FROM models WHERE owner LIKE ?"
                      " AND (? IS NULL OR project_id=?)",
                      "sss", owner, project, project);
    rows = db_query(db,
                    "SELECT " RUN_COLUMNS " FROM models WHERE owner LIKE ?"
                    " AND (? IS NULL OR project_id=?)"
                    " ORDER BY last_request DESC, rowid DESC LIMIT ? OFFSET ?",
                    "sssii", owner, project, project, page.limit, page.offset);
    tkx__buf_puts(&c->out, "{\"training_runs\":[");
    for (; db_next(rows); is_first = false) {
        if (!is_first)
            tkx__buf_putc(&c->out, ',');
        write_run(c, rows);
    }
    tkx__buf_puts(&c->out, "],");
    query_write_cursor(c, &page, total);
    tkx__buf_putc(&c->out, '}');
    return call_ok(c);
}

bool handle_get_run(call *c)
{
    db_rows *rows = db_query(c->srv->db,
                             "SELECT " RUN_COLUMNS " FROM models WHERE model_id=?"
                             " AND owner LIKE ?",
                             "ss", c->params[0], query_owner(c));
    if (!db_next(rows))
        return call_error(c, 404, "training run %s not found", c->params[0]);
    write_run(c, rows);
    db_done(rows);
    return call_ok(c);
}

bool handle_run_checkpoints(call *c)
{
    mock_db *db = c->srv->db;
    int64_t now = mock_now_ms();
    int64_t has_external = c->srv->opt.dialect == DIALECT_HOSTED;
    query_page page = {.limit = 1000};
    if (!db_scalar(db, 0, "SELECT 1 FROM models WHERE model_id=? AND owner=?", "ss",
                   c->params[0], c->owner))
        return call_error(c, 404, "training run %s not found", c->params[0]);
    tkx__buf_putc(&c->out, '{');
    write_checkpoints(c, db_query(db,
                                  "SELECT " CHECKPOINT_COLUMNS
                                  " FROM checkpoints WHERE run=? AND " IS_LIVE
                                  " AND (kind<>'external_weights' OR ?)"
                                  " ORDER BY created_at DESC, rowid DESC",
                                  "sii", c->params[0], now, has_external));
    if (c->srv->opt.dialect != DIALECT_SKYRL) {
        tkx__buf_putc(&c->out, ',');
        query_write_cursor(c, &page,
                           db_scalar(db, 0,
                                     "SELECT COUNT(*) FROM checkpoints WHERE run=?"
                                     " AND " IS_LIVE,
                                     "si", c->params[0], now));
    }
    tkx__buf_putc(&c->out, '}');
    return call_ok(c);
}

bool handle_list_checkpoints(call *c)
{
    mock_db *db = c->srv->db;
    int64_t now = mock_now_ms();
    int64_t has_external = c->srv->opt.dialect == DIALECT_HOSTED;
    query_page page;
    if (!query_read_page(c, 100, &page))
        return true;
    tkx__buf_putc(&c->out, '{');
    write_checkpoints(
        c, db_query(db,
                    "SELECT " CHECKPOINT_COLUMNS
                    " FROM checkpoints WHERE owner=? AND " IS_LIVE
                    " AND (kind<>'external_weights' OR ?)"
                    " ORDER BY created_at DESC, rowid DESC LIMIT ? OFFSET ?",
                    "siiii", c->owner, now, has_external, page.limit, page.offset));
    tkx__buf_putc(&c->out, ',');
    query_write_cursor(
        c, &page,
        db_scalar(db, 0, "SELECT COUNT(*) FROM checkpoints WHERE owner=? AND " IS_LIVE,
                  "si", c->owner, now));
    tkx__buf_putc(&c->out, '}');
    return call_ok(c);
}

static bool text_in_list(const jv *list, const char *text)
{
    if (!list)
        return true;
    for (const jv *m = list->first; m; m = m->next)
        if (m->kind == JV_STRING && text && strcmp(m->text, text) == 0)
            return true;
    return false;
}

/* Newest first, behind the cursor of the last page. */
bool handle_search_checkpoints(call *c)
{
    const jv *body, *cursor;
    const char *type, *owner_type;
    int64_t limit = 50, before = INT64_MAX, n = 0;
    db_rows *rows;
    char last[640] = "";
    int64_t last_at = 0;
    bool has_more = false;
    if (!call_json(c, &body))
        return true;
    cursor = jv_get(body, "cursor");
    type = jv_get_str(body, "checkpoint_type");
    owner_type = jv_get_str(jv_get(body, "owner"), "type");
    if (jv_get(body, "limit") &&
        (!jv_i64(jv_get(body, "limit"), &limit) || limit < 1 || limit > 200))
        return call_invalid(c, "limit", "1 to 200");
    if (cursor && !mock_parse_time(jv_get_str(cursor, "last_created_at"), &before))
        return call_invalid(c, "cursor", "last_created_at is a time");
    rows = db_query(
        c->srv->db,
        "SELECT " CHECKPOINT_COLUMNS ", base_model, project_id FROM checkpoints"
        " WHERE owner LIKE ? AND " IS_LIVE " AND created_at<=?"
        " ORDER BY created_at DESC, rowid DESC",
        "sii", owner_type && strcmp(owner_type, "accessible") == 0 ? "%" : c->owner,
        mock_now_ms(), before);
    bool is_behind = !cursor;
    tkx__buf_puts(&c->out, "{\"checkpoints\":[");
    while (db_next(rows)) {
        const char *uuid = jv_get_str(cursor, "last_checkpoint_uuid");
        if (!is_behind) {
            is_behind = uuid && strcmp(uuid, db_text(rows, 3)) == 0;
            continue;
        }
        if ((type && strcmp(type, checkpoint_type_of(db_text(rows, 0))) != 0) ||
            !text_in_list(jv_get(body, "base_models"), db_text(rows, 8)) ||
            !text_in_list(jv_get(body, "project_ids"), db_text(rows, 9)) ||
            !query_metadata_fits(c, jv_get(body, "user_metadata"), db_text(rows, 6)))
            continue;
        if (n++ == limit) {
            has_more = true;
            db_done(rows);
            break;
        }
        if (n > 1)
            tkx__buf_putc(&c->out, ',');
        write_checkpoint(c, rows, 0);
        last_at = db_int(rows, 2);
        snprintf(last, sizeof last, "%s", db_text(rows, 3));
    }
    tkx__buf_putc(&c->out, ']');
    if (has_more) {
        char time[MOCK_TIME_SIZE];
        mock_time_text(last_at, time);
        jw_fmt(&c->out,
               ",\"next_cursor\":{\"last_created_at\":%s,\"last_checkpoint_uuid\":%s}",
               time, last);
    }
    tkx__buf_putc(&c->out, '}');
    return call_ok(c);
}

bool handle_weights_info(call *c)
{
    const jv *body;
    checkpoint_row row;
    tkx_error *err = NULL;
    if (!call_json(c, &body))
        return true;
    if (checkpoint_find(c->srv, jv_get_str(body, "tinker_path"), c->owner, NULL, &row,
                        &err) != TKX_OK)
        return call_fail(c, &err);
    if (c->srv->opt.dialect == DIALECT_SKYRL && strcmp(row.kind, "weights") != 0)
        return call_error(c, 400, "weights_info takes training checkpoints");
    jw_fmt(&c->out, "{\"base_model\":%s,\"is_lora\":true,\"lora_rank\":%z",
           row.base_model, row.lora.rank);
    if (c->srv->opt.dialect != DIALECT_SKYRL)
        jw_fmt(&c->out, ",\"train_unembed\":%b,\"train_mlp\":%b,\"train_attn\":%b",
               (int)row.lora.train_unembed, (int)row.lora.train_mlp,
               (int)row.lora.train_attn);
    if (c->srv->opt.dialect == DIALECT_HOSTED)
        jw_fmt(&c->out, ",\"optimizer_config\":%r", row.optimizer);
    tkx__buf_putc(&c->out, '}');
    return call_ok(c);
}
