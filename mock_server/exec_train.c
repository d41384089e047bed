/* SPDX-License-Identifier: Apache-2.0 */
/* exec_train.c - create_model, forward, forward_backward, optim_step, unload_model. */
#include "mock_server/exec.h"

#include <string.h>

#include "base/error.h"
#include "mock_server/custom_loss.h"
#include "mock_server/jw.h"
#include "mock_server/train_request.h"
#include "mock_server/train_result.h"

tkx_status exec_run_create(exec *x, tkx_error **err)
{
    mock_server *srv = x->srv;
    lane *l = x->lane;
    const nn_base *base = nn_engine_find_base(srv->engine, x->row.base_model);
    tkx_status st;
    if (!base)
        return tkx__fail(err, TKX_ERR_NOT_FOUND,
                         "base model %s: not offered by this server", x->row.base_model);
    model_drop(l);
    st = model_make_room(srv, nn_model_size_bytes(base, &x->row.lora), l, err);
    if (st == TKX_OK)
        st = nn_model_new(srv->engine, base, &x->row.lora, &l->model, err);
    if (st != TKX_OK)
        return st;
    l->size_bytes = nn_model_size_bytes(base, &x->row.lora);
    jw_fmt(&x->out.json, "{\"model_id\":%s,\"type\":\"create_model\"}", l->model_id);
    return TKX_OK;
}

tkx_status exec_record_create(exec *x, tkx_error **err)
{
    return db_run(x->srv->db, err, "UPDATE models SET is_ready=1 WHERE model_id=?", "s",
                  x->lane->model_id);
}

/* Read and run a pass; metrics of custom losses live in arena, as the request does. */
static tkx_status pass(exec *x, tkx__arena *arena, nn_model *model, const kept_request *k,
                       train_request *request, nn_loss_result **result, tkx_error **err)
{
    custom_loss *custom = NULL;
    tkx_status st =
        train_request_read(arena, k->body, k->size, k->is_proto, request, err);
    if (st == TKX_OK)
        st = custom_loss_open(x->srv, x->row.session_id, arena, request, &custom, err);
    if (st == TKX_OK)
        st = k->kind == OP_FORWARD
                 ? nn_model_forward(model, request->datums, request->n_datums,
                                    &request->loss, result, err)
                 : nn_model_forward_backward(model, request->datums, request->n_datums,
                                             &request->loss, result, err);
    if (st == TKX_OK)
        custom_loss_report(custom, *result);
    custom_loss_close(custom);
    return st;
}

tkx_status exec_run_pass(exec *x, tkx_error **err)
{
    const op *o = x->op;
    const kept_request kept = {o->kind, o->is_proto, o->body, o->body_size};
    mock_dialect dialect = x->srv->opt.dialect;
    nn_loss_result *result = NULL;
    train_request request;
    tkx_status st = pass(x, &x->arena, x->lane->model, &kept, &request, &result, err);
    if (st != TKX_OK)
        return st;
    train_result_json(result, dialect, &x->out.json);
    train_result_proto(result, dialect, &x->out.proto);
    nn_loss_result_free(result);
    x->n_tokens = (int64_t)request.n_tokens;
    if (x->out.json.status != TKX_OK || x->out.proto.status != TKX_OK) {
        model_drop(x->lane); /* its gradients hold what will not be recorded */
        return tkx__fail_memory(err);
    }
    return TKX_OK;
}

tkx_status exec_record_pass(exec *x, tkx_error **err)
{
    return usage_add(x->srv, x->row.session_id, x->row.owner, x->row.project_id,
                     x->row.base_model, "training", false, x->n_tokens, err);
}

static void read_double(const jv *from, const char *key, double *to)
{
    const jv *value = jv_get(from, key);
    if (value)
        jv_f64(value, to);
}

/* adam_params, or optimizer_params with the name of its family. */
static tkx_status read_optim(const jv *body, nn_optimizer family, nn_optim_params *out,
                             tkx_error **err)
{
    const jv *adam = jv_get(body, "adam_params");
    const jv *other = jv_get(body, "optimizer_params");
    const char *type = jv_get_str(other, "type");
    const jv *from = other ? other : adam;
    bool is_dimuon = type && strcmp(type, "dimuon") == 0;
    if (other && !is_dimuon && !(type && strcmp(type, "adamw") == 0))
        return tkx__fail(
            err, TKX_ERR_INVALID_ARGUMENT,
            "optimizer_params: type %s is unknown, adamw and dimuon are known",
            type ? type : "(none)");
    *out = is_dimuon ? (nn_optim_params)NN_DIMUON_INIT : (nn_optim_params)NN_ADAMW_INIT;
    if (out->family != family)
        return tkx__fail(
            err, TKX_ERR_INVALID_ARGUMENT,
            "the model's optimizer is %s: these parameters are for another one",
            family == NN_DIMUON ? "dimuon" : "adamw");
    read_double(from, "learning_rate", &out->learning_rate);
    read_double(from, "beta1", &out->beta1);
    read_double(from, "beta2", &out->beta2);
    read_double(from, "eps", &out->eps);
    read_double(from, "weight_decay", &out->weight_decay);
    read_double(from, "grad_clip_norm", &out->grad_clip_norm);
    return TKX_OK;
}

static tkx_status step(tkx__arena *arena, nn_model *model, const char *body, size_t size,
                       nn_step_result *result, nn_optim_params *params, tkx_error **err)
{
    const jv *root;
    tkx_status st = jv_parse(arena, body, size, &root, err);
    if (st == TKX_OK)
        st = read_optim(root, nn_model_options(model).optimizer, params, err);
    if (st == TKX_OK)
        st = nn_model_optim_step(model, params, result, err);
    return st;
}

tkx_status exec_run_step(exec *x, tkx_error **err)
{
    nn_step_result result = {0};
    nn_optim_params params = {0};
    tkx_status st = step(&x->arena, x->lane->model, x->op->body, x->op->body_size,
                         &result, &params, err);
    if (st != TKX_OK)
        return st;
    if (x->srv->opt.dialect == DIALECT_SKYRL)
        jw_fmt(&x->out.json,
               "{\"metrics\":{\"skyrl.ai/grad_norm\":%f,\"skyrl.ai/learning_rate\":%f}}",
               result.grad_norm, params.learning_rate);
    else
        jw_fmt(&x->out.json, "{\"metrics\":{\"grad_norm\":%f,\"step\":%d}}",
               result.grad_norm, result.step);
    return TKX_OK;
}

tkx_status exec_run_unload(exec *x, tkx_error **err)
{
    (void)err;
    model_drop(x->lane);
    jw_fmt(&x->out.json, "{\"model_id\":%s,\"type\":\"unload_model\"}",
           x->lane->model_id);
    return TKX_OK;
}

tkx_status exec_record_unload(exec *x, tkx_error **err)
{
    return db_run(x->srv->db, err, "UPDATE models SET is_unloaded=1 WHERE model_id=?",
                  "s", x->lane->model_id);
}

tkx_status exec_replay(exec *x, nn_model *model, const kept_request *kept,
                       tkx_error **err)
{
    tkx__arena arena;
    nn_loss_result *result = NULL;
    nn_step_result done;
    nn_optim_params params;
    train_request request;
    tkx_status st;

    tkx__arena_init(&arena, 65536, (size_t)8 << 30);
    if (kept->kind == OP_OPTIM_STEP)
        st = step(&arena, model, kept->body, kept->size, &done, &params, err);
    else
        st = pass(x, &arena, model, kept, &request, &result, err);
    nn_loss_result_free(result);
    tkx__arena_clear(&arena);
    return st;
}
