/* SPDX-License-Identifier: Apache-2.0 */
/*
 * routes_train.c - submitting what a model does: creation, passes, steps, saves, loads.
 *
 * These run on intake threads: bodies are unpacked and checked without the lock, which is
 * taken for the records alone.
 */
#include <float.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zstd.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "mock_server/exec.h"
#include "mock_server/handlers.h"
#include "mock_server/jw.h"
#include "mock_server/lora.h"
#include "mock_server/paths.h"
#include "mock_server/query.h"
#include "mock_server/submit.h"
#include "mock_server/train_request.h"
#include "mock_server/util.h"

static bool is_hosted(const call *c)
{
    return c->srv->opt.dialect == DIALECT_HOSTED ||
           c->srv->opt.dialect == DIALECT_HOSTED25;
}

static bool unlock(call *c, bool answer)
{
    pthread_mutex_unlock(&c->srv->lock);
    return answer;
}

static void make_model_id(const call *c, const char *session, int64_t seq,
                          const char *base, char out[400])
{
    char uuid[MOCK_UUID_SIZE];
    mock_uuid(uuid);
    if (c->srv->opt.dialect == DIALECT_SKYRL)
        snprintf(out, 400, "model_%.8s", uuid);
    else if (c->srv->opt.dialect == DIALECT_TWINKLE)
        snprintf(out, 400, "run-%.200s-%.8s", base, uuid);
    else
        snprintf(out, 400, "%.250s:train:%lld", session, (long long)seq);
    for (char *p = out; *p; p++)
        if (*p == '/')
            *p = '_';
}

/* The optimizer family; NULL when the answer is filled in. */
static const char *read_optimizer(call *c, const jv *config)
{
    const char *type = jv_get_str(config, "type");
    if (!config)
        return "{\"type\":\"adamw\"}";
    if (!type || (strcmp(type, "adamw") != 0 && strcmp(type, "dimuon") != 0)) {
        call_error(c, 400,
                   "optimizer_config: type %s is not offered; adamw and dimuon are",
                   type ? type : "(none)");
        return NULL;
    }
    return query_text(c, config);
}

static bool limit_models(call *c, const char *model_id)
{
    int64_t n =
        db_scalar(c->srv->db, 0,
                  "SELECT COUNT(*) FROM models m JOIN sessions s USING (session_id)"
                  " WHERE s.finished_at IS NULL AND m.is_unloaded=0 AND m.is_copy=0"
                  " AND m.model_id<>?",
                  "s", model_id);
    if (n < (int64_t)c->srv->opt.max_models)
        return true;
    return !call_error(c, 400,
                       "%lld models are live already, the limit is %zu (--max-models): "
                       "finish a session first",
                       (long long)n, c->srv->opt.max_models);
}

typedef struct new_model {
    char id[400];
    const char *session_id;
    int64_t seq;
    const char *base_model;
    nn_lora_options lora;
    const char *optimizer;
    const char *user_metadata;
} new_model;

/* Under the lock: the model's row and the operation that makes it. */
static bool submit_model(call *c, const new_model *m, op_kind kind)
{
    mock_db *db = c->srv->db;
    tkx_error *err = NULL;
    op_spec spec = {.kind = kind,
                    .session_id = m->session_id,
                    .model_id = m->id,
                    .seq_id = 0,
                    .body = c->body,
                    .body_size = c->body_size};
    if (!session_is_alive(c, m->session_id) || !limit_models(c, m->id))
        return true;
    if (db_begin(db, &err) != TKX_OK)
        return call_fail(c, &err);
    if (db_run(
            db, &err,
            "INSERT OR IGNORE INTO models (model_id, session_id, model_seq_id, owner,"
            " project_id, base_model, rank, train_attn, train_mlp, train_unembed, seed,"
            " optimizer, user_metadata, created_at, last_request)"
            " SELECT ?, session_id, ?, ?, project_id, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?"
            " FROM sessions WHERE session_id=?",
            "sissiiiiissiis", m->id, m->seq, c->owner, m->base_model,
            (int64_t)m->lora.rank, (int64_t)m->lora.train_attn,
            (int64_t)m->lora.train_mlp, (int64_t)m->lora.train_unembed,
            (int64_t)m->lora.seed, m->optimizer, m->user_metadata, mock_now_ms(),
            mock_now_ms(), m->session_id) != TKX_OK) {
        db_rollback(db);
        return call_fail(c, &err);
    }
    submit_op(c, &spec, 0);
    if (c->status != 200)
        db_rollback(db);
    else if (db_commit(db, &err) != TKX_OK)
        return call_fail(c, &err);
    return true;
}

bool handle_create_model(call *c)
{
    const jv *body;
    new_model m = {0};
    if (!call_json(c, &body))
        return true;
    m.session_id = jv_get_str(body, "session_id");
    m.base_model = jv_get_str(body, "base_model");
    if (!m.session_id || !m.base_model)
        return call_invalid(c, m.session_id ? "base_model" : "session_id",
                            "Field required");
    if (!jv_i64(jv_get(body, "model_seq_id"), &m.seq) || m.seq < 0)
        return call_invalid(c, "model_seq_id", "Input should be an integer from 0");
    if (c->srv->opt.dialect == DIALECT_TWINKLE && jv_get(body, "optimizer_config"))
        return call_invalid(c, "optimizer_config", "Extra inputs are not permitted");
    if (!nn_engine_find_base(c->srv->engine, m.base_model))
        return call_error(c, 400, "base model %s is not offered by this server",
                          m.base_model);
    if (!lora_read(c, jv_get(body, "lora_config"), &m.lora))
        return true;
    m.optimizer = read_optimizer(c, jv_get(body, "optimizer_config"));
    if (!m.optimizer)
        return true;
    m.user_metadata = query_text(c, jv_get(body, "user_metadata"));
    make_model_id(c, m.session_id, m.seq, m.base_model, m.id);
    pthread_mutex_lock(&c->srv->lock);
    return unlock(c, submit_model(c, &m, OP_CREATE_MODEL));
}

bool handle_get_info(call *c)
{
    const jv *body;
    const char *id;
    model_row row;
    nn_base_info info = {.architecture = "unknown", .tokenizer_id = NULL};
    const nn_base *base;
    if (!call_json(c, &body))
        return true;
    id = jv_get_str(body, "model_id");
    if (!id)
        return call_invalid(c, "model_id", "Field required");
    if (!model_row_read(c->srv, id, &row))
        return call_error(c, 404, "model %s not found", id);
    base = nn_engine_find_base(c->srv->engine, row.base_model);
    if (base)
        info = nn_base_get_info(base);
    jw_fmt(&c->out, "{\"model_data\":{\"arch\":%s,\"model_name\":%s", info.architecture,
           row.base_model);
    if (c->srv->opt.dialect != DIALECT_SKYRL)
        jw_fmt(&c->out, ",\"tokenizer_id\":%s", info.tokenizer_id);
    jw_fmt(&c->out,
           "},\"model_id\":%s,\"is_lora\":true,\"lora_rank\":%z,\"model_name\":%s", id,
           row.lora.rank, row.base_model);
    if (c->srv->opt.dialect == DIALECT_HOSTED)
        jw_fmt(&c->out, ",\"optimizer_config\":%r", row.optimizer);
    tkx__buf_puts(&c->out, ",\"type\":\"get_info\"}");
    return call_ok(c);
}

/* Under the lock: a model that takes operations; false when the answer is filled in. */
static bool model_is_open(call *c, const char *model_id, char session_id[256])
{
    model_row row;
    if (!model_row_read(c->srv, model_id, &row))
        return !call_error(c, 404, "model %s not found", model_id);
    snprintf(session_id, 256, "%s", row.session_id);
    return session_is_alive(c, session_id);
}

static bool submit_step(call *c, op_kind kind, const char *model_id, int64_t seq_id,
                        bool is_proto)
{
    char session_id[256];
    op_spec spec = {.kind = kind,
                    .session_id = session_id,
                    .model_id = model_id,
                    .seq_id = seq_id,
                    .body = c->body,
                    .body_size = c->body_size,
                    .is_proto = is_proto};
    pthread_mutex_lock(&c->srv->lock);
    if (!model_is_open(c, model_id, session_id))
        return unlock(c, true);
    return unlock(c, submit_op(c, &spec, 0));
}

/* model_id and seq_id of a JSON body; false when the answer is filled in. */
static bool read_head(call *c, const jv **body, const char **model_id, int64_t *seq_id)
{
    *seq_id = -1;
    if (!call_json(c, body))
        return false;
    *model_id = jv_get_str(*body, "model_id");
    if (!*model_id)
        return !call_invalid(c, "model_id", "Field required");
    if (jv_get(*body, "seq_id") && !jv_i64(jv_get(*body, "seq_id"), seq_id))
        return !call_invalid(c, "seq_id", "Input should be an integer");
    if (*seq_id == 0 || *seq_id < -1)
        return !call_error(c, 400, "seq_id %lld: numbers begin at 1", (long long)*seq_id);
    return true;
}

bool handle_unload_model(call *c)
{
    const jv *body;
    const char *model_id;
    int64_t seq_id;
    if (!read_head(c, &body, &model_id, &seq_id))
        return true;
    return submit_step(c, OP_UNLOAD_MODEL, model_id, -1, false);
}

/* Undo Content-Encoding: zstd, with or without a content size in its head. */
static bool unpack(call *c)
{
    const char *encoding = call_header_in(c, "Content-Encoding");
    size_t limit = c->srv->opt.max_body_mb << 20, result = 1;
    ZSTD_DStream *stream;
    tkx__buf out;
    ZSTD_inBuffer in = {c->body, c->body_size, 0};
    if (!encoding || tkx__equals_nocase(encoding, "identity"))
        return true;
    if (!tkx__equals_nocase(encoding, "zstd"))
        return !call_error(c, 415, "Content-Encoding %s is not understood", encoding);
    stream = ZSTD_createDStream();
    tkx__buf_init(&out, limit);
    while (stream && result != 0 && out.status == TKX_OK) {
        ZSTD_outBuffer to = {tkx__buf_reserve(&out, 1 << 17), 1 << 17, 0};
        size_t before = in.pos;
        if (!to.dst)
            break;
        result = ZSTD_decompressStream(stream, &to, &in);
        tkx__buf_grew(&out, to.pos);
        if (ZSTD_isError(result) || (in.pos == before && to.pos == 0))
            break;
    }
    ZSTD_freeDStream(stream);
    if (result != 0 || in.pos != in.size || out.status != TKX_OK) {
        tkx__buf_clear(&out);
        return !call_error(c, 422, "the body is no whole zstd frame, or too large");
    }
    tkx__free(c->body);
    c->body_size = out.size;
    c->body = tkx__buf_take(&out, &c->body_size);
    if (!c->body) {
        c->body = tkx__strdup("");
        c->body_size = 0;
    }
    return true;
}

/* What can be told without computing, so that it is told at once. */
static bool request_is_good(call *c, const train_request *r)
{
    if (!*r->model_id)
        return !call_invalid(c, "model_id", "Field required");
    if (r->seq_id == 0 || r->seq_id < -1)
        return !call_error(c, 400, "seq_id %lld: numbers begin at 1",
                           (long long)r->seq_id);
    if (r->seq_id < 0 && is_hosted(c))
        return !call_error(c, 400, "seq_id is missing: numbers begin at 1");
    if (r->n_tokens > c->srv->opt.max_tokens)
        return !call_error(c, 400,
                           "the request has %zu tokens, the limit is %zu (--max-tokens)",
                           r->n_tokens, c->srv->opt.max_tokens);
    return true;
}

static bool submit_pass(call *c, bool is_proto, bool is_forward)
{
    train_request request;
    tkx_error *err = NULL;
    if (!unpack(c))
        return true;
    if (train_request_read(&c->arena, c->body, c->body_size, is_proto, &request, &err) !=
        TKX_OK) {
        if (tkx_error_status(err) != TKX_ERR_PARSE)
            return call_fail(c, &err);
        call_invalid(c, NULL, "%s", tkx_error_message(err));
        tkx_error_free(err);
        return true;
    }
    if (!request_is_good(c, &request))
        return true;
    is_forward = is_forward || request.is_forward_only;
    return submit_step(c, is_forward ? OP_FORWARD : OP_FORWARD_BACKWARD, request.model_id,
                       request.seq_id, is_proto);
}

bool handle_forward_backward(call *c)
{
    const char *type = call_header_in(c, "Content-Type");
    bool is_proto = type && strstr(type, "application/x-protobuf");
    if (!is_proto && c->srv->opt.is_strict && is_hosted(c))
        return call_error(c, 415, "forward_backward takes application/x-protobuf");
    if (is_proto && c->srv->opt.dialect == DIALECT_TWINKLE)
        return call_invalid(c, NULL, "Input should be a valid JSON object");
    return submit_pass(c, is_proto, false);
}

bool handle_forward(call *c)
{
    return submit_pass(c, false, true);
}

static bool number_is_wrong(const jv *params, const char *key, double min, double below)
{
    const jv *value = jv_get(params, key);
    double d;
    return value && (!jv_f64(value, &d) || !(d >= min) || !(d < below));
}

bool handle_optim_step(call *c)
{
    const jv *body, *adam, *other;
    const char *model_id;
    int64_t seq_id;
    if (!read_head(c, &body, &model_id, &seq_id))
        return true;
    adam = jv_get(body, "adam_params");
    other = jv_get(body, "optimizer_params");
    if (!adam && !other)
        return call_invalid(c, "adam_params", "Field required");
    adam = other ? other : adam;
    if (number_is_wrong(adam, "learning_rate", 0, 1e300) ||
        number_is_wrong(adam, "beta1", 0, 1) || number_is_wrong(adam, "beta2", 0, 1) ||
        number_is_wrong(adam, "eps", DBL_TRUE_MIN, 1e300) ||
        number_is_wrong(adam, "weight_decay", 0, 1e300))
        return call_invalid(
            c, other ? "optimizer_params" : "adam_params",
            "learning_rate >= 0, 0 <= beta1 < 1, 0 <= beta2 < 1, eps > 0, "
            "weight_decay >= 0");
    return submit_step(c, OP_OPTIM_STEP, model_id, seq_id, false);
}

/* ttl, name and metadata of a save; false when the answer is filled in. */
static bool save_is_good(call *c, const jv *body, bool needs_name)
{
    const jv *ttl = jv_get(body, "ttl_seconds");
    const char *name = jv_get_str(body, "path");
    int64_t seconds = 0, least = c->srv->opt.dialect == DIALECT_HOSTED ? 3600 : 1;
    if (!name && needs_name)
        return !call_invalid(c, "path", "a checkpoint name is required");
    if (name && !checkpoint_name_is_good(name))
        return !call_error(
            c, 400,
            "checkpoint name %s: letters, digits, '.', '_' and '-', at most "
            "255",
            name);
    if (ttl && (!jv_i64(ttl, &seconds) || seconds < least || seconds > 315360000))
        return !call_error(c, 400, "ttl_seconds: %lld to 315360000 is accepted",
                           (long long)least);
    return true;
}

static bool submit_save(call *c, op_kind kind)
{
    const jv *body, *sampler;
    const char *model_id;
    int64_t seq_id;
    bool is_sampler = kind == OP_SAVE_SAMPLER;
    if (!read_head(c, &body, &model_id, &seq_id))
        return true;
    sampler = jv_get(body, "sampling_session_seq_id");
    if (!save_is_good(c, body, !is_sampler || !sampler))
        return true;
    if (is_sampler && is_hosted(c) && sampler && jv_get(body, "path"))
        return call_error(c, 400,
                          "either path or sampling_session_seq_id is given, not both");
    if (c->srv->opt.dialect == DIALECT_TWINKLE &&
        (jv_get(body, "overwrite") || jv_get(body, "kind")))
        return call_invalid(c, "overwrite", "Extra inputs are not permitted");
    return submit_step(c, kind, model_id, seq_id, false);
}

bool handle_save_weights(call *c)
{
    return submit_save(c, OP_SAVE_WEIGHTS);
}

bool handle_save_sampler(call *c)
{
    return submit_save(c, OP_SAVE_SAMPLER);
}

bool handle_save_external(call *c)
{
    const jv *body, *recipients;
    if (!call_json(c, &body))
        return true;
    recipients = jv_get(body, "age_encryption_recipients");
    if (recipients && recipients->n > 0)
        return call_error(
            c, 400,
            "age_encryption_recipients: this server does not encrypt; leave "
            "them out");
    return submit_save(c, OP_SAVE_EXTERNAL);
}

/* Under the lock: a new model from a checkpoint. */
static bool create_and_load(call *c, const jv *body)
{
    new_model m = {.session_id = jv_get_str(body, "session_id")};
    const char *override = jv_get_str(body, "base_model");
    const jv *optimizer = jv_get(body, "optimizer");
    checkpoint_row from;
    tkx_error *err = NULL;
    if (!jv_i64(jv_get(body, "model_seq_id"), &m.seq) || m.seq < 0)
        return call_invalid(c, "model_seq_id", "Input should be an integer from 0");
    if (!session_is_alive(c, m.session_id))
        return true;
    if (checkpoint_find(c->srv, jv_get_str(body, "path"), c->owner,
                        jv_get_str(body, "weights_access_token"), &from, &err) != TKX_OK)
        return call_fail(c, &err);
    m.base_model = override ? override : from.base_model;
    m.lora = from.lora;
    m.optimizer = from.optimizer;
    if (!(optimizer && optimizer->is_true)) {
        m.optimizer = read_optimizer(c, jv_get(body, "optimizer_config"));
        if (!m.optimizer)
            return true;
    }
    m.user_metadata = query_text(c, jv_get(body, "user_metadata"));
    make_model_id(c, m.session_id, m.seq, m.base_model, m.id);
    return submit_model(c, &m, OP_LOAD_WEIGHTS);
}

bool handle_load_weights(call *c)
{
    const jv *body;
    const char *model_id;
    checkpoint_row from;
    tkx_error *err = NULL;
    int64_t seq_id;
    tkx_status st;
    if (!call_json(c, &body))
        return true;
    if (!jv_get(body, "optimizer") || !jv_get_str(body, "path"))
        return call_invalid(c, jv_get_str(body, "path") ? "optimizer" : "path",
                            "Field required");
    if (!jv_get(body, "model_id") && jv_get(body, "session_id") &&
        c->srv->opt.dialect == DIALECT_HOSTED) {
        pthread_mutex_lock(&c->srv->lock);
        return unlock(c, create_and_load(c, body));
    }
    if (!read_head(c, &body, &model_id, &seq_id))
        return true;
    if (seq_id > 1 && c->srv->opt.dialect != DIALECT_TWINKLE)
        return call_error(c, 400, "LoadWeights is not permitted with seq_id %lld",
                          (long long)seq_id);
    pthread_mutex_lock(&c->srv->lock);
    st = checkpoint_find(c->srv, jv_get_str(body, "path"), c->owner,
                         jv_get_str(body, "weights_access_token"), &from, &err);
    pthread_mutex_unlock(&c->srv->lock);
    if (st != TKX_OK)
        return call_fail(c, &err);
    return submit_step(c, OP_LOAD_WEIGHTS, model_id, seq_id, false);
}
