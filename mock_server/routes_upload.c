/* SPDX-License-Identifier: Apache-2.0 */
/*
 * routes_upload.c - an adapter that was made elsewhere: start, a PUT per file, finish.
 *
 * The files lie beside the checkpoints under names that no record has, so those of an
 * upload that never ends are swept at the next start.  The end writes what it has read
 * and checked under a name of its own: a late PUT changes nothing.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"
#include "mock_server/exec.h"
#include "mock_server/handlers.h"
#include "mock_server/jw.h"
#include "mock_server/links.h"
#include "mock_server/lora.h"
#include "mock_server/nn/checkpoint.h"
#include "mock_server/paths.h"
#include "mock_server/util.h"

enum { PATH_SIZE = 4096, N_FILES = 2 };

static const char *const file_names[N_FILES] = {"adapter_config.json",
                                                "adapter_model.safetensors"};

static void file_path(const call *c, const char *id, const char *file,
                      char out[PATH_SIZE])
{
    snprintf(out, PATH_SIZE, "%s/checkpoints/%.64s.%s", c->srv->state_dir, id, file);
}

bool handle_upload_start(call *c)
{
    const jv *body;
    const char *base;
    nn_lora_options lora;
    tkx_error *err = NULL;
    char id[MOCK_UUID_SIZE], link[LINK_SIZE], time[MOCK_TIME_SIZE];
    int64_t expires_ms = mock_now_ms() + LINK_LIFE_MS;
    if (!call_json(c, &body))
        return true;
    base = jv_get_str(body, "base_model");
    if (!base)
        return call_invalid(c, "base_model", "Field required");
    if (!nn_engine_find_base(c->srv->engine, base))
        return call_error(c, 400, "base model %s: not offered here", base);
    if (!jv_get(body, "lora_config"))
        return call_invalid(c, "lora_config", "Field required");
    if (!lora_read(c, jv_get(body, "lora_config"), &lora))
        return true;
    mock_uuid(id);
    if (db_run(c->srv->db, &err,
               "INSERT INTO uploads VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL)", "ssssiiii",
               id, c->owner, jv_get_str(body, "destination_project_id"), base,
               (int64_t)lora.rank, (int64_t)lora.train_attn, (int64_t)lora.train_mlp,
               (int64_t)lora.train_unembed) != TKX_OK)
        return call_fail(c, &err);
    jw_fmt(&c->out, "{\"upload_id\":%s,\"urls\":{", id);
    for (size_t i = 0; i < N_FILES; i++) {
        link_make(c, id, file_names[i], expires_ms, link);
        jw_fmt(&c->out, "%r%s:%s", i ? "," : "", file_names[i], link);
    }
    mock_time_text(expires_ms, time);
    jw_fmt(&c->out, "},\"expires\":%s}", time);
    return call_ok(c);
}

bool handle_upload_file(call *c)
{
    const char *id, *file;
    char path[PATH_SIZE];
    tkx_error *err = NULL;
    bool is_open;
    if (!link_check(c, &id, &file))
        return true;
    pthread_mutex_lock(&c->srv->lock);
    is_open = db_scalar(c->srv->db, 0,
                        "SELECT 1 FROM uploads WHERE upload_id=? AND tinker_path IS NULL",
                        "s", id) != 0;
    pthread_mutex_unlock(&c->srv->lock);
    if (!is_open)
        return call_error(c, 409, "no such upload is open");
    file_path(c, id, file, path);
    if (mock_write_file(path, c->body, c->body_size, &err) != TKX_OK)
        return call_fail(c, &err);
    return call_ok(c);
}

typedef struct upload {
    const char *id;
    char project_id[256];
    char path[640]; /* of the checkpoint, once there is one */
    checkpoint_row row;
} upload;

/* Under the lock. */
static bool find_upload(call *c, upload *u)
{
    db_rows *rows = db_query(
        c->srv->db,
        "SELECT base_model, project_id, tinker_path, rank, train_attn, train_mlp,"
        " train_unembed FROM uploads WHERE upload_id=? AND owner=?",
        "ss", u->id, c->owner);
    const char *project, *path;
    if (!db_next(rows))
        return !call_error(c, 404, "upload %s not found", u->id);
    project = db_text(rows, 1);
    path = db_text(rows, 2);
    snprintf(u->row.base_model, sizeof u->row.base_model, "%s", db_text(rows, 0));
    snprintf(u->row.optimizer, sizeof u->row.optimizer, "{\"type\":\"adamw\"}");
    snprintf(u->project_id, sizeof u->project_id, "%s", project ? project : "");
    snprintf(u->path, sizeof u->path, "%s", path ? path : "");
    u->row.lora = (nn_lora_options)NN_LORA_OPTIONS_INIT;
    u->row.lora.rank = (size_t)db_int(rows, 3);
    u->row.lora.train_attn = db_int(rows, 4) != 0;
    u->row.lora.train_mlp = db_int(rows, 5) != 0;
    u->row.lora.train_unembed = db_int(rows, 6) != 0;
    db_done(rows);
    return true;
}

static tkx_status read_file(call *c, const upload *u, size_t i, nn_bytes *out,
                            tkx_error **err)
{
    char path[PATH_SIZE];
    file_path(c, u->id, file_names[i], path);
    if (access(path, R_OK) != 0)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT, "upload %s: %s is missing", u->id,
                         file_names[i]);
    return mock_read_file(path, &out->data, &out->size, err);
}

static tkx_status check_config(call *c, const upload *u, nn_bytes *bytes, tkx_error **err)
{
    const jv *config;
    int64_t rank = 0;
    tkx_status st = jv_parse(&c->arena, bytes->data, bytes->size, &config, err);
    if (st != TKX_OK)
        return st;
    if (!jv_i64(jv_get(config, "r"), &rank) || (size_t)rank != u->row.lora.rank)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "adapter_config.json: r is %lld, the upload began with rank %zu",
                         (long long)rank, u->row.lora.rank);
    return TKX_OK;
}

/* Whether the tensors are an adapter of that base with that rank and those parts. */
static tkx_status check_weights(call *c, const upload *u, const nn_bytes *bytes,
                                tkx_error **err)
{
    const nn_base *base = nn_engine_find_base(c->srv->engine, u->row.base_model);
    nn_snapshot *snapshot = NULL;
    nn_lora_options has;
    tkx_status st;
    if (!base)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT, "base model %s: not offered here",
                         u->row.base_model);
    st = nn_snapshot_from_state(c->srv->engine, base, bytes->data, bytes->size, &snapshot,
                                err);
    if (st == TKX_OK &&
        (!nn_snapshot_get_lora(snapshot, &has) || has.rank != u->row.lora.rank ||
         has.train_attn != u->row.lora.train_attn ||
         has.train_mlp != u->row.lora.train_mlp ||
         has.train_unembed != u->row.lora.train_unembed))
        st = tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                       "adapter_model.safetensors: other matrices, or another rank, than "
                       "the upload's lora_config names");
    nn_snapshot_unref(snapshot);
    return st;
}

/* Under the lock: run, checkpoint and the mark that it is done, or none of them. */
static tkx_status record(call *c, upload *u, size_t size, tkx_error **err)
{
    mock_db *db = c->srv->db;
    const char *project = u->project_id[0] ? u->project_id : NULL;
    const nn_lora_options *lora = &u->row.lora;
    char run[300] = "";
    tkx_status st = db_begin(db, err);
    if (st == TKX_OK)
        st = checkpoint_make_run(c->srv, c->owner, &u->row, NULL, project, run, err);
    snprintf(u->path, sizeof u->path, "tinker://%s/external_weights/upload", run);
    if (st == TKX_OK)
        st = db_run(db, err,
                    "INSERT INTO checkpoints (tinker_path, run, kind, name, owner,"
                    " project_id, base_model, rank, train_attn, train_mlp, train_unembed,"
                    " optimizer, file, size_bytes, created_at)"
                    " VALUES (?, ?, 'external_weights', 'upload', ?, ?, ?, ?, ?, ?, ?, ?,"
                    " ?, ?, ?)",
                    "sssssiiiissii", u->path, run, c->owner, project, u->row.base_model,
                    (int64_t)lora->rank, (int64_t)lora->train_attn,
                    (int64_t)lora->train_mlp, (int64_t)lora->train_unembed,
                    u->row.optimizer, u->row.file, (int64_t)size, mock_now_ms());
    if (st == TKX_OK)
        st = db_run(db, err, "UPDATE uploads SET tinker_path=? WHERE upload_id=?", "ss",
                    u->path, u->id);
    if (st == TKX_OK)
        st = audit_add(c->srv, c->owner, "checkpoint_create", NULL, run, u->path, err);
    if (st == TKX_OK)
        return db_commit(db, err);
    db_rollback(db);
    return st;
}

static tkx_status make_checkpoint(call *c, upload *u, tkx_error **err)
{
    nn_bytes bytes[N_FILES] = {{0}, {0}};
    upload now = {.id = u->id};
    char path[PATH_SIZE], uuid[MOCK_UUID_SIZE];
    tkx_status st = TKX_OK;
    for (size_t i = 0; i < N_FILES && st == TKX_OK; i++)
        st = read_file(c, u, i, &bytes[i], err);
    if (st == TKX_OK)
        st = check_config(c, u, &bytes[0], err);
    if (st == TKX_OK)
        st = check_weights(c, u, &bytes[1], err);
    mock_uuid(uuid);
    snprintf(u->row.file, sizeof u->row.file, "checkpoints/%s.safetensors", uuid);
    snprintf(path, sizeof path, "%.3000s/%s", c->srv->state_dir, u->row.file);
    if (st == TKX_OK)
        st = mock_write_file(path, bytes[1].data, bytes[1].size, err);
    if (st == TKX_OK) {
        pthread_mutex_lock(&c->srv->lock);
        if (find_upload(c, &now) && now.path[0]) /* another call was faster */
            snprintf(u->path, sizeof u->path, "%s", now.path);
        else
            st = record(c, u, bytes[1].size, err);
        pthread_mutex_unlock(&c->srv->lock);
    }
    for (size_t i = 0; i < N_FILES; i++) {
        tkx__free(bytes[i].data);
        file_path(c, u->id, file_names[i], path);
        if (st == TKX_OK)
            unlink(path);
    }
    return st;
}

/* Asked again it gives the same checkpoint. */
bool handle_upload_finish(call *c)
{
    const jv *body;
    tkx_error *err = NULL;
    upload u = {0};
    bool is_found;
    if (!call_json(c, &body))
        return true;
    u.id = jv_get_str(body, "upload_id");
    if (!u.id)
        return call_invalid(c, "upload_id", "Field required");
    pthread_mutex_lock(&c->srv->lock);
    is_found = find_upload(c, &u);
    pthread_mutex_unlock(&c->srv->lock);
    if (!is_found)
        return true;
    if (!u.path[0] && make_checkpoint(c, &u, &err) != TKX_OK)
        return call_fail(c, &err);
    jw_fmt(&c->out, "{\"tinker_path\":%s}", u.path);
    return call_ok(c);
}
