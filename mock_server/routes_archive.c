/* SPDX-License-Identifier: Apache-2.0 */
/*
 * routes_archive.c - checkpoints as files: the archive route, links per file, and what
 * the links lead to.  A file is made anew for every request and is the same every time.
 */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "mock_server/archive.h"
#include "mock_server/handlers.h"
#include "mock_server/jw.h"
#include "mock_server/links.h"
#include "mock_server/nn/checkpoint.h"
#include "mock_server/paths.h"
#include "mock_server/snapshots.h"
#include "mock_server/util.h"

/* Under the lock: when the archive of a checkpoint is done, as if building took its
   time. */
static int64_t ready_at(mock_server *srv, const char *path)
{
    db_run(
        srv->db, NULL,
        "UPDATE checkpoints SET archive_at=? WHERE tinker_path=? AND archive_at IS NULL",
        "is", mock_now_ms() + srv->opt.archive_delay_ms, path);
    return db_scalar(srv->db, 0, "SELECT archive_at FROM checkpoints WHERE tinker_path=?",
                     "s", path);
}

static bool answer_link(call *c, const char *path)
{
    mock_dialect dialect = c->srv->opt.dialect;
    int64_t life_ms = dialect == DIALECT_SKYRL ? 120 * 60000 : LINK_LIFE_MS;
    int64_t expires_ms = mock_now_ms() + life_ms;
    char link[LINK_SIZE], time[MOCK_TIME_SIZE];
    link_make(c, path, dialect == DIALECT_SKYRL ? "archive.tar.gz" : "archive.tar",
              expires_ms, link);
    if (dialect == DIALECT_HOSTED) {
        mock_time_text(expires_ms, time);
        jw_fmt(&c->out, "{\"url\":%s,\"expires\":%s}", link, time);
        return call_ok(c);
    }
    mock_http_date(expires_ms, time);
    call_set_header(c, "Location", call_keep(c, link));
    call_set_header(c, "Expires", call_keep(c, time));
    c->status = 302;
    return true;
}

static bool archive_of(call *c, const char *kind, const char *name)
{
    char path[800];
    checkpoint_row row;
    tkx_error *err = NULL;
    snprintf(path, sizeof path, "tinker://%.255s/%.20s/%.255s", c->params[0], kind, name);
    if (checkpoint_find(c->srv, path, c->owner, NULL, &row, &err) != TKX_OK)
        return call_fail(c, &err);
    if (ready_at(c->srv, row.tinker_path) > mock_now_ms()) {
        call_set_header(c, "x-should-retry", "false");
        return call_error(c, 503, "the archive of %s is being built", path);
    }
    return answer_link(c, row.tinker_path);
}

bool handle_archive(call *c)
{
    if (c->srv->opt.dialect == DIALECT_SKYRL) {
        call_set_header(c, "Allow", "DELETE");
        return call_error(c, 405, "Method Not Allowed");
    }
    return archive_of(c, c->params[1], c->params[2]);
}

bool handle_archive_bare(call *c)
{
    if (c->srv->opt.dialect != DIALECT_SKYRL)
        return call_error(c, 404, "Not Found");
    return archive_of(c, "sampler_weights", c->params[1]);
}

static const char *const file_names[] = {
    "adapter_config.json", "adapter_model.safetensors", "checkpoint_complete"};

bool handle_external_urls(call *c)
{
    char path[800], link[LINK_SIZE], time[MOCK_TIME_SIZE];
    checkpoint_row row;
    tkx_error *err = NULL;
    int64_t expires_ms = mock_now_ms() + 60 * 60000;
    if (strcmp(c->params[1], "external_weights") != 0)
        return call_error(c, 400, "external_weights_urls is for external_weights alone");
    snprintf(path, sizeof path, "tinker://%.255s/external_weights/%.255s", c->params[0],
             c->params[2]);
    if (checkpoint_find(c->srv, path, c->owner, NULL, &row, &err) != TKX_OK)
        return call_fail(c, &err);
    tkx__buf_puts(&c->out, "{\"urls\":{");
    for (size_t i = 0; i < 2; i++) {
        link_make(c, row.tinker_path, file_names[i], expires_ms, link);
        jw_fmt(&c->out, "%r%s:%s", i ? "," : "", file_names[i], link);
    }
    mock_time_text(expires_ms, time);
    jw_fmt(&c->out, "},\"expires\":%s}", time);
    return call_ok(c);
}

/* The three files of a checkpoint, or the one that was asked for, into out. */
static tkx_status write_files(nn_snapshot *snapshot, const char *file, tkx__buf *out,
                              tkx_error **err)
{
    nn_bytes bytes[2] = {{0}, {0}};
    bool is_gz = strcmp(file, "archive.tar.gz") == 0;
    tkx_status st = nn_snapshot_config_json(snapshot, &bytes[0], err);
    if (st == TKX_OK)
        st = nn_snapshot_adapter_bytes(snapshot, &bytes[1], err);
    if (st == TKX_OK) {
        archive_member members[3] = {{file_names[0], bytes[0].data, bytes[0].size},
                                     {file_names[1], bytes[1].data, bytes[1].size},
                                     {file_names[2], "", 0}};
        st = TKX_ERR_NOT_FOUND;
        for (size_t i = 0; i < 3 && st != TKX_OK; i++)
            if (strcmp(file, file_names[i]) == 0) {
                tkx__buf_append(out, members[i].data, members[i].size);
                st = out->status;
            }
        if (is_gz || strcmp(file, "archive.tar") == 0)
            st = archive_write_members(
                members, 3, is_gz ? ARCHIVE_STORED_GZ : ARCHIVE_TAR, 0, out, err);
        else if (st != TKX_OK)
            tkx__fail(err, st, "no file %s", file);
    }
    tkx__free(bytes[0].data);
    tkx__free(bytes[1].data);
    return st;
}

static tkx_status make_file(call *c, const char *path, const char *file, tkx__buf *out,
                            tkx_error **err)
{
    mock_server *srv = c->srv;
    checkpoint_row row;
    nn_snapshot *snapshot = NULL;
    tkx_status st;
    pthread_mutex_lock(&srv->lock);
    st = checkpoint_find(srv, path, NULL, NULL, &row, err);
    pthread_mutex_unlock(&srv->lock);
    if (st == TKX_OK)
        st = snapshots_get(srv->snapshots, row.base_model, row.file, &snapshot, err);
    if (st == TKX_OK)
        st = write_files(snapshot, file, out, err);
    nn_snapshot_unref(snapshot);
    return st;
}

static const char *etag_of(call *c, const tkx__buf *bytes)
{
    char digest[MOCK_SHA_SIZE], text[80];
    mock_sha256_hex(bytes->data, bytes->size, digest);
    snprintf(text, sizeof text, "\"%.32s\"", digest);
    return call_keep(c, text);
}

/* All of it, or the part that a Range header asks for. */
static bool answer_bytes(call *c, const tkx__buf *bytes)
{
    const char *if_range = call_header_in(c, "If-Range"), *etag = etag_of(c, bytes);
    const char *header = call_header_in(c, "Range");
    size_t from, to;
    char text[96];
    range_result result = archive_range(header, bytes->size, &from, &to);
    if (if_range && strcmp(if_range, etag) != 0)
        result = RANGE_NONE;
    call_set_header(c, "Accept-Ranges", "bytes");
    call_set_header(c, "ETag", etag);
    c->content_type = "application/octet-stream";
    if (result == RANGE_NONE) {
        tkx__buf_append(&c->out, tkx__buf_text(bytes), bytes->size);
        return call_ok(c);
    }
    if (result == RANGE_BAD) {
        snprintf(text, sizeof text, "bytes */%zu", bytes->size);
        call_set_header(c, "Content-Range", call_keep(c, text));
        return call_error(c, 416, "the range lies behind the end");
    }
    snprintf(text, sizeof text, "bytes %zu-%zu/%zu", from, to, bytes->size);
    call_set_header(c, "Content-Range", call_keep(c, text));
    tkx__buf_append(&c->out, bytes->data + from, to - from + 1);
    c->status = 206;
    return true;
}

/* The operations of a session as Chrome trace events. */
static void write_trace(mock_server *srv, const char *session, tkx__buf *out)
{
    db_rows *rows;
    bool is_first = true;
    pthread_mutex_lock(&srv->lock);
    rows = db_query(srv->db,
                    "SELECT kind, request_id, created_at, done_at, seq_id FROM promises"
                    " WHERE session_id=? AND done_at IS NOT NULL ORDER BY created_at",
                    "s", session);
    tkx__buf_puts(out, "{\"traceEvents\":[");
    for (; db_next(rows); is_first = false) {
        op_kind kind = (op_kind)db_int(rows, 0);
        jw_fmt(out,
               "%r{\"name\":%s,\"ph\":\"X\",\"pid\":1,\"tid\":%d,\"ts\":%d,\"dur\":%d,"
               "\"args\":{\"request_id\":%s,\"seq_id\":%d}}",
               is_first ? "" : ",", op_kind_name(kind),
               (int64_t)(kind == OP_SAMPLE ? 2 : 1), db_int(rows, 2) * 1000,
               (db_int(rows, 3) - db_int(rows, 2)) * 1000, db_text(rows, 1),
               db_int(rows, 4));
    }
    tkx__buf_puts(out, "]}");
    pthread_mutex_unlock(&srv->lock);
}

bool handle_download(call *c)
{
    const char *subject, *file;
    tkx_error *err = NULL;
    tkx__buf bytes;
    if (!link_check(c, &subject, &file))
        return true;
    tkx__buf_init(&bytes, (size_t)1 << 31);
    if (strcmp(file, "trace.json") == 0)
        write_trace(c->srv, subject, &bytes);
    else
        make_file(c, subject, file, &bytes, &err);
    if (err)
        call_fail(c, &err);
    else
        answer_bytes(c, &bytes);
    tkx__buf_clear(&bytes);
    return true;
}

bool handle_trace_export(call *c)
{
    const char *id = c->params[0];
    mock_db *db = c->srv->db;
    char link[LINK_SIZE];
    if (!db_scalar(db, 0, "SELECT 1 FROM sessions WHERE session_id=?", "s", id))
        return call_error(c, 404, "session %s not found", id);
    if (db_scalar(db, 0,
                  "SELECT COUNT(*) FROM promises WHERE session_id=? AND done_at IS NULL",
                  "s", id) > 0) {
        tkx__buf_puts(&c->out, "{\"status\":\"pending\"}");
        return call_ok(c);
    }
    link_make(c, id, "trace.json", mock_now_ms() + 60 * 60000, link);
    jw_fmt(&c->out, "{\"status\":\"ready\",\"url\":%s}", link);
    return call_ok(c);
}
