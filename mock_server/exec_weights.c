/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec_weights.c - save_weights, save_weights_for_sampler, save_weights_external and
 * load_weights.  Every checkpoint is one state file; archives are made from it on demand.
 */
#include "mock_server/exec.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"
#include "mock_server/jw.h"
#include "mock_server/nn/checkpoint.h"
#include "mock_server/paths.h"
#include "mock_server/snapshots.h"
#include "mock_server/util.h"

static const char *kind_of(op_kind kind)
{
    if (kind == OP_SAVE_WEIGHTS)
        return "weights";
    return kind == OP_SAVE_SAMPLER ? "sampler_weights" : "external_weights";
}

static bool exists(exec *x, const char *path)
{
    bool found;
    pthread_mutex_lock(&x->srv->lock);
    found = db_scalar(x->srv->db, 0,
                      "SELECT 1 FROM checkpoints WHERE tinker_path=?"
                      " AND (expires_at IS NULL OR expires_at>?)",
                      "si", path, mock_now_ms()) != 0;
    pthread_mutex_unlock(&x->srv->lock);
    return found;
}

/* What the file holds is at hand: sampling need not read it back. */
static void keep_snapshot(exec *x)
{
    nn_snapshot *snapshot = NULL;
    if (nn_snapshot_of_model(x->lane->model, &snapshot, NULL) == TKX_OK)
        snapshots_put(x->srv->snapshots, x->file, snapshot);
    nn_snapshot_unref(snapshot);
}

static void sampler_id_of(const exec *x, int64_t seq, char out[512])
{
    if (x->srv->opt.dialect == DIALECT_HOSTED || x->srv->opt.dialect == DIALECT_HOSTED25)
        snprintf(out, 512, "%s:sample:%lld", x->row.session_id, (long long)seq);
    else
        snprintf(out, 512, "sampling_%.8s", x->op->sha256);
}

static void write_result(exec *x, const char *name, bool has_sampler, const char *sampler)
{
    tkx__buf *out = &x->out.json;
    bool is_skyrl = x->srv->opt.dialect == DIALECT_SKYRL;
    tkx__buf_putc(out, '{');
    if (name && is_skyrl && x->op->kind == OP_SAVE_SAMPLER)
        jw_fmt(out, "\"path\":\"tinker://%r/%r\",", x->lane->model_id, name);
    else if (name)
        jw_fmt(out, "\"path\":%s,", x->path);
    if (has_sampler)
        jw_fmt(out, "\"sampling_session_id\":%s,", sampler);
    if (x->op->kind == OP_SAVE_EXTERNAL)
        jw_fmt(out, "\"size_bytes\":%z,", x->file_size);
    jw_fmt(out, "\"type\":%s}", op_kind_name(x->op->kind));
}

tkx_status exec_run_save(exec *x, tkx_error **err)
{
    const op *o = x->op;
    const jv *body, *sampler_seq;
    const char *name;
    char sampler[512] = "";
    int64_t seq = 0;
    unsigned parts = o->kind == OP_SAVE_WEIGHTS ? NN_STATE_OPTIMIZER : 0;
    tkx_status st = jv_parse(&x->arena, o->body, o->body_size, &body, err);
    if (st != TKX_OK)
        return st;
    x->request = body;
    name = jv_get_str(body, "path");
    sampler_seq = jv_get(body, "sampling_session_seq_id");
    snprintf(x->path, sizeof x->path, "tinker://%s/%s/%s", x->lane->model_id,
             kind_of(o->kind), name ? name : "");
    if (name && !(jv_get(body, "overwrite") && jv_get(body, "overwrite")->is_true) &&
        exists(x, x->path))
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "checkpoint %s exists already: choose another name or overwrite",
                         x->path);
    st = model_write(x->srv, x->lane->model, parts, "checkpoints", x->file, &x->file_size,
                     err);
    if (st != TKX_OK)
        return st;
    if (o->kind == OP_SAVE_SAMPLER)
        keep_snapshot(x);
    if (sampler_seq && jv_i64(sampler_seq, &seq))
        sampler_id_of(x, seq, sampler);
    write_result(x, name, sampler[0] != '\0', sampler);
    return TKX_OK;
}

static tkx_status record_checkpoint(exec *x, const jv *body, const char *name,
                                    tkx_error **err)
{
    const model_row *row = &x->row;
    const jv *ttl = jv_get(body, "ttl_seconds"),
             *metadata = jv_get(body, "user_metadata");
    const jv *recipients = jv_get(body, "age_encryption_recipients");
    int64_t now = mock_now_ms(), seconds = 0;
    tkx__buf text, list;
    tkx_status st;
    tkx__buf_init(&text, 1 << 20);
    tkx__buf_init(&list, 1 << 20);
    if (metadata)
        jw_value(&text, metadata);
    if (recipients && recipients->n)
        jw_value(&list, recipients);
    jv_i64(ttl, &seconds);
    st = db_run(x->srv->db, err,
                "INSERT OR REPLACE INTO checkpoints (tinker_path, run, kind, name, owner,"
                " project_id, base_model, rank, train_attn, train_mlp, train_unembed,"
                " optimizer, file, size_bytes, created_at, expires_at, user_metadata,"
                " recipients)"
                " SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,"
                " CASE WHEN ?>0 THEN ? END, ?, ?",
                "sssssssiiiissiiiiss", x->path, x->lane->model_id, kind_of(x->op->kind),
                name, row->owner, row->project_id[0] ? row->project_id : NULL,
                row->base_model, (int64_t)row->lora.rank, (int64_t)row->lora.train_attn,
                (int64_t)row->lora.train_mlp, (int64_t)row->lora.train_unembed,
                row->optimizer, x->file, (int64_t)x->file_size, now, seconds,
                now + seconds * 1000, text.size ? text.data : NULL,
                list.size ? list.data : NULL);
    tkx__buf_clear(&text);
    tkx__buf_clear(&list);
    if (st == TKX_OK)
        st = usage_add(x->srv, row->session_id, row->owner, row->project_id,
                       row->base_model, "checkpoint", false, 1, err);
    if (st == TKX_OK)
        st = audit_add(x->srv, row->owner, "checkpoint_create", NULL, x->lane->model_id,
                       x->path, err);
    return st;
}

/* The new sampling session of an unnamed save. */
static tkx_status record_sampler(exec *x, const jv *body, int64_t seq, tkx_error **err)
{
    const char *kind = jv_get_str(body, "kind");
    bool is_inflight = kind && strcmp(kind, "inflight") == 0;
    char id[512];
    tkx_status st = TKX_OK;
    sampler_id_of(x, seq, id);
    if (is_inflight)
        st = db_run(x->srv->db, err, "UPDATE models SET inflight_file=? WHERE model_id=?",
                    "ss", x->file, x->lane->model_id);
    if (st == TKX_OK)
        st = db_run(
            x->srv->db, err,
            "INSERT OR REPLACE INTO samplers (sampler_id, session_id, sampler_seq,"
            " owner, base_model, model_id, file, is_inflight, created_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            "ssissssii", id, x->row.session_id, seq, x->row.owner, x->row.base_model,
            x->lane->model_id, x->file, (int64_t)is_inflight, mock_now_ms());
    return st;
}

tkx_status exec_record_save(exec *x, tkx_error **err)
{
    const jv *body = x->request;
    const char *name = jv_get_str(body, "path");
    int64_t seq;
    tkx_status st = TKX_OK;
    if (name)
        st = record_checkpoint(x, body, name, err);
    if (st == TKX_OK && jv_i64(jv_get(body, "sampling_session_seq_id"), &seq))
        st = record_sampler(x, body, seq, err);
    return st;
}

/* Make the lane's model anew, as the checkpoint says or as the model was created. */
static tkx_status make_model(exec *x, const checkpoint_row *from, tkx_error **err)
{
    lane *l = x->lane;
    mock_server *srv = x->srv;
    const nn_base *base;
    uint64_t size;
    tkx_status st;
    if (x->row.is_ready)
        return model_ensure(x, err);
    x->row.lora.rank = from->lora.rank;
    base = nn_engine_find_base(srv->engine, x->row.base_model);
    if (!base)
        return tkx__fail(err, TKX_ERR_NOT_FOUND,
                         "base model %s: not offered by this server", x->row.base_model);
    model_drop(l);
    size = nn_model_size_bytes(base, &x->row.lora);
    st = model_make_room(srv, size, l, err);
    if (st == TKX_OK)
        st = nn_model_new(srv->engine, base, &x->row.lora, &l->model, err);
    if (st == TKX_OK)
        l->size_bytes = size;
    return st;
}

static tkx_status load_file(exec *x, const checkpoint_row *from, unsigned parts,
                            tkx_error **err)
{
    char path[4096], *bytes = NULL;
    size_t size = 0;
    tkx_status st;
    snprintf(path, sizeof path, "%s/%s", x->srv->state_dir, from->file);
    st = mock_read_file(path, &bytes, &size, err);
    if (st == TKX_OK)
        st = nn_model_load_state(x->lane->model, bytes, size, parts, err);
    tkx__free(bytes);
    return st;
}

tkx_status exec_run_load(exec *x, tkx_error **err)
{
    const jv *body, *optimizer;
    checkpoint_row from;
    bool with_optimizer;
    tkx_status st = jv_parse(&x->arena, x->op->body, x->op->body_size, &body, err);
    if (st != TKX_OK)
        return st;
    pthread_mutex_lock(&x->srv->lock);
    st = checkpoint_find(x->srv, jv_get_str(body, "path"), x->op->owner,
                         jv_get_str(body, "weights_access_token"), &from, err);
    pthread_mutex_unlock(&x->srv->lock);
    if (st == TKX_OK)
        st = make_model(x, &from, err);
    if (st != TKX_OK)
        return st;
    optimizer = jv_get(body, "optimizer");
    with_optimizer = optimizer && optimizer->is_true;
    if (with_optimizer && strcmp(from.kind, "weights") != 0)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "checkpoint %s holds no optimizer state: load it with optimizer "
                         "false",
                         from.tinker_path);
    st = load_file(x, &from, with_optimizer ? NN_STATE_OPTIMIZER : 0, err);
    if (st != TKX_OK)
        return st;
    x->writes_state = true;
    jw_fmt(&x->out.json, "{\"path\":%s,\"model_id\":%s,\"type\":\"load_weights\"}",
           from.tinker_path, x->lane->model_id);
    return TKX_OK;
}

tkx_status exec_record_load(exec *x, tkx_error **err)
{
    return db_run(x->srv->db, err,
                  "UPDATE models SET is_ready=1, rank=? WHERE model_id=?", "is",
                  (int64_t)nn_model_options(x->lane->model).rank, x->lane->model_id);
}
