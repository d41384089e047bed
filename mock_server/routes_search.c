/* SPDX-License-Identifier: Apache-2.0 */
/* routes_search.c - sessions/search: filters, status, pages by cursor. */
#include <stdio.h>
#include <string.h>

#include "mock_server/handlers.h"
#include "mock_server/jw.h"
#include "mock_server/query.h"
#include "mock_server/util.h"

enum { SILENT_MS = 120000 }; /* without a heartbeat that long it is not known to run */

typedef struct filter {
    const char *session_id;
    const char *display_name;
    const jv *user_metadata;
    const jv *project_ids;
    const jv *statuses;
    const jv *owner_urns;
    bool is_accessible;
    int64_t limit;
    int64_t before_ms;
    const char *before_id; /* NULL: from the newest on */
} filter;

static bool read_filter(call *c, const jv *body, filter *out)
{
    const jv *owner = jv_get(body, "owner"), *cursor = jv_get(body, "cursor");
    const char *type = jv_get_str(owner, "type");
    *out = (filter){.session_id = jv_get_str(body, "session_id"),
                    .display_name = jv_get_str(body, "display_name"),
                    .user_metadata = jv_get(body, "user_metadata"),
                    .project_ids = jv_get(body, "project_ids"),
                    .statuses = jv_get(body, "statuses"),
                    .limit = 50,
                    .before_ms = INT64_MAX};
    out->is_accessible = type && strcmp(type, "own") != 0;
    if (type && strcmp(type, "user") == 0) {
        out->owner_urns = jv_get(owner, "owner_urns");
        if (!out->owner_urns || out->owner_urns->n < 1 || out->owner_urns->n > 10)
            return !call_invalid(c, "owner", "1 to 10 owner_urns");
    }
    if (jv_get(body, "limit") && (!jv_i64(jv_get(body, "limit"), &out->limit) ||
                                  out->limit < 1 || out->limit > 200))
        return !call_invalid(c, "limit", "1 to 200");
    if (out->display_name && !*out->display_name)
        return !call_invalid(c, "display_name", "at least one character");
    if (cursor) {
        out->before_id = jv_get_str(cursor, "last_session_id");
        if (!out->before_id ||
            !mock_parse_time(jv_get_str(cursor, "last_created_at"), &out->before_ms))
            return !call_invalid(c, "cursor", "the next_cursor of an earlier page");
    }
    return true;
}

static bool list_has(const jv *list, const char *text)
{
    for (const jv *m = list->first; m; m = m->next)
        if (m->kind == JV_STRING && text && strcmp(m->text, text) == 0)
            return true;
    return false;
}

/* Each word of the wanted name stands in the other one, in any case. */
static bool name_fits(const char *wanted, const char *name)
{
    char word[256];
    int used;
    for (; sscanf(wanted, "%255s%n", word, &used) == 1; wanted += used)
        if (!mock_has_word(name, word))
            return false;
    return name != NULL;
}

enum {
    COL_ID,
    COL_CREATED,
    COL_OWNER,
    COL_PROJECT,
    COL_NAME,
    COL_METADATA,
    COL_FINISHED,
    COL_REASON,
    COL_DETAIL,
    COL_SEEN,
    COL_N_CHECKPOINTS,
    COL_BYTES
};

/* One that timed out is neither finished nor known to run. */
static const char *status_of(db_rows *rows)
{
    if (!db_is_null(rows, COL_FINISHED))
        return db_is_null(rows, COL_REASON) ? NULL : "client_finished";
    return mock_now_ms() - db_int(rows, COL_SEEN) < SILENT_MS ? "active" : NULL;
}

static bool status_fits(const filter *f, db_rows *rows)
{
    const char *status = status_of(rows);
    if (!f->statuses)
        return true;
    for (const jv *s = f->statuses->first; s; s = s->next) {
        const char *type = jv_get_str(s, "type");
        const jv *reasons = jv_get(s, "reasons");
        if (status && type && strcmp(type, status) == 0 &&
            (!reasons || list_has(reasons, db_text(rows, COL_REASON))))
            return true;
    }
    return false;
}

static bool row_fits(call *c, const filter *f, db_rows *rows)
{
    bool by_id = f->session_id && strcmp(f->session_id, db_text(rows, COL_ID)) == 0;
    bool by_name = f->display_name && name_fits(f->display_name, db_text(rows, COL_NAME));
    if ((f->session_id || f->display_name) && !by_id && !by_name)
        return false;
    if (f->project_ids && !list_has(f->project_ids, db_text(rows, COL_PROJECT)))
        return false;
    if (f->owner_urns && !list_has(f->owner_urns, db_text(rows, COL_OWNER)))
        return false;
    return status_fits(f, rows) &&
           query_metadata_fits(c, f->user_metadata, db_text(rows, COL_METADATA));
}

static void write_row(tkx__buf *out, db_rows *rows)
{
    const char *status = status_of(rows), *project = db_text(rows, COL_PROJECT);
    jw_fmt(out, "{\"session_id\":%s,\"created_at\":", db_text(rows, COL_ID));
    query_write_time(out, rows, COL_CREATED);
    jw_fmt(out, ",\"owner\":%s,\"project_id\":%s,\"checkpoints_count\":%d,\"status\":",
           db_text(rows, COL_OWNER), project ? project : "default",
           db_int(rows, COL_N_CHECKPOINTS));
    if (!status)
        tkx__buf_puts(out, "null");
    else if (*status == 'a')
        tkx__buf_puts(out, "{\"type\":\"active\"}");
    else
        jw_fmt(out, "{\"type\":%s,\"reason\":{\"type\":%s},\"detail\":%s}", status,
               db_text(rows, COL_REASON), db_text(rows, COL_DETAIL));
    jw_fmt(out,
           ",\"display_name\":%s,\"user_metadata\":%r,\"checkpoint_storage_bytes\":%d}",
           db_text(rows, COL_NAME), db_text(rows, COL_METADATA), db_int(rows, COL_BYTES));
}

static void write_next(call *c, int64_t at, const char *id)
{
    char time[MOCK_TIME_SIZE];
    mock_time_text(at, time);
    jw_fmt(&c->out, ",\"next_cursor\":{\"last_created_at\":%s,\"last_session_id\":%s}",
           time, id);
}

static void write_page(call *c, const filter *f, db_rows *rows)
{
    bool is_behind = !f->before_id, has_more = false;
    int64_t n = 0, last_at = 0;
    char last_id[256] = "";
    while (db_next(rows)) {
        if (!is_behind) {
            is_behind = strcmp(f->before_id, db_text(rows, COL_ID)) == 0;
            continue;
        }
        if (!row_fits(c, f, rows))
            continue;
        if (n++ == f->limit) {
            has_more = true;
            db_done(rows);
            break;
        }
        if (n > 1)
            tkx__buf_putc(&c->out, ',');
        write_row(&c->out, rows);
        last_at = db_int(rows, COL_CREATED);
        snprintf(last_id, sizeof last_id, "%s", db_text(rows, COL_ID));
    }
    tkx__buf_putc(&c->out, ']');
    if (has_more)
        write_next(c, last_at, last_id);
}

bool handle_search_sessions(call *c)
{
    const jv *body;
    filter f;
    if (!call_json(c, &body) || !read_filter(c, body, &f))
        return true;
    tkx__buf_puts(&c->out, "{\"sessions\":[");
    write_page(
        c, &f,
        db_query(c->srv->db,
                 "SELECT s.session_id, s.created_at, s.owner, s.project_id,"
                 " s.display_name, s.user_metadata, s.finished_at, s.finish_reason,"
                 " s.finish_detail, s.last_seen,"
                 " (SELECT COUNT(*) FROM checkpoints k JOIN models m"
                 "  ON m.model_id=k.run WHERE m.session_id=s.session_id),"
                 " (SELECT COALESCE(SUM(k.size_bytes),0) FROM checkpoints k"
                 "  JOIN models m ON m.model_id=k.run"
                 "  WHERE m.session_id=s.session_id)"
                 " FROM sessions s WHERE s.owner LIKE ? AND s.created_at<=?"
                 " ORDER BY s.created_at DESC, s.rowid DESC",
                 "si", f.is_accessible ? "%" : c->owner, f.before_ms));
    tkx__buf_putc(&c->out, '}');
    return call_ok(c);
}
