/* SPDX-License-Identifier: Apache-2.0 */
/*
 * training_create.c - make a training client of a new LoRA model.
 *
 *     create_model (promise) -> get_info -> client
 *
 * A get_info that fails loses nothing: the model exists, so the client is handed out.
 */
#include "client/training_create.h"

#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/options.h"
#include "client/record.h"
#include "client/rewrite.h"
#include "types/model.h"

#define MAX_BODY ((size_t)16 << 20)

/* --- the client ------------------------------------------------------------------ */

static void on_info(void *arg, void *result, tkx_error *error)
{
    tkx__creation *c = arg;
    tkx_status st = tkx_error_status(error);

    if (st == TKX_ERR_CLOSED) {
        tkx__creation_fail(c, error);
        return;
    }
    if (error)
        tkx__log_write(c->task.service->site->log, TKX_LOG_WARNING, "training",
                       "nothing is known about model %s: %s", c->model_id,
                       tkx_error_message(error));
    tkx_error_free(error);
    error = NULL;
    tkx_training *training =
        tkx__training_new(c->task.service, c->model_id, result, c->ledger);
    if (training && c->then) {
        c->then(c, training);
        return;
    }
    if (training) {
        tkx__creation_hand_out(c, training);
        return;
    }
    tkx__fail_memory(&error);
    tkx__creation_fail(c, error);
}

void tkx__creation_finish(tkx__creation *c, const char *model_id)
{
    tkx_error *error = NULL;

    c->model_id = tkx__strdup(model_id);
    if (!c->model_id)
        tkx__fail_memory(&error);
    else
        tkx__get_info(&c->task, c->model_id, c->sdk_method, on_info, &error);
    if (error)
        tkx__creation_fail(c, error);
}

/* --- with a journal -------------------------------------------------------------- */

void tkx__creation_init(tkx__creation *c, const char *sdk_method)
{
    tkx__arena_init(&c->arena, 512, MAX_BODY);
    c->sdk_method = sdk_method;
    c->model_seq_id = -1;
}

static tkx_status begin_run(tkx__creation *c, tkx_journal *journal, tkx_error **err)
{
    const tkx_service *s = c->task.service;

    if (!journal)
        return TKX_OK;
    return tkx__ledger_new(journal, s->io, s->site->log, &c->ledger, err);
}

tkx_status tkx__creation_ask(tkx__creation *c, int64_t *model_seq_id, tkx_error **err)
{
    tkx__session *session = c->task.service->loop.session;

    *model_seq_id =
        c->model_seq_id < 0 ? tkx__session_next_model(session) : c->model_seq_id;
    if (c->ledger &&
        !tkx__ledger_ask_model(c->ledger, tkx__session_id(session), *model_seq_id,
                               c->begun.op && !c->has_asked ? &c->begun : NULL,
                               c->request.user_metadata))
        return tkx__fail_memory(err);
    c->has_asked = true;
    return TKX_OK;
}

tkx_status tkx__creation_launch(tkx__creation *c, tkx_journal *journal, bool failed,
                                tkx_future **out, tkx_error **err)
{
    tkx_status st = failed ? tkx__fail_memory(err) : begin_run(c, journal, err);

    if (st == TKX_OK)
        return tkx__task_launch(&c->task, out, err);
    tkx__task_drop(&c->task, out);
    return st;
}

void tkx__creation_hand_out(tkx__creation *c, tkx_training *training)
{
    if (c->ledger)
        tkx__ledger_made_model(c->ledger, training->model_id,
                               (int64_t)training->turns.shared.next_id + 1);
    if (c->on_made)
        c->on_made(c, training);
    else
        tkx__task_succeed(&c->task, training);
}

/* For certain, so that the same request would fare no better. */
static bool is_refused(const tkx_error *error)
{
    int http = tkx_error_http_status(error);

    return tkx_error_status(error) == TKX_ERR_REQUEST_FAILED ||
           (http >= 400 && http < 500 && http != 408 && http != 429);
}

void tkx__creation_fail(tkx__creation *c, tkx_error *error)
{
    if (c->ledger && is_refused(error))
        tkx__ledger_refused_model(c->ledger);
    if (c->on_failed)
        c->on_failed(c, error);
    else
        tkx__task_fail(&c->task, error);
}

void tkx__creation_clear(tkx__task *task)
{
    tkx__creation *c = (tkx__creation *)task;

    tkx__seq_body_clear(&c->body);
    tkx__arena_clear(&c->arena);
    tkx__free(c->model_id);
    tkx_training_free(c->training);
    tkx__ledger_unref(c->ledger);
}

static tkx_status encode(void *arg, size_t i, int64_t seq_id, tkx__encoding encoding,
                         tkx__encoded *out, tkx_error **err)
{
    tkx__creation *c = arg;

    (void)i, (void)encoding;
    return tkx__seq_body_encode(&c->body, c->route, seq_id, out, err);
}

tkx_status tkx__creation_send(tkx__creation *c, const char *route,
                              tkx__operation_spec *spec, tkx__buf *body,
                              tkx__operation_fn *fn, tkx__turns *turns, tkx_error **err)
{
    c->route = route;
    tkx__seq_body_clear(&c->body);
    tkx_status st = tkx__seq_body_init(&c->body, body, err);
    if (st != TKX_OK)
        return st;
    spec->what = route;
    spec->sdk_method = c->sdk_method;
    spec->lane = TKX__LANE_TRAIN;
    spec->n_parts = 1;
    spec->encode = encode;
    spec->on_sending = tkx__task_on_sending;
    spec->on_event = tkx__task_on_event;
    spec->recorder = c->ledger && !turns ? &c->ledger->of_models : NULL;
    c->task.op = tkx__operation_new(c->task.service->site, spec, fn, c);
    if (!c->task.op)
        return tkx__fail_memory(err);
    tkx__operation_start(c->task.op, turns, c->first);
    return TKX_OK;
}

/* --- create_lora ----------------------------------------------------------------- */

TKX__RECORD_CODEC(create_model_result);

static void on_created(void *arg, void **results, size_t n, tkx_error *error)
{
    tkx__creation *c = arg;

    (void)n;
    c->task.op = NULL;
    if (error) {
        tkx__creation_fail(c, error);
        return;
    }
    tkx_create_model_result *result = results[0];
    tkx__creation_finish(c, result->model_id);
    tkx_create_model_result_free(result);
}

static tkx_status encode_request(tkx__creation *c, tkx__buf *buf, tkx_error **err)
{
    const tkx__rewrite to = {.seq_id = -1,
                             .session_id = c->request.session_id,
                             .model_seq_id = c->request.model_seq_id};

    if (c->remake)
        return tkx__rewrite_json(c->remake, strlen(c->remake), &to, buf, err);
    return tkx__create_model_request_encode_json(&c->request, buf, err);
}

tkx_status tkx__create_model(tkx__creation *c, tkx_error **err)
{
    tkx__operation_spec spec = {
        .request_type = "CreateModel",
        .has_one_layer = true,
        .decode = decode_create_model_result,
        .free_result = free_create_model_result,
    };
    tkx__buf buf;

    c->request.session_id = tkx__session_id(c->task.service->loop.session);
    tkx_status st = tkx__creation_ask(c, &c->request.model_seq_id, err);
    if (st != TKX_OK)
        return st;
    tkx__buf_init(&buf, MAX_BODY);
    st = encode_request(c, &buf, err);
    if (st == TKX_OK)
        return tkx__creation_send(c, "create_model", &spec, &buf, on_created, NULL, err);
    tkx__buf_clear(&buf);
    return st;
}

static tkx_status start_lora(tkx__task *task, tkx_error **err)
{
    tkx__creation *c = (tkx__creation *)task;
    tkx_seed *seed = &c->request.lora_config.seed;

    if (c->ledger && !seed->is_set) /* so that the same model can be made again */
        *seed = tkx_seed_i64((int64_t)(tkx__site_uniform(task->service->site) * 0x1p31));
    return tkx__create_model(c, err);
}

static const tkx__task_kind lora_kind = {
    .result = &tkx__result_training, .start = start_lora, .clear = tkx__creation_clear};

const char *tkx__creation_keep(tkx__creation *c, const char *text, bool *failed)
{
    char *copy = text ? tkx__arena_strndup(&c->arena, text, strlen(text)) : NULL;

    *failed |= text && !copy;
    return copy;
}

tkx_pair_list tkx__creation_keep_pairs(tkx__creation *c, const tkx_pair *pairs, size_t n,
                                       bool *failed)
{
    tkx_pair *copy = n ? tkx__arena_alloc(&c->arena, n, sizeof *copy) : NULL;

    *failed |= n && !copy;
    for (size_t i = 0; copy && i < n; i++) {
        copy[i].key = tkx__creation_keep(c, pairs[i].key, failed);
        copy[i].value = tkx__creation_keep(c, pairs[i].value, failed);
    }
    return (tkx_pair_list){copy, copy ? n : 0};
}

tkx_json_member_list tkx__creation_keep_members(tkx__creation *c,
                                                const tkx_json_member *members, size_t n,
                                                bool *failed)
{
    tkx_json_member *copy = n ? tkx__arena_alloc(&c->arena, n, sizeof *copy) : NULL;

    *failed |= n && !copy;
    for (size_t i = 0; copy && i < n; i++) {
        copy[i].name = tkx__creation_keep(c, members[i].name, failed);
        copy[i].json = tkx__creation_keep(c, members[i].json, failed);
    }
    return (tkx_json_member_list){copy, copy ? n : 0};
}

tkx_status tkx_service_create_lora(tkx_service *service, const tkx_lora_options *options,
                                   tkx_future **out, tkx_error **err)
{
    tkx_lora_options o = TKX_LORA_OPTIONS_INIT;
    tkx__task *task;
    bool failed = false;

    tkx_status st = tkx__options_overlay(&o, sizeof o, options, "tkx_lora_options", err);
    if (st != TKX_OK)
        return st;
    if (!o.base_model || !*o.base_model)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT, "create_lora needs a base model");
    if (!o.lora.train_attn && !o.lora.train_mlp && !o.lora.train_unembed)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "create_lora: nothing to train; set train_attn, train_mlp or "
                         "train_unembed");
    st = tkx__task_new(service, &lora_kind, sizeof(tkx__creation), &task, out, err);
    if (st != TKX_OK)
        return st;
    tkx__creation *c = (tkx__creation *)task;
    tkx__creation_init(c, "ServiceClient.create_lora_training_client");
    task->timeout_ms = o.timeout_ms;
    c->request.base_model = tkx__creation_keep(c, o.base_model, &failed);
    c->request.lora_config = o.lora;
    c->request.user_metadata =
        tkx__creation_keep_pairs(c, o.user_metadata, o.n_user_metadata, &failed);
    c->request.optimizer_config.type = tkx__creation_keep(c, o.optimizer, &failed);
    c->request.optimizer_config.fields =
        tkx__creation_keep_members(c, o.optimizer_fields, o.n_optimizer_fields, &failed);
    c->request.extra_json =
        tkx__creation_keep_members(c, o.extra_json.items, o.extra_json.count, &failed);
    c->begun.op = "create_model";
    return tkx__creation_launch(c, o.journal, failed, out, err);
}
