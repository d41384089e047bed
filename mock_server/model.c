/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model.c - a model in memory: made, read back, brought up to date, dropped.
 *
 * A model that is not in memory is its last file (or its seed) and the kept requests
 * behind it, computed once more: the same input gives the same bits.
 */
#include "mock_server/exec.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "mock_server/nn/checkpoint.h"
#include "mock_server/util.h"

void model_drop(lane *l)
{
    nn_model_free(l->model);
    l->model = NULL;
    l->size_bytes = 0;
}

/* Under the lock: the idle lane that was used longest ago. */
static lane *oldest_idle(mock_server *srv, const lane *self)
{
    lane *oldest = NULL;
    for (size_t i = 0; i < LANE_TABLE_SIZE; i++)
        for (lane *l = srv->lanes[i]; l; l = l->hash_next)
            if (l != self && l->model && !l->is_running &&
                (!oldest || l->used_ms < oldest->used_ms))
                oldest = l;
    return oldest;
}

static uint64_t total_size(const mock_server *srv)
{
    uint64_t total = 0;
    for (size_t i = 0; i < LANE_TABLE_SIZE; i++)
        for (const lane *l = srv->lanes[i]; l; l = l->hash_next)
            total += l->size_bytes;
    return total;
}

tkx_status model_make_room(mock_server *srv, uint64_t size_bytes, const lane *self,
                           tkx_error **err)
{
    uint64_t limit = (uint64_t)srv->opt.max_memory_mb << 20;
    bool fits;
    pthread_mutex_lock(&srv->lock);
    for (;;) {
        lane *l;
        fits = size_bytes <= limit && total_size(srv) <= limit - size_bytes;
        l = fits ? NULL : oldest_idle(srv, self);
        if (!l)
            break;
        model_drop(l); /* it is read back when it is needed again */
    }
    pthread_mutex_unlock(&srv->lock);
    if (fits)
        return TKX_OK;
    return tkx__fail(
        err, TKX_ERR_LIMIT,
        "a model of %llu MB does not fit: all models together may take %zu MB "
        "(--max-memory-mb)",
        (unsigned long long)(size_bytes >> 20), srv->opt.max_memory_mb);
}

static tkx_status read_file(exec *x, nn_model *model, tkx_error **err)
{
    char path[4096], *bytes = NULL;
    size_t size = 0;
    tkx_status st;
    if (!x->row.file[0])
        return TKX_OK;
    snprintf(path, sizeof path, "%s/%s", x->srv->state_dir, x->row.file);
    st = mock_read_file(path, &bytes, &size, err);
    if (st == TKX_OK)
        st = nn_model_load_state(model, bytes, size, NN_STATE_OPTIMIZER, err);
    tkx__free(bytes);
    return st;
}

typedef struct kept {
    struct kept *next;
    kept_request request;
} kept;

/* The requests behind the file that had an effect, oldest first. */
static tkx_status read_kept(exec *x, tkx__arena *arena, kept **out, tkx_error **err)
{
    mock_server *srv = x->srv;
    tkx_status st = TKX_OK;
    db_rows *rows;
    pthread_mutex_lock(&srv->lock);
    rows = db_query(srv->db,
                    "SELECT kind, is_proto, body FROM promises WHERE model_id=?"
                    " AND seq_id>? AND kind IN (?, ?) AND done_at IS NOT NULL"
                    " AND body IS NOT NULL ORDER BY seq_id",
                    "siii", x->lane->model_id, x->row.file_seq,
                    (int64_t)OP_FORWARD_BACKWARD, (int64_t)OP_OPTIM_STEP);
    while (st == TKX_OK && db_next(rows)) {
        kept *k = tkx__arena_zalloc(arena, 1, sizeof *k);
        const void *body;
        if (k) {
            k->request.kind = (op_kind)db_int(rows, 0);
            k->request.is_proto = db_int(rows, 1) != 0;
            body = db_blob(rows, 2, &k->request.size);
            k->request.body = tkx__arena_strndup(arena, body, k->request.size);
        }
        if (!k || !k->request.body) {
            st = tkx__fail_memory(err);
            db_done(rows);
            break;
        }
        *out = k;
        out = &k->next;
    }
    pthread_mutex_unlock(&srv->lock);
    return st;
}

static tkx_status replay_kept(exec *x, nn_model *model, tkx_error **err)
{
    tkx__arena arena;
    kept *list = NULL;
    tkx_status st;
    tkx__arena_init(&arena, 65536, (size_t)16 << 30);
    st = read_kept(x, &arena, &list, err);
    for (; list && st == TKX_OK; list = list->next)
        st = exec_replay(x, model, &list->request, err);
    tkx__arena_clear(&arena);
    return st;
}

tkx_status model_ensure(exec *x, tkx_error **err)
{
    lane *l = x->lane;
    const nn_base *base = nn_engine_find_base(x->srv->engine, x->row.base_model);
    nn_model *model = NULL;
    uint64_t size;
    tkx_status st;
    if (x->row.is_unloaded)
        return tkx__fail(err, TKX_ERR_INVALID_STATE, "model %s was unloaded",
                         l->model_id);
    if (!x->row.is_ready)
        return tkx__fail(err, TKX_ERR_INVALID_STATE, "model %s was not created",
                         l->model_id);
    if (l->model)
        return TKX_OK;
    if (!base)
        return tkx__fail(err, TKX_ERR_NOT_FOUND,
                         "base model %s: not offered by this server", x->row.base_model);
    size = nn_model_size_bytes(base, &x->row.lora);
    st = model_make_room(x->srv, size, l, err);
    if (st == TKX_OK)
        st = nn_model_new(x->srv->engine, base, &x->row.lora, &model, err);
    if (st == TKX_OK)
        st = read_file(x, model, err);
    if (st == TKX_OK)
        st = replay_kept(x, model, err);
    if (st == TKX_OK) {
        l->model = model;
        l->size_bytes = size;
        l->file_seq = x->row.file_seq;
        model = NULL;
    }
    nn_model_free(model);
    return st;
}
