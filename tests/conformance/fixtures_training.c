/* SPDX-License-Identifier: Apache-2.0 */
/* fixtures_training.c - the calls of training clients out of call.args. */
#include <string.h>

#include <tkx/custom_loss.h>

#include "client/service.h"
#include "fixtures_live.h"
#include "fixtures_records.h"

static const char *text(const live *l, const char *key)
{
    return fixture_text(l->f, l->f->args, key);
}

static int64_t number(const live *l, const char *key)
{
    return jdom_i64(jdom_get(l->f->args, key), 0);
}

static bool flag(const live *l, const char *key, bool missing)
{
    return jdom_flag(jdom_get(l->f->args, key), missing);
}

static tkx_pair_list metadata(live *l)
{
    return fixture_pairs(l->f, jdom_get(l->f->args, "user_metadata"));
}

/* A family as text, or as an object with more fields. */
static tkx_optimizer_config optimizer(live *l, const char *key)
{
    const jdom *from = jdom_get(l->f->args, key);

    if (from && from->kind == TKX__JSON_STRING)
        return (tkx_optimizer_config){.type = from->text};
    return fixture_optimizer(l->f, from);
}

/* ---- making models -------------------------------------------------------------- */

static tkx_status create_lora(live *l, tkx_future **out, tkx_error **err)
{
    tkx_lora_options o = TKX_LORA_OPTIONS_INIT;
    tkx_pair_list pairs = metadata(l);
    tkx_optimizer_config config = optimizer(l, "optimizer");

    o.base_model =
        text(l, "base_model") ? text(l, "base_model") : live_id(l->f, "base_model");
    fixture_lora(l->f, &o.lora);
    o.user_metadata = pairs.items;
    o.n_user_metadata = pairs.count;
    o.optimizer = config.type;
    o.optimizer_fields = config.fields.items;
    o.n_optimizer_fields = config.fields.count;
    return tkx_service_create_lora(l->service, &o, out, err);
}

static tkx_status create_from_state(live *l, tkx_future **out, tkx_error **err)
{
    tkx_checkpoint_options o = TKX_CHECKPOINT_OPTIONS_INIT;
    tkx_pair_list pairs = metadata(l);
    tkx_optimizer_config config = optimizer(l, "optimizer_config");

    o.path = text(l, "path");
    o.with_optimizer = flag(l, "optimizer", false);
    o.base_model = text(l, "base_model");
    o.user_metadata = pairs.items;
    o.n_user_metadata = pairs.count;
    o.weights_access_token = text(l, "weights_access_token");
    o.optimizer = config.type;
    o.optimizer_fields = config.fields.items;
    o.n_optimizer_fields = config.fields.count;
    return tkx_service_create_from_checkpoint(l->service, &o, out, err);
}

static tkx_status take_training(live *l, tkx_future *future, tkx__json_writer *w,
                                tkx_error **err)
{
    tkx_create_model_result made = {0};
    tkx_status st = tkx_future_take_training(future, &l->training, err);

    if (st != TKX_OK)
        return st;
    made.model_id = tkx_training_model_id(l->training);
    record_created(w, &made);
    return TKX_OK;
}

/* ---- steps ---------------------------------------------------------------------- */

static tkx_status forward(live *l, tkx_future **out, tkx_error **err)
{
    const char *kind = fixture_text(l->f, jdom_get(l->f->root, "request"), "body_kind");
    const char *version = fixture_text(l->f, l->f->root, "sdk_version");
    bool is_legacy = version && strncmp(version, "0.24", 4) == 0;
    tkx_forward_options options = TKX_FORWARD_OPTIONS_INIT;
    tkx_forward_backward_request q;

    /* A recorded JSON body is what a server gets that has refused protobuf before. */
    l->service->site->no_protobuf = kind ? strcmp(kind, "json") == 0 : is_legacy;
    if (!fixture_training(l->f, &q))
        return TKX_ERR_INVALID_ARGUMENT;
    options.settings = q.loss.settings;
    options.n_settings = q.loss.n_settings;
    return q.is_forward_only
               ? tkx_training_forward(l->training, q.data, q.n_data, q.loss.name,
                                      &options, out, err)
               : tkx_training_forward_backward(l->training, q.data, q.n_data, q.loss.name,
                                               &options, out, err);
}

static tkx_status optim(live *l, tkx_future **out, tkx_error **err)
{
    tkx_adam_params adam = TKX_ADAM_PARAMS_INIT;
    tkx_dimuon_params dimuon = TKX_DIMUON_PARAMS_INIT;
    tkx_optim_options options = TKX_OPTIM_OPTIONS_INIT;

    fixture_adam(l->f, &adam);
    fixture_dimuon(l->f, &dimuon);
    if (jdom_is_null(jdom_get(l->f->args, "dimuon")))
        options.adam = &adam;
    else
        options.dimuon = &dimuon;
    return tkx_training_optim_step(l->training, &options, out, err);
}

static tkx_status get_info(live *l, tkx_future **out, tkx_error **err)
{
    return tkx_training_get_info(l->training, 0, out, err);
}

static tkx_status unload(live *l, tkx_future **out, tkx_error **err)
{
    return tkx_training_unload(l->training, 0, out, err);
}

/* ---- saves and loads ------------------------------------------------------------ */

static tkx_save_options save_options(live *l)
{
    tkx_save_options o = TKX_SAVE_OPTIONS_INIT;
    tkx_pair_list pairs = metadata(l);

    o.ttl_seconds = number(l, "ttl_seconds");
    o.overwrite = flag(l, "overwrite", false);
    o.user_metadata = pairs.items;
    o.n_user_metadata = pairs.count;
    return o;
}

static tkx_status save_state(live *l, tkx_future **out, tkx_error **err)
{
    tkx_save_options o = save_options(l);

    return tkx_training_save_state(l->training, text(l, "name"), &o, out, err);
}

static tkx_status save_sampler(live *l, tkx_future **out, tkx_error **err)
{
    tkx_save_options o = save_options(l);

    return tkx_training_save_weights_for_sampler(l->training, text(l, "name"), &o, out,
                                                 err);
}

static tkx_status save_and_sample(live *l, tkx_future **out, tkx_error **err)
{
    const char *kind = text(l, "kind");
    tkx_publish_options options = TKX_PUBLISH_OPTIONS_INIT;

    options.is_inflight = kind && strcmp(kind, "inflight") == 0;
    return tkx_training_save_weights_and_get_sampling_client(l->training, &options, out,
                                                             err);
}

static tkx_status save_external(live *l, tkx_future **out, tkx_error **err)
{
    tkx_external_options o = TKX_EXTERNAL_OPTIONS_INIT;
    tkx_string_list keys =
        fixture_strings(l->f, jdom_get(l->f->args, "age_encryption_recipients"));

    o.ttl_seconds = number(l, "ttl_seconds");
    o.recipients = keys.items;
    o.n_recipients = keys.count;
    return tkx_training_save_weights_external(l->training, text(l, "name"), &o, out, err);
}

static tkx_status load_state(live *l, tkx_future **out, tkx_error **err)
{
    tkx_load_options options = TKX_LOAD_OPTIONS_INIT;

    options.with_optimizer = flag(l, "optimizer", false);
    options.weights_access_token = text(l, "weights_access_token");
    return tkx_training_load_state(l->training, text(l, "path"), &options, out, err);
}

/* The graph has no form in the arguments: it is taken from the recorded body. */
static tkx_status custom_loss(live *l, tkx_future **out, tkx_error **err)
{
    tkx_create_custom_loss_request q;

    if (!fixture_custom_loss(l->f, &q))
        return TKX_ERR_INVALID_ARGUMENT;
    return tkx_service_create_custom_loss(l->service, &q, out, err);
}

/* ---- results -------------------------------------------------------------------- */

#define TAKE(name, T, take, write)                                                       \
    static tkx_status name(live *l, tkx_future *future, tkx__json_writer *w,             \
                           tkx_error **err)                                              \
    {                                                                                    \
        tkx_##T *v = NULL;                                                               \
        tkx_status st = take(future, &v, err);                                           \
                                                                                         \
        (void)l;                                                                         \
        if (st == TKX_OK)                                                                \
            write(w, v);                                                                 \
        tkx_##T##_free(v);                                                               \
        return st;                                                                       \
    }

TAKE(take_forward, forward_backward_output, tkx_future_take_forward_backward,
     result_training)
TAKE(take_optim, optim_step_result, tkx_future_take_optim_step, record_optim)
TAKE(take_save, save_weights_result, tkx_future_take_save_weights, record_saved)
TAKE(take_load, load_weights_result, tkx_future_take_load_weights, record_loaded)
TAKE(take_info, model_info, tkx_future_take_model_info, record_model_info)
TAKE(take_loss, create_custom_loss_result, tkx_future_take_create_custom_loss_result,
     record_custom_loss)

static tkx_status take_sampling(live *l, tkx_future *future, tkx__json_writer *w,
                                tkx_error **err)
{
    tkx_save_weights_result made = {.size_bytes = -1};
    tkx_status st = tkx_future_take_sampling(future, &l->sampling, err);

    if (st != TKX_OK)
        return st;
    made.sampling_session_id = tkx_sampling_id(l->sampling);
    record_saved(w, &made);
    return TKX_OK;
}

const live_op live_training_ops[] = {
    {"create_model", live_started, create_lora, take_training},
    {"create_training_client_from_state", live_started, create_from_state, take_training},
    {"forward", live_training, forward, take_forward},
    {"forward_backward", live_training, forward, take_forward},
    {"optim_step", live_training, optim, take_optim},
    {"get_info", live_training, get_info, take_info},
    {"unload_model", live_training, unload, live_take_nothing},
    {"save_state", live_training, save_state, take_save},
    {"save_weights_for_sampler", live_training, save_sampler, take_save},
    {"save_weights_and_get_sampling_client", live_training, save_and_sample,
     take_sampling},
    {"save_weights_external", live_training, save_external, take_save},
    {"load_state", live_training, load_state, take_load},
    {"create_custom_loss", live_started, custom_loss, take_loss},
    {NULL, NULL, NULL, NULL},
};
