/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec.c - the frame around every operation of a model.
 *
 * Order: make sure of the model, run, write files, then one transaction with the promise,
 * the journal, the effect and the model's place in the sequence.  A transaction that
 * fails ends the process: memory and records may not go different ways.
 */
#include "mock_server/exec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"
#include "mock_server/nn/checkpoint.h"
#include "mock_server/util.h"

static const exec_kind kinds[OP_N_KINDS] = {
    [OP_CREATE_MODEL] = {exec_run_create, exec_record_create, false},
    [OP_FORWARD] = {exec_run_pass, exec_record_pass, true},
    [OP_FORWARD_BACKWARD] = {exec_run_pass, exec_record_pass, true},
    [OP_OPTIM_STEP] = {exec_run_step, NULL, true},
    [OP_SAVE_WEIGHTS] = {exec_run_save, exec_record_save, true},
    [OP_SAVE_SAMPLER] = {exec_run_save, exec_record_save, true},
    [OP_SAVE_EXTERNAL] = {exec_run_save, exec_record_save, true},
    [OP_LOAD_WEIGHTS] = {exec_run_load, exec_record_load, false},
    [OP_UNLOAD_MODEL] = {exec_run_unload, exec_record_unload, false},
};

static void copy_column(char *to, size_t size, db_rows *rows, int column)
{
    const char *text = db_text(rows, column);
    snprintf(to, size, "%s", text ? text : "");
}

bool model_row_read(mock_server *srv, const char *model_id, model_row *out)
{
    db_rows *rows =
        db_query(srv->db,
                 "SELECT session_id, owner, project_id, base_model, optimizer,"
                 " file, file_seq, is_ready, is_unloaded, rank, train_attn,"
                 " train_mlp, train_unembed, seed FROM models WHERE model_id=?",
                 "s", model_id);
    *out = (model_row){.lora = NN_LORA_OPTIONS_INIT};
    if (!db_next(rows))
        return false;
    copy_column(out->session_id, sizeof out->session_id, rows, 0);
    copy_column(out->owner, sizeof out->owner, rows, 1);
    copy_column(out->project_id, sizeof out->project_id, rows, 2);
    copy_column(out->base_model, sizeof out->base_model, rows, 3);
    copy_column(out->optimizer, sizeof out->optimizer, rows, 4);
    copy_column(out->file, sizeof out->file, rows, 5);
    out->file_seq = db_int(rows, 6);
    out->is_ready = db_int(rows, 7) != 0;
    out->is_unloaded = db_int(rows, 8) != 0;
    out->lora.rank = (size_t)db_int(rows, 9);
    out->lora.train_attn = db_int(rows, 10) != 0;
    out->lora.train_mlp = db_int(rows, 11) != 0;
    out->lora.train_unembed = db_int(rows, 12) != 0;
    out->lora.seed = (uint64_t)db_int(rows, 13);
    out->lora.optimizer = strstr(out->optimizer, "dimuon") ? NN_DIMUON : NN_ADAMW;
    db_done(rows);
    return true;
}

tkx_status model_write(mock_server *srv, const nn_model *model, unsigned parts,
                       const char *folder, char file[EXEC_MAX_FILE], size_t *size,
                       tkx_error **err)
{
    char path[4096], name[MOCK_UUID_SIZE];
    nn_bytes bytes = {0};
    tkx_status st = nn_model_save_state(model, parts, &bytes, err);
    if (st != TKX_OK)
        return st;
    mock_uuid(name);
    snprintf(file, EXEC_MAX_FILE, "%s/%s.safetensors", folder, name);
    snprintf(path, sizeof path, "%s/%s", srv->state_dir, file);
    st = mock_write_file(path, bytes.data, bytes.size, err);
    *size = bytes.size;
    tkx__free(bytes.data);
    if (st != TKX_OK)
        file[0] = '\0';
    return st;
}

/*
 * The state is written when that costs little beside what was computed since the last
 * time; in between a restart computes the kept requests again, which gives the same bits.
 */
static bool is_worth_writing(const exec *x)
{
    return x->writes_state || x->lane->busy_ms >= 4 * x->lane->write_ms ||
           x->op->seq_id - x->lane->file_seq >= 64;
}

static tkx_status write_state(exec *x, tkx_error **err)
{
    lane *l = x->lane;
    int64_t before = mock_mono_ms();
    bool is_step = x->op->kind == OP_OPTIM_STEP;
    size_t size;
    tkx_status st;
    if (!(x->writes_state || is_step) || !is_worth_writing(x))
        return TKX_OK;
    st = model_write(x->srv, l->model, NN_STATE_OPTIMIZER, "models", x->state_file, &size,
                     err);
    l->write_ms = mock_mono_ms() - before;
    l->busy_ms = 0;
    return st;
}

static tkx_status record_state(exec *x, tkx_error **err)
{
    mock_db *db = x->srv->db;
    const op *o = x->op;
    tkx_status st;
    if (!x->state_file[0])
        return TKX_OK;
    st = db_run(db, err,
                "UPDATE models SET file=?, file_seq=?, file_parts=1 WHERE model_id=?",
                "sis", x->state_file, o->seq_id, x->lane->model_id);
    if (st == TKX_OK)
        st = db_run(db, err,
                    "UPDATE promises SET body=NULL WHERE model_id=? AND seq_id<=?", "si",
                    x->lane->model_id, o->seq_id);
    return st;
}

static tkx_status record_journal(exec *x, tkx_error **err)
{
    const op *o = x->op;
    return db_run(x->srv->db, err,
                  "INSERT INTO journal (op, model_id, seq_id, sha256, at)"
                  " VALUES (?, ?, CASE WHEN ?<0 THEN NULL ELSE ? END, ?, ?)",
                  "ssiisi", op_kind_name(o->kind), x->lane->model_id, o->seq_id,
                  o->seq_id, o->sha256, mock_now_ms());
}

/* Under the lock, within a transaction. */
static tkx_status record_all(exec *x, const exec_kind *kind, tkx_error **err)
{
    mock_db *db = x->srv->db;
    tkx_status st = future_record(x->srv, x->op, &x->out, err);
    if (st == TKX_OK && !x->out.has_failed && kind->record)
        st = kind->record(x, err);
    if (st == TKX_OK && !x->out.has_failed)
        st = record_journal(x, err);
    if (st == TKX_OK)
        st = record_state(x, err);
    if (st == TKX_OK && x->op->seq_id >= 0)
        st = db_run(db, err,
                    "UPDATE models SET next_seq=MAX(next_seq, ?) WHERE model_id=?", "is",
                    x->op->seq_id + 1, x->lane->model_id);
    return st;
}

static void commit(exec *x, const exec_kind *kind)
{
    mock_server *srv = x->srv;
    tkx_error *err = NULL;
    tkx_status st;
    pthread_mutex_lock(&srv->lock);
    st = db_begin(srv->db, &err);
    if (st == TKX_OK)
        st = record_all(x, kind, &err);
    if (st == TKX_OK)
        st = db_commit(srv->db, &err);
    pthread_mutex_unlock(&srv->lock);
    if (st == TKX_OK)
        return;
    fprintf(stderr, "tkx-mock-server: %s %s cannot be recorded: %s; ending\n",
            op_kind_name(x->op->kind), x->op->request_id, tkx_error_message(err));
    _exit(1);
}

static tkx_status run_op(exec *x, const exec_kind *kind, tkx_error **err)
{
    mock_server *srv = x->srv;
    bool is_known;
    tkx_status st;
    if (!kind->run)
        return tkx__fail(err, TKX_ERR_UNSUPPORTED, "%s: not offered here",
                         op_kind_name(x->op->kind));
    pthread_mutex_lock(&srv->lock);
    is_known = model_row_read(srv, x->lane->model_id, &x->row);
    pthread_mutex_unlock(&srv->lock);
    if (!is_known)
        return tkx__fail(err, TKX_ERR_NOT_FOUND, "model %s: unknown", x->lane->model_id);
    st = kind->needs_model ? model_ensure(x, err) : TKX_OK;
    if (st == TKX_OK)
        st = kind->run(x, err);
    if (st == TKX_OK)
        st = write_state(x, err);
    return st;
}

static void unlink_file(const mock_server *srv, const char *file)
{
    char path[4096];
    if (!file[0])
        return;
    snprintf(path, sizeof path, "%s/%s", srv->state_dir, file);
    unlink(path);
}

void exec_op(mock_server *srv, lane *l, op *o)
{
    exec x = {.srv = srv, .lane = l, .op = o};
    const exec_kind *kind = &kinds[o->kind];
    int64_t before = mock_mono_ms();
    tkx_error *err = NULL;
    outcome_init(&x.out);
    tkx__arena_init(&x.arena, 65536, (size_t)8 << 30);
    if (run_op(&x, kind, &err) != TKX_OK) {
        outcome_fail(&x.out, &err);
        x.state_file[0] = '\0';
    }
    l->busy_ms += mock_mono_ms() - before;
    l->used_ms = mock_mono_ms();
    commit(&x, kind);
    if (x.state_file[0]) {
        l->file_seq = o->seq_id;
        unlink_file(srv, x.row.file);
    }
    tkx__arena_clear(&x.arena);
    outcome_clear(&x.out);
}
