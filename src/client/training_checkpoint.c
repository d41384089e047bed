/* SPDX-License-Identifier: Apache-2.0 */
/*
 * training_checkpoint.c - make a training client from a saved model.
 *
 *     load_weights by session (one request) ----------------------> get_info -> client
 *        | 404, 422, a 400 about its fields: an older service
 *        v
 *     weights_info -> create_model -> get_info -> load_weights, seq_id 1 -> client
 *
 * Which way a service goes is remembered, once the older one has been seen to work.
 */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/options.h"
#include "client/record.h"
#include "client/training_create.h"
#include "types/weights.h"

#define MAX_BODY ((size_t)1 << 20)

TKX__RECORD_CODEC(load_weights_result);

/* Send c->load, in turn where there are turns. */
static tkx_status send_load(tkx__creation *c, tkx__operation_fn *fn, tkx__turns *turns,
                            tkx_error **err)
{
    tkx__operation_spec spec = {
        .request_type = "LoadWeights",
        .decode = decode_load_weights_result,
        .free_result = free_load_weights_result,
    };
    tkx__buf buf;

    tkx__buf_init(&buf, MAX_BODY);
    tkx_status st = tkx__load_weights_request_encode_json(&c->load, &buf, err);
    if (st == TKX_OK)
        return tkx__creation_send(c, "load_weights", &spec, &buf, fn, turns, err);
    tkx__buf_clear(&buf);
    return st;
}

/* --- the older way --------------------------------------------------------------- */

static void on_loaded(void *arg, void **results, size_t n, tkx_error *error)
{
    tkx__creation *c = arg;
    tkx_training *training = c->training;

    (void)n;
    c->task.op = NULL;
    if (error) {
        tkx__creation_fail(c, error);
        return;
    }
    tkx_load_weights_result_free(results[0]);
    c->training = NULL;
    tkx__creation_hand_out(c, training);
}

static bool take_id(void *arg, uint64_t first)
{
    *(uint64_t *)arg = first;
    return true;
}

/* The empty model exists: load into it, as its first operation. */
static void load_into(tkx__creation *c, tkx_training *training)
{
    tkx_error *error = NULL;

    c->training = training;
    tkx__turns_reserve(&training->turns, 1, take_id, &c->first);
    c->load.model_id = training->model_id;
    c->load.seq_id = TKX__SEQ_LATER;
    c->load.session_id = NULL;
    c->load.model_seq_id = -1;
    c->load.base_model = NULL;
    c->load.user_metadata = (tkx_pair_list){NULL, 0};
    c->load.optimizer_config = (tkx_optimizer_config){0};
    if (send_load(c, on_loaded, &training->turns, &error) != TKX_OK)
        tkx__creation_fail(c, error);
}

TKX__RECORD_DECODER(weights_info);

/* A flag that is not said counts as true. */
static void fill_request(tkx__creation *c, const tkx_weights_info *info, bool *failed)
{
    if (!c->request.base_model)
        c->request.base_model = tkx__creation_keep(c, info->base_model, failed);
    c->request.lora_config = (tkx_lora_config){
        .rank = info->lora_rank,
        .train_unembed = info->train_unembed != 0,
        .train_mlp = info->train_mlp != 0,
        .train_attn = info->train_attn != 0,
    };
}

static void on_weights_info(void *arg, void *result, tkx_error *error)
{
    tkx__creation *c = arg;
    tkx_weights_info *info = result;
    bool failed = false;

    if (!error && (!info->is_lora || info->lora_rank < 1))
        tkx__fail(
            &error, TKX_ERR_UNSUPPORTED,
            "%s is not a LoRA checkpoint with a known rank; no training client can be "
            "made of it",
            c->load.path);
    if (!error) {
        c->task.service->site->no_create_by_load = true; /* the fall-back was right */
        fill_request(c, info, &failed);
        c->then = load_into;
        if (failed)
            tkx__fail_memory(&error);
        else
            tkx__create_model(c, &error);
    }
    tkx_weights_info_free(info);
    if (error)
        tkx__creation_fail(c, error);
}

static tkx_status begin_older_way(tkx__creation *c, tkx_error **err)
{
    tkx__buf body;

    tkx__buf_init(&body, MAX_BODY);
    tkx_status st = tkx__weights_info_encode_json(c->load.path, &body, err);
    if (st != TKX_OK) {
        tkx__buf_clear(&body);
        return st;
    }
    const tkx__exchange_call spec = {
        .call = {.what = "weights_info",
                 .route = "weights_info",
                 .lane = TKX__LANE_REST,
                 .sdk_method = c->sdk_method,
                 .seq_id = -1,
                 .max_retries = TKX__INNER_RETRIES,
                 .is_outer = true},
        .body = &body,
        .decode = decode_weights_info,
    };
    return tkx__exchange_start(c->task.service->site, &spec, on_weights_info, c, err);
}

/* --- the newer way --------------------------------------------------------------- */

/* A refusal of the request's form, not of the checkpoint. */
static bool is_unknown_form(const tkx_error *error)
{
    int http = tkx_error_http_status(error);
    const char *text = tkx_error_message(error);

    if (tkx_error_request_id(error))
        return false; /* it was taken, and failed later */
    return http == 404 || http == 422 ||
           (http == 400 && (strstr(text, "model_id") || strstr(text, "seq_id")));
}

static void on_created(void *arg, void **results, size_t n, tkx_error *error)
{
    tkx__creation *c = arg;
    char id[600];

    (void)n;
    c->task.op = NULL;
    if (error && is_unknown_form(error)) {
        tkx_error_free(error);
        error = NULL;
        c->model_seq_id = c->load.model_seq_id; /* no model came of it: still free */
        if (begin_older_way(c, &error) == TKX_OK)
            return;
    }
    if (error) {
        tkx__creation_fail(c, error);
        return;
    }
    tkx_load_weights_result *result = results[0];
    snprintf(id, sizeof id, "%s:train:%lld", c->load.session_id,
             (long long)c->load.model_seq_id);
    tkx__creation_finish(c, result->model_id ? result->model_id : id);
    tkx_load_weights_result_free(result);
}

tkx_status tkx__create_by_load(tkx__creation *c, tkx_error **err)
{
    const tkx_service *service = c->task.service;

    if (service->site->no_create_by_load)
        return begin_older_way(c, err);
    c->load.session_id = tkx__session_id(service->loop.session);
    c->load.seq_id = -1;
    tkx_status st = tkx__creation_ask(c, &c->load.model_seq_id, err);
    return st == TKX_OK ? send_load(c, on_created, NULL, err) : st;
}

static tkx_status start(tkx__task *task, tkx_error **err)
{
    return tkx__create_by_load((tkx__creation *)task, err);
}

static const tkx__task_kind kind = {
    .result = &tkx__result_training, .start = start, .clear = tkx__creation_clear};

tkx_status tkx_service_create_from_checkpoint(tkx_service *service,
                                              const tkx_checkpoint_options *options,
                                              tkx_future **out, tkx_error **err)
{
    tkx_checkpoint_options o = TKX_CHECKPOINT_OPTIONS_INIT;
    tkx__task *task;
    bool failed = false;

    tkx_status st =
        tkx__options_overlay(&o, sizeof o, options, "tkx_checkpoint_options", err);
    if (st != TKX_OK)
        return st;
    if (!o.path || !*o.path)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "create_from_checkpoint needs the path of a checkpoint");
    if (o.optimizer && o.with_optimizer)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "create_from_checkpoint: a restored optimizer cannot be of "
                         "another family; leave out with_optimizer or optimizer");
    if (o.journal && o.weights_access_token)
        return tkx__fail(err, TKX_ERR_UNSUPPORTED,
                         "create_from_checkpoint: a journal would hold the access token; "
                         "copy the checkpoint first, or train without a journal");
    st = tkx__task_new(service, &kind, sizeof(tkx__creation), &task, out, err);
    if (st != TKX_OK)
        return st;
    tkx__creation *c = (tkx__creation *)task;
    task->timeout_ms = o.timeout_ms;
    tkx__creation_init(
        c, o.with_optimizer
               ? "ServiceClient.create_training_client_from_state_with_optimizer"
               : "ServiceClient.create_training_client_from_state");
    c->load.path = tkx__creation_keep(c, o.path, &failed);
    c->load.optimizer = o.with_optimizer != 0;
    c->load.base_model = tkx__creation_keep(c, o.base_model, &failed);
    c->load.weights_access_token = tkx__creation_keep(c, o.weights_access_token, &failed);
    c->load.user_metadata =
        tkx__creation_keep_pairs(c, o.user_metadata, o.n_user_metadata, &failed);
    c->load.optimizer_config.type = tkx__creation_keep(c, o.optimizer, &failed);
    c->load.optimizer_config.fields =
        tkx__creation_keep_members(c, o.optimizer_fields, o.n_optimizer_fields, &failed);
    c->load.extra_json =
        tkx__creation_keep_members(c, o.extra_json.items, o.extra_json.count, &failed);
    c->request.base_model = c->load.base_model;
    c->request.optimizer_config = c->load.optimizer_config;
    c->request.user_metadata = c->load.user_metadata;
    c->begun = (tkx__store_model){.op = "load_weights",
                                  .from_path = c->load.path,
                                  .with_optimizer = c->load.optimizer,
                                  .base_model = c->load.base_model};
    return tkx__creation_launch(c, o.journal, failed, out, err);
}
