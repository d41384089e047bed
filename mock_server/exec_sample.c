/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec_sample.c - a batch of samples from one set of weights, recorded in one
 * transaction.
 */
#include "mock_server/exec.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"
#include "mock_server/sample_request.h"
#include "mock_server/snapshots.h"

typedef struct job {
    op *op;
    tkx__arena arena;
    sample_request request;
    nn_sample_result result;
    outcome out;
    int64_t n_drawn;
} job;

static bool is_cancelled(void *user_data)
{
    const op *o = user_data;
    return atomic_load(&o->is_cancelled);
}

static void read_job(mock_server *srv, job *j, op *o)
{
    const jv *body;
    tkx_error *err = NULL;
    tkx_status st;
    j->op = o;
    tkx__arena_init(&j->arena, 4096, (size_t)2 << 30);
    outcome_init(&j->out);
    st = jv_parse(&j->arena, o->body, o->body_size, &body, &err);
    if (st == TKX_OK)
        st = sample_request_read(&j->arena, body, srv->opt.dialect, &j->request, &err);
    if (st != TKX_OK) {
        outcome_fail(&j->out, &err);
        return;
    }
    if (!j->request.has_seed)
        j->request.nn.seed = o->seed;
    j->request.nn.is_cancelled = is_cancelled;
    j->request.nn.user_data = o;
}

static void fail_open_jobs(job *jobs, size_t n, tkx_error **err)
{
    for (size_t i = 0; i < n; i++)
        if (!jobs[i].out.has_failed) {
            tkx_error *copy = tkx__error_copy(*err);
            outcome_fail(&jobs[i].out, &copy);
        }
    tkx_error_free(*err);
    *err = NULL;
}

static void write_job(mock_server *srv, job *j)
{
    mock_dialect dialect = srv->opt.dialect;
    tkx_error *err = NULL;
    if (j->result.status != TKX_OK) {
        err = j->result.error;
        j->result.error = NULL;
        outcome_fail(&j->out, &err);
        return;
    }
    sample_result_json(&j->request, &j->result, dialect, &j->out.json);
    sample_result_proto(&j->request, &j->result, dialect, &j->out.proto);
    for (size_t i = 0; i < j->result.n_sequences; i++)
        j->n_drawn += (int64_t)j->result.sequences[i].n_tokens;
    if (j->out.json.status != TKX_OK || j->out.proto.status != TKX_OK) {
        tkx__fail_memory(&err);
        outcome_fail(&j->out, &err);
    }
}

/* Those that could be read, as one batch. */
static void draw(mock_server *srv, job *jobs, size_t n)
{
    nn_sample_request *requests = tkx__calloc(n, sizeof *requests);
    nn_sample_result *results = tkx__calloc(n, sizeof *results);
    nn_snapshot *snapshot = NULL;
    tkx_error *err = NULL;
    size_t m = 0;
    tkx_status st = requests && results ? TKX_OK : tkx__fail_memory(&err);
    for (size_t i = 0; i < n && st == TKX_OK; i++)
        if (!jobs[i].out.has_failed)
            requests[m++] = jobs[i].request.nn;
    if (st == TKX_OK && m > 0)
        st = snapshots_get(srv->snapshots, jobs[0].op->base_model, jobs[0].op->source,
                           &snapshot, &err);
    if (st == TKX_OK && m > 0)
        st = nn_sample(snapshot, requests, m, results, &err);
    if (st != TKX_OK)
        fail_open_jobs(jobs, n, &err);
    m = 0;
    for (size_t i = 0; i < n && st == TKX_OK; i++)
        if (!jobs[i].out.has_failed) {
            jobs[i].result = results[m++];
            write_job(srv, &jobs[i]);
        }
    nn_snapshot_unref(snapshot);
    tkx__free(requests);
    tkx__free(results);
}

static tkx_status record_usage(mock_server *srv, const job *j, tkx_error **err)
{
    const op *o = j->op;
    int64_t n_cached = (int64_t)j->result.n_cached;
    tkx_status st =
        usage_add(srv, o->session_id, o->owner, NULL, o->base_model, "sampling_prefill",
                  false, (int64_t)j->request.nn.n_prompt - n_cached, err);
    if (st == TKX_OK && n_cached > 0)
        st = usage_add(srv, o->session_id, o->owner, NULL, o->base_model,
                       "sampling_prefill", true, n_cached, err);
    if (st == TKX_OK)
        st = usage_add(srv, o->session_id, o->owner, NULL, o->base_model,
                       "sampling_sample", false, j->n_drawn, err);
    return st;
}

static void record(mock_server *srv, job *jobs, size_t n)
{
    tkx_error *err = NULL;
    tkx_status st;
    pthread_mutex_lock(&srv->lock);
    st = db_begin(srv->db, &err);
    for (size_t i = 0; i < n && st == TKX_OK; i++) {
        st = future_record(srv, jobs[i].op, &jobs[i].out, &err);
        if (st == TKX_OK && !jobs[i].out.has_failed)
            st = record_usage(srv, &jobs[i], &err);
    }
    if (st == TKX_OK)
        st = db_commit(srv->db, &err);
    pthread_mutex_unlock(&srv->lock);
    if (st == TKX_OK)
        return;
    fprintf(stderr, "tkx-mock-server: samples cannot be recorded: %s; ending\n",
            tkx_error_message(err));
    _exit(1);
}

void exec_samples(mock_server *srv, op **ops, size_t n)
{
    job *jobs = tkx__calloc(n, sizeof *jobs);
    if (!jobs) {
        fprintf(stderr, "tkx-mock-server: out of memory; ending\n");
        _exit(1); /* the promises are in the records and are taken up again */
    }
    for (size_t i = 0; i < n; i++)
        read_job(srv, &jobs[i], ops[i]);
    draw(srv, jobs, n);
    record(srv, jobs, n);
    for (size_t i = 0; i < n; i++) {
        nn_sample_result_clear(&jobs[i].result);
        outcome_clear(&jobs[i].out);
        tkx__arena_clear(&jobs[i].arena);
    }
    tkx__free(jobs);
}
