/* SPDX-License-Identifier: Apache-2.0 */
/* routes_checkpoint.c - what can be done to a checkpoint: delete, publish, ttl, copy. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "mock_server/exec.h"
#include "mock_server/handlers.h"
#include "mock_server/jw.h"
#include "mock_server/paths.h"
#include "mock_server/query.h"
#include "mock_server/util.h"

/* The caller's own checkpoint of the route's three parts; false: the answer is filled
   in. */
static bool find_own(call *c, checkpoint_row *row)
{
    char path[800];
    tkx_error *err = NULL;
    if (strcmp(c->params[1], "weights") != 0 &&
        strcmp(c->params[1], "sampler_weights") != 0 &&
        strcmp(c->params[1], "external_weights") != 0)
        return !call_error(c, 400,
                           "checkpoint id %s/%s: weights/NAME, sampler_weights/NAME or "
                           "external_weights/NAME is wanted",
                           c->params[1], c->params[2]);
    snprintf(path, sizeof path, "tinker://%.255s/%.24s/%.255s", c->params[0],
             c->params[1], c->params[2]);
    if (checkpoint_find(c->srv, path, NULL, NULL, row, &err) != TKX_OK)
        return !call_fail(c, &err);
    if (strcmp(row->owner, c->owner) != 0)
        return !call_error(c, 404, "checkpoint %s not found", path);
    return true;
}

static bool done(call *c)
{
    if (c->srv->opt.dialect == DIALECT_HOSTED || c->srv->opt.dialect == DIALECT_TWINKLE)
        return call_empty(c);
    c->status = 204;
    return true;
}

static void audit(call *c, const char *event, const checkpoint_row *row,
                  const char *details)
{
    audit_add(c->srv, c->owner, event, details, row->run, row->tinker_path, NULL);
}

bool handle_delete_checkpoint(call *c)
{
    checkpoint_row row = {0};
    tkx_error *err = NULL;
    char path[4096];
    mock_db *db = c->srv->db;
    if (!find_own(c, &row))
        return true;
    if (db_run(db, &err, "DELETE FROM checkpoints WHERE tinker_path=?", "s",
               row.tinker_path) != TKX_OK)
        return call_fail(c, &err);
    audit(c, "checkpoint_delete", &row, NULL);
    /* Copies and samplers may still stand on the file. */
    if (!db_scalar(db, 0,
                   "SELECT 1 FROM checkpoints WHERE file=?"
                   " UNION SELECT 1 FROM samplers WHERE file=?",
                   "ss", row.file, row.file)) {
        snprintf(path, sizeof path, "%s/%s", c->srv->state_dir, row.file);
        unlink(path);
    }
    return done(c);
}

static bool set_public(call *c, bool is_public)
{
    checkpoint_row row = {0};
    if (!find_own(c, &row))
        return true;
    if (row.is_public == is_public)
        return call_error(c, 409, "checkpoint %s is %s already", row.tinker_path,
                          is_public ? "public" : "private");
    db_run(c->srv->db, NULL, "UPDATE checkpoints SET is_public=? WHERE tinker_path=?",
           "is", (int64_t)is_public, row.tinker_path);
    audit(c, is_public ? "checkpoint_publish" : "checkpoint_unpublish", &row, NULL);
    return done(c);
}

bool handle_publish(call *c)
{
    return set_public(c, true);
}

bool handle_unpublish(call *c)
{
    return set_public(c, false);
}

bool handle_ttl(call *c)
{
    const jv *body, *ttl;
    checkpoint_row row = {0};
    int64_t seconds = 0, least = c->srv->opt.dialect == DIALECT_HOSTED ? 3600 : 1;
    if (!call_json(c, &body))
        return true;
    ttl = jv_get(body, "ttl_seconds");
    if (ttl && (!jv_i64(ttl, &seconds) || seconds < least || seconds > 315360000))
        return call_error(c, 400, "ttl_seconds: %lld to 315360000, or null",
                          (long long)least);
    if (!find_own(c, &row))
        return true;
    db_run(
        c->srv->db, NULL,
        "UPDATE checkpoints SET expires_at=CASE WHEN ?>0 THEN ? END WHERE tinker_path=?",
        "iis", seconds, mock_now_ms() + seconds * 1000, row.tinker_path);
    audit(c, "checkpoint_set_ttl", &row, NULL);
    return done(c);
}

static tkx_status copy_checkpoint(call *c, const checkpoint_row *from, const char *run,
                                  const char *project, int64_t ttl_s, const char *path,
                                  tkx_error **err)
{
    int64_t now = mock_now_ms();
    return db_run(
        c->srv->db, err,
        "INSERT INTO checkpoints (tinker_path, run, kind, name, owner, project_id,"
        " base_model, rank, train_attn, train_mlp, train_unembed, optimizer, file,"
        " size_bytes, created_at, expires_at, user_metadata, recipients)"
        " SELECT ?, ?, kind, name, ?, ?, base_model, rank, train_attn, train_mlp,"
        " train_unembed, optimizer, file, size_bytes, ?,"
        " CASE WHEN ?>0 THEN ? END, user_metadata, recipients FROM checkpoints"
        " WHERE tinker_path=?",
        "ssssiiis", path, run, c->owner, project, now, ttl_s, now + ttl_s * 1000,
        from->tinker_path);
}

/* The path an earlier send of the same request got; false when there was none. */
static bool find_copied(call *c, const char *key, char path[640])
{
    db_rows *rows = db_query(
        c->srv->db, "SELECT tinker_path FROM copies WHERE idempotency_key=?", "s", key);
    if (!key || !db_next(rows))
        return false;
    snprintf(path, 640, "%s", db_text(rows, 0));
    db_done(rows);
    return true;
}

bool handle_copy_weights(call *c)
{
    const jv *body;
    const char *token = call_header_in(c, "X-Tinker-Weights-Access-Token");
    const char *key = call_header_in(c, "X-Idempotency-Key");
    const char *project, *session;
    checkpoint_row from;
    tkx_error *err = NULL;
    int64_t ttl_s = 0;
    char path[640], run[300];
    tkx_status st;
    if (!call_json(c, &body))
        return true;
    project = jv_get_str(body, "destination_project_id");
    session = jv_get_str(body, "session_id");
    if (!project && !session)
        return call_invalid(c, "destination_project_id", "Field required");
    if (jv_get(body, "ttl_seconds") && (!jv_i64(jv_get(body, "ttl_seconds"), &ttl_s) ||
                                        ttl_s < 3600 || ttl_s > 315360000))
        return call_error(c, 400, "ttl_seconds: 3600 to 315360000");
    if (!find_copied(c, key, path)) {
        token = token ? token : jv_get_str(body, "weights_access_token");
        st = checkpoint_find(c->srv, jv_get_str(body, "source_path"), c->owner, token,
                             &from, &err);
        if (st != TKX_OK)
            return call_fail(c, &err);
        st = db_begin(c->srv->db, &err);
        if (st == TKX_OK)
            st =
                checkpoint_make_run(c->srv, c->owner, &from, session, project, run, &err);
        snprintf(path, sizeof path, "tinker://%s/%s/%s", run, from.kind,
                 strrchr(from.tinker_path, '/') + 1);
        if (st == TKX_OK)
            st = copy_checkpoint(c, &from, run, project, ttl_s, path, &err);
        if (st == TKX_OK && key)
            st = db_run(c->srv->db, &err, "INSERT INTO copies VALUES (?, ?)", "ss", key,
                        path);
        if (st == TKX_OK)
            st = db_commit(c->srv->db, &err);
        if (st != TKX_OK) {
            db_rollback(c->srv->db);
            return call_fail(c, &err);
        }
        audit(c, "checkpoint_copy", &from, NULL);
    }
    jw_fmt(&c->out, "{\"tinker_path\":%s}", path);
    return call_ok(c);
}
