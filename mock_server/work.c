/* SPDX-License-Identifier: Apache-2.0 */
/*
 * work.c - intake threads, train workers and the sample worker.
 *
 * A lane stands in the ready list at most once and is run by one worker at a time, so
 * that its model needs no lock.  Samples that want the same weights are drawn as one
 * batch.
 */
#include "mock_server/work.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/mem.h"
#include "mock_server/exec.h"
#include "mock_server/future.h"

enum { N_INTAKE = 2, N_TRAIN = 2, MAX_BATCH = 64 };

static size_t slot_of(const char *id)
{
    uint64_t h = 1469598103934665603u;
    for (; *id; id++)
        h = (h ^ (unsigned char)*id) * 1099511628211u;
    return (size_t)(h % LANE_TABLE_SIZE);
}

/* Under the lock: the lane of a model that is in the records, NULL when memory is
   short. */
static lane *lane_of_model(mock_server *srv, const char *model_id)
{
    lane **slot = &srv->lanes[slot_of(model_id)];
    mock_dialect dialect = srv->opt.dialect;
    lane *l = *slot;
    while (l && strcmp(l->model_id, model_id) != 0)
        l = l->hash_next;
    if (l)
        return l;
    l = lane_new(model_id,
                 db_scalar(srv->db, 0, "SELECT next_seq FROM models WHERE model_id=?",
                           "s", model_id));
    if (!l)
        return NULL;
    l->is_any_order = dialect == DIALECT_SKYRL || dialect == DIALECT_TWINKLE;
    l->hash_next = *slot;
    *slot = l;
    srv->n_lanes++;
    return l;
}

static bool is_over(mock_server *srv, const lane *l)
{
    return !l->is_running && !l->is_ready && !l->head &&
           db_scalar(srv->db, 0,
                     "SELECT 1 FROM models JOIN sessions USING (session_id)"
                     " WHERE model_id=? AND finished_at IS NOT NULL",
                     "s", l->model_id) != 0;
}

void work_forget_ended(mock_server *srv)
{
    for (size_t i = 0; srv->n_lanes > 0 && i < LANE_TABLE_SIZE; i++)
        for (lane **at = &srv->lanes[i], *l; (l = *at) != NULL;) {
            if (!is_over(srv, l)) {
                at = &l->hash_next;
                continue;
            }
            *at = l->hash_next;
            srv->n_lanes--;
            lane_free(l);
        }
}

static void make_ready(mock_server *srv, lane *l)
{
    if (l->is_ready || !lane_peek(l))
        return;
    l->is_ready = true;
    l->ready_next = NULL;
    if (srv->ready_tail)
        srv->ready_tail->ready_next = l;
    else
        srv->ready_head = l;
    srv->ready_tail = l;
    pthread_cond_signal(&srv->train_ready);
}

void work_submit(mock_server *srv, op *o, const char *model_id)
{
    lane *l = model_id ? lane_of_model(srv, model_id) : NULL;
    op_table_put(&srv->ops, o);
    if (l) {
        lane_put(l, o);
        make_ready(srv, l);
        return;
    }
    o->next = NULL;
    if (srv->sample_tail)
        srv->sample_tail->next = o;
    else
        srv->sample_head = o;
    srv->sample_tail = o;
    srv->n_samples++;
    pthread_cond_signal(&srv->sample_ready);
}

static void thread_ends(mock_server *srv)
{
    srv->n_threads_left--;
    pthread_cond_broadcast(&srv->thread_ended);
    pthread_mutex_unlock(&srv->lock);
}

static void *run_intake(void *arg)
{
    mock_server *srv = arg;
    pthread_mutex_lock(&srv->lock);
    while (!srv->is_stopping) {
        call *c = call_list_pop(&srv->intake);
        bool is_answered;
        if (!c) {
            pthread_cond_wait(&srv->intake_ready, &srv->lock);
            continue;
        }
        pthread_mutex_unlock(&srv->lock);
        is_answered = c->route->fn(c);
        if (is_answered)
            call_done(c);
        pthread_mutex_lock(&srv->lock);
    }
    thread_ends(srv);
    return NULL;
}

static void *run_train(void *arg)
{
    mock_server *srv = arg;
    pthread_mutex_lock(&srv->lock);
    while (!srv->is_stopping) {
        lane *l = srv->ready_head;
        op *o;
        if (!l) {
            pthread_cond_wait(&srv->train_ready, &srv->lock);
            continue;
        }
        srv->ready_head = l->ready_next;
        if (!srv->ready_head)
            srv->ready_tail = NULL;
        l->is_ready = false;
        o = lane_take(l);
        l->is_running = o->is_running = true;
        pthread_mutex_unlock(&srv->lock);
        exec_op(srv, l, o);
        pthread_mutex_lock(&srv->lock);
        l->is_running = false;
        future_settle(srv, o);
        make_ready(srv, l);
    }
    thread_ends(srv);
    return NULL;
}

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

/* Under the lock: the first sample and those behind it that want the same weights. */
static size_t take_batch(mock_server *srv, op *batch[MAX_BATCH])
{
    op **at = &srv->sample_head, *last = NULL;
    size_t n = 0;
    while (*at) {
        op *o = *at;
        if (n < MAX_BATCH &&
            (n == 0 || (same_text(o->source, batch[0]->source) &&
                        same_text(o->base_model, batch[0]->base_model)))) {
            *at = o->next;
            o->next = NULL;
            o->is_running = true;
            batch[n++] = o;
            continue;
        }
        last = o;
        if (n == MAX_BATCH)
            break;
        at = &o->next;
    }
    if (!srv->sample_head)
        srv->sample_tail = NULL;
    else if (!*at)
        srv->sample_tail = last;
    srv->n_samples -= n;
    return n;
}

static void *run_samples(void *arg)
{
    mock_server *srv = arg;
    op *batch[MAX_BATCH];
    pthread_mutex_lock(&srv->lock);
    while (!srv->is_stopping) {
        size_t n = take_batch(srv, batch);
        if (n == 0) {
            pthread_cond_wait(&srv->sample_ready, &srv->lock);
            continue;
        }
        pthread_mutex_unlock(&srv->lock);
        exec_samples(srv, batch, n);
        pthread_mutex_lock(&srv->lock);
        for (size_t i = 0; i < n; i++)
            future_settle(srv, batch[i]);
    }
    thread_ends(srv);
    return NULL;
}

static void take_up(mock_server *srv, db_rows *rows)
{
    size_t body_size;
    const void *body = db_blob(rows, 8, &body_size);
    op_spec spec = {.request_id = db_text(rows, 0),
                    .kind = (op_kind)db_int(rows, 1),
                    .owner = db_text(rows, 2),
                    .session_id = db_text(rows, 3),
                    .model_id = db_text(rows, 4),
                    .sampler_id = db_text(rows, 5),
                    .seq_id = db_is_null(rows, 6) ? -1 : db_int(rows, 6),
                    .sha256 = db_text(rows, 7),
                    .body = body,
                    .body_size = body_size,
                    .is_proto = db_int(rows, 9) != 0,
                    .seed = (uint64_t)db_int(rows, 10),
                    .source = db_text(rows, 11),
                    .base_model = db_text(rows, 12)};
    op *o = op_new(&spec);
    if (o)
        work_submit(srv, o, spec.model_id);
}

/* What was promised and not kept when the last process ended. */
static void take_up_all(mock_server *srv)
{
    db_rows *rows = db_query(
        srv->db,
        "SELECT request_id, kind, owner, session_id, model_id, sampler_id, seq_id,"
        " sha256, body, is_proto, seed, source, base_model FROM promises"
        " WHERE state=0 ORDER BY rowid",
        "");
    while (db_next(rows))
        take_up(srv, rows);
}

static tkx_status start(mock_server *srv, void *(*fn)(void *), size_t n, tkx_error **err)
{
    for (size_t i = 0; i < n; i++) {
        if (pthread_create(&srv->threads[srv->n_threads], NULL, fn, srv) != 0)
            return tkx__fail(err, TKX_ERR_IO, "a thread cannot be started");
        srv->n_threads++;
        srv->n_threads_left++;
    }
    return TKX_OK;
}

tkx_status work_start(mock_server *srv, tkx_error **err)
{
    tkx_status st;
    pthread_mutex_lock(&srv->lock);
    take_up_all(srv);
    st = start(srv, run_intake, N_INTAKE, err);
    if (st == TKX_OK)
        st = start(srv, run_train, N_TRAIN, err);
    if (st == TKX_OK)
        st = start(srv, run_samples, 1, err);
    pthread_mutex_unlock(&srv->lock);
    if (st != TKX_OK)
        work_stop(srv, 5000);
    return st;
}

bool work_stop(mock_server *srv, int64_t timeout_ms)
{
    struct timespec until;
    bool is_clean;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += (time_t)(timeout_ms / 1000);
    pthread_mutex_lock(&srv->lock);
    srv->is_stopping = true;
    pthread_cond_broadcast(&srv->intake_ready);
    pthread_cond_broadcast(&srv->train_ready);
    pthread_cond_broadcast(&srv->sample_ready);
    while (srv->n_threads_left > 0 &&
           pthread_cond_timedwait(&srv->thread_ended, &srv->lock, &until) == 0)
        continue;
    is_clean = srv->n_threads_left == 0;
    pthread_mutex_unlock(&srv->lock);
    for (; is_clean && srv->n_threads > 0; srv->n_threads--)
        pthread_join(srv->threads[srv->n_threads - 1], NULL);
    return is_clean;
}
