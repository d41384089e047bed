/* SPDX-License-Identifier: Apache-2.0 */
/* routes_sample.c - sampling sessions and samples. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/str.h"
#include "mock_server/exec.h"
#include "mock_server/handlers.h"
#include "mock_server/jw.h"
#include "mock_server/paths.h"
#include "mock_server/sample_request.h"
#include "mock_server/submit.h"
#include "mock_server/util.h"

static void make_sampler_id(const call *c, const char *session, int64_t seq,
                            char out[512])
{
    char uuid[MOCK_UUID_SIZE];
    mock_uuid(uuid);
    if (c->srv->opt.dialect == DIALECT_SKYRL)
        snprintf(out, 512, "sampling_%.8s", uuid);
    else if (c->srv->opt.dialect == DIALECT_TWINKLE)
        snprintf(out, 512, "sampling_%.8s%.4s%.4s%.4s%.12s", uuid, uuid + 9, uuid + 14,
                 uuid + 19, uuid + 24);
    else
        snprintf(out, 512, "%.400s:sample:%lld", session, (long long)seq);
}

/* What a sampler draws from. */
typedef struct source {
    char base_model[256];
    char model_path[640]; /* "" for a bare base */
    char file[256];
} source;

/* Under the lock; false when the answer is filled in. */
static bool find_source(call *c, const char *base_model, const char *model_path,
                        source *out)
{
    checkpoint_row row;
    tkx_error *err = NULL;
    *out = (source){.base_model = ""};
    if (!model_path) {
        if (!nn_engine_find_base(c->srv->engine, base_model))
            return !call_error(c, 400, "base model %s is not offered by this server",
                               base_model);
        snprintf(out->base_model, sizeof out->base_model, "%s", base_model);
        return true;
    }
    if (checkpoint_find(c->srv, model_path, c->owner, NULL, &row, &err) != TKX_OK)
        return !call_fail(c, &err);
    snprintf(out->base_model, sizeof out->base_model, "%s", row.base_model);
    snprintf(out->file, sizeof out->file, "%s", row.file);
    snprintf(out->model_path, sizeof out->model_path, "%s", model_path);
    return true;
}

bool handle_create_sampler(call *c)
{
    const jv *body;
    const char *session, *base_model, *model_path;
    source from;
    int64_t seq;
    char id[512];
    tkx_error *err = NULL;
    if (!call_json(c, &body))
        return true;
    session = jv_get_str(body, "session_id");
    base_model = jv_get_str(body, "base_model");
    model_path = jv_get_str(body, "model_path");
    if (!jv_i64(jv_get(body, "sampling_session_seq_id"), &seq))
        return call_invalid(c, "sampling_session_seq_id", "Input should be an integer");
    if (!base_model && !model_path)
        return call_error(c, 400, "base_model or model_path is wanted");
    if (base_model && model_path && c->srv->opt.dialect == DIALECT_SKYRL)
        return call_error(c, 400, "exactly one of base_model and model_path is wanted");
    if (!session_is_alive(c, session) || !find_source(c, base_model, model_path, &from))
        return true;
    make_sampler_id(c, session, seq, id);
    if (db_run(c->srv->db, &err,
               "INSERT INTO samplers (sampler_id, session_id, sampler_seq, owner, "
               "base_model,"
               " model_path, file, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
               " ON CONFLICT (sampler_id) DO NOTHING",
               "ssissssi", id, session, seq, c->owner, from.base_model,
               from.model_path[0] ? from.model_path : NULL,
               from.file[0] ? from.file : NULL, mock_now_ms()) != TKX_OK)
        return call_fail(c, &err);
    jw_fmt(&c->out, "{\"type\":\"create_sampling_session\",\"sampling_session_id\":%s}",
           id);
    return call_ok(c);
}

bool handle_join_sampler(call *c)
{
    const jv *body;
    const char *id;
    mock_db *db = c->srv->db;
    int64_t counter;
    if (!call_json(c, &body))
        return true;
    id = jv_get_str(body, "sampling_session_id");
    if (!id)
        return call_invalid(c, "sampling_session_id", "Field required");
    counter =
        db_scalar(db, -1, "SELECT next_copy FROM samplers WHERE sampler_id=?", "s", id);
    if (counter < 0)
        return call_error(c, 404, "sampling session %s not found", id);
    db_run(db, NULL, "UPDATE samplers SET next_copy=next_copy+1 WHERE sampler_id=?", "s",
           id);
    jw_fmt(&c->out, "{\"type\":\"join_sampling_session\",\"client_counter\":%d}",
           counter);
    return call_ok(c);
}

bool handle_get_sampler(call *c)
{
    db_rows *rows = db_query(c->srv->db,
                             "SELECT base_model, model_path FROM samplers"
                             " WHERE sampler_id=?",
                             "s", c->params[0]);
    if (!db_next(rows))
        return call_error(c, 404, "sampler %s not found", c->params[0]);
    jw_fmt(&c->out, "{\"sampler_id\":%s,\"base_model\":%s,\"model_path\":%s}",
           c->params[0], db_text(rows, 0), db_text(rows, 1));
    db_done(rows);
    return call_ok(c);
}

typedef struct sampler_row {
    char session_id[256];
    char base_model[256];
    char file[256];
} sampler_row;

/* Under the lock: an inflight sampler draws from what its model published last. */
static bool find_sampler(call *c, const char *id, sampler_row *out)
{
    db_rows *rows = db_query(c->srv->db,
                             "SELECT s.session_id, s.base_model, CASE WHEN s.is_inflight"
                             " THEN m.inflight_file ELSE s.file END FROM samplers s"
                             " LEFT JOIN models m ON m.model_id=s.model_id"
                             " WHERE s.sampler_id=?",
                             "s", id);
    const char *file;
    if (!db_next(rows))
        return !call_error(c, 404, "sampling session %s not found", id);
    file = db_text(rows, 2);
    snprintf(out->session_id, sizeof out->session_id, "%s", db_text(rows, 0));
    snprintf(out->base_model, sizeof out->base_model, "%s", db_text(rows, 1));
    snprintf(out->file, sizeof out->file, "%s", file ? file : "");
    db_done(rows);
    return session_is_alive(c, out->session_id);
}

static bool submit_sample(call *c, const jv *body, const sample_request *request)
{
    const char *id = jv_get_str(body, "sampling_session_id");
    const char *base_model = jv_get_str(body, "base_model");
    const char *model_path = jv_get_str(body, "model_path");
    sampler_row sampler = {0};
    source from;
    op_spec spec = {.kind = OP_SAMPLE, .seq_id = -1, .body = c->body};
    spec.body_size = c->body_size;
    if (id) {
        if (!find_sampler(c, id, &sampler))
            return true;
        spec.sampler_id = id;
        spec.session_id = sampler.session_id;
        spec.base_model = sampler.base_model;
        spec.source = sampler.file[0] ? sampler.file : NULL;
        jv_i64(jv_get(body, "seq_id"), &spec.seq_id);
    } else {
        if (!base_model && !model_path)
            return call_error(c, 400,
                              "sampling_session_id, model_path or base_model is wanted");
        if (!find_source(c, base_model, model_path, &from))
            return true;
        spec.base_model = from.base_model;
        spec.source = from.file[0] ? from.file : NULL;
    }
    mock_random(&spec.seed, sizeof spec.seed);
    return submit_op(c, &spec, request->nn.n_samples);
}

bool handle_asample(call *c)
{
    mock_server *srv = c->srv;
    const jv *body;
    sample_request request;
    tkx_error *err = NULL;
    bool answer;
    if (!call_json(c, &body))
        return true;
    if (sample_request_read(&c->arena, body, srv->opt.dialect, &request, &err) != TKX_OK)
        return call_fail(c, &err);
    if (request.nn.n_prompt > srv->opt.max_tokens)
        return call_error(c, 400,
                          "the prompt has %zu tokens, the limit is %zu (--max-tokens)",
                          request.nn.n_prompt, srv->opt.max_tokens);
    if (jv_get_str(body, "sampling_session_id") && !jv_get(body, "seq_id") &&
        srv->opt.dialect == DIALECT_HOSTED)
        return call_invalid(c, "seq_id", "required with sampling_session_id");
    pthread_mutex_lock(&srv->lock);
    if (srv->n_samples >= srv->opt.max_queue &&
        call_header_in(c, "X-Tinker-Sampling-Backpressure"))
        answer =
            call_error(c, 429, "backpressure: %zu samples are waiting", srv->n_samples);
    else
        answer = submit_sample(c, body, &request);
    pthread_mutex_unlock(&srv->lock);
    return answer;
}
