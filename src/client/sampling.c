/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sampling.c - the life of a sampling client, and making one.
 */
#include "client/sampling.h"

#include <string.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/options.h"
#include "base/str.h"
#include "client/record.h"
#include "types/session.h"

#define MAX_BODY ((size_t)1 << 20)
#define BLOCK INT64_C(1000000000) /* numbers of one copy */

static void free_sampling(void *arg)
{
    tkx_sampling *s = arg;
    tkx_service *service = s->service;

    tkx__sampler_free(s->sampler);
    tkx__free(s->id);
    tkx__free(s->base_model);
    tkx__free(s);
    tkx__service_unref(service);
}

tkx_sampling *tkx__sampling_ref(tkx_sampling *s)
{
    atomic_fetch_add_explicit(&s->n_refs, 1, memory_order_relaxed);
    return s;
}

void tkx_sampling_free(tkx_sampling *s)
{
    if (s && atomic_fetch_sub_explicit(&s->n_refs, 1, memory_order_acq_rel) == 1)
        tkx__service_dispose(s->service, &s->disposal, free_sampling, s);
}

static void free_result(void *result)
{
    tkx_sampling_free(result);
}

const tkx__result_type tkx__result_sampling = {"sampling client", free_result};

tkx_sampling *tkx__sampling_new(tkx_service *service, const char *sampling_session_id,
                                const tkx__retry_settings *settings,
                                bool records_stability_info, int64_t first_seq)
{
    tkx_sampling *s = tkx__calloc(1, sizeof *s);

    if (!s)
        return NULL;
    atomic_init(&s->n_refs, 1);
    s->service = tkx__service_ref(service);
    s->records_stability_info = records_stability_info;
    s->id = tkx__strdup(sampling_session_id);
    const tkx__sampler_options options = {.sampling_session_id = sampling_session_id,
                                          .first_seq = first_seq,
                                          .settings = settings,
                                          .owner = s};
    s->sampler = tkx__sampler_new(service->site, service->loop.dispatch, &options);
    if (s->id && s->sampler)
        return s;
    free_sampling(s);
    return NULL;
}

TKX__RECORD_TAKE(tkx_future_take_sampling, sampling, tkx__result_sampling);

const char *tkx_sampling_id(const tkx_sampling *sampling)
{
    return sampling->id;
}

const char *tkx_sampling_base_model(const tkx_sampling *sampling)
{
    return sampling->base_model;
}

bool tkx__sampling_set_base_model(tkx_sampling *sampling, const char *base_model)
{
    sampling->base_model = base_model ? tkx__strdup(base_model) : NULL;
    return !base_model || sampling->base_model;
}

/* --- making one ------------------------------------------------------------------ */

typedef struct creation {
    tkx__task task;
    tkx__arena arena;
    const char *base_model;
    const char *model_path;
    const char *sampling_session_id; /* to be joined; NULL: create one */
    tkx_json_member_list extra_json;
    tkx__retry_settings settings;
    bool records_stability_info;
    tkx_sampling *sampling; /* made, and still being asked about */
} creation;

TKX__RECORD_DECODER(create_sampling_session_result);

/* The client is complete: hand it out, or fail. */
static void finish(creation *c, tkx_error *error)
{
    tkx_sampling *sampling = c->sampling;

    c->sampling = NULL;
    if (!error) {
        tkx__task_succeed(&c->task, sampling);
        return;
    }
    tkx_sampling_free(sampling);
    tkx__task_fail(&c->task, error);
}

TKX__RECORD_DECODER(sampler_info);

/* What the sampler's base model is serves the tokenizer only: a service that does not say
   costs nobody the client. */
static void on_info(void *arg, void *answer, tkx_error *error)
{
    creation *c = arg;
    tkx_sampler_info *info = answer;
    tkx_error *err = NULL;

    tkx_error_free(error);
    if (info && !tkx__sampling_set_base_model(c->sampling, info->base_model))
        tkx__fail_memory(&err);
    tkx_sampler_info_free(info);
    finish(c, err);
}

static tkx_status ask_for_info(creation *c, tkx_error **err)
{
    tkx__buf route;

    tkx__buf_init(&route, MAX_BODY);
    tkx__buf_printf(&route, "samplers/%s", c->sampling->id);
    if (route.status != TKX_OK) {
        tkx__buf_clear(&route);
        return tkx__fail_memory(err);
    }
    const tkx__exchange_call spec = {
        .call = {.what = "get_sampler",
                 .method = "GET",
                 .route = tkx__buf_text(&route),
                 .lane = TKX__LANE_SESSION,
                 .sdk_method = "ServiceClient.create_sampling_client",
                 .seq_id = -1},
        .decode = decode_sampler_info,
    };
    tkx_status st = tkx__exchange_start(c->task.service->site, &spec, on_info, c, err);
    tkx__buf_clear(&route);
    return st;
}

/* The sampling session exists: make the client, and ask about it what is not known. */
static void made(creation *c, const char *id, int64_t first_seq, tkx_error *error)
{
    if (!error) {
        c->sampling = tkx__sampling_new(c->task.service, id, &c->settings,
                                        c->records_stability_info, first_seq);
        if (!c->sampling || !tkx__sampling_set_base_model(c->sampling, c->base_model))
            tkx__fail_memory(&error);
    }
    if (!error && !c->base_model && ask_for_info(c, &error) == TKX_OK)
        return;
    finish(c, error);
}

static void on_answer(void *arg, void *answer, tkx_error *error)
{
    creation *c = arg;
    tkx_create_sampling_session_result *result = answer;

    made(c, result ? result->sampling_session_id : NULL, 0, error);
    tkx_create_sampling_session_result_free(result);
}

/* --- a copy of somebody else's client ------------------------------------------------
 *
 * Each copy numbers its samples from a block of its own: one that the service hands out
 * where it does that, else one drawn at random.
 */

TKX__RECORD_DECODER(join_sampling_session_result);

static int64_t random_block(tkx__site *site)
{
    return ((int64_t)(tkx__site_uniform(site) * (double)BLOCK) + 1) * BLOCK;
}

static void on_joined(void *arg, void *answer, tkx_error *error)
{
    creation *c = arg;
    tkx_join_sampling_session_result *result = answer;
    int64_t first = random_block(c->task.service->site);

    if (result && result->client_counter > 0 && result->client_counter <= BLOCK)
        first = result->client_counter * BLOCK;
    if (tkx_error_http_status(error) == 404) { /* a service without the route */
        tkx_error_free(error);
        error = NULL;
    }
    tkx_join_sampling_session_result_free(result);
    made(c, c->sampling_session_id, first, error);
}

static tkx_status join(creation *c, tkx_error **err)
{
    tkx__site *site = c->task.service->site;
    tkx__buf body;

    if (!site->config.sample_join_sampling_session) {
        made(c, c->sampling_session_id, random_block(site), NULL);
        return TKX_OK;
    }
    tkx__buf_init(&body, MAX_BODY);
    tkx_status st =
        tkx__join_sampling_session_encode_json(c->sampling_session_id, &body, err);
    if (st != TKX_OK) {
        tkx__buf_clear(&body);
        return st;
    }
    const tkx__exchange_call spec = {
        .call = {.what = "join_sampling_session",
                 .route = "join_sampling_session",
                 .lane = TKX__LANE_SESSION,
                 .sdk_method = "ServiceClient.create_sampling_client",
                 .seq_id = -1,
                 .max_retries = TKX__INNER_RETRIES,
                 .is_outer = true},
        .body = &body,
        .decode = decode_join_sampling_session_result,
    };
    return tkx__exchange_start(site, &spec, on_joined, c, err);
}

static tkx_status start(tkx__task *task, tkx_error **err)
{
    creation *c = (creation *)task;
    tkx__session *session = task->service->loop.session;
    const tkx_create_sampling_session_request request = {
        .session_id = tkx__session_id(session),
        .sampling_session_seq_id =
            c->sampling_session_id ? -1 : tkx__session_next_sampler(session),
        .base_model = c->base_model,
        .model_path = c->model_path,
        .extra_json = c->extra_json,
    };
    tkx__buf body;

    if (c->sampling_session_id)
        return join(c, err);
    tkx__buf_init(&body, MAX_BODY);
    tkx_status st =
        tkx__create_sampling_session_request_encode_json(&request, &body, err);
    if (st != TKX_OK) {
        tkx__buf_clear(&body);
        return st;
    }
    const tkx__exchange_call spec = {
        .call = {.what = "create_sampling_session",
                 .route = "create_sampling_session",
                 .lane = TKX__LANE_SESSION,
                 .sdk_method = "ServiceClient.create_sampling_client",
                 .seq_id = -1,
                 .max_retries = TKX__INNER_RETRIES},
        .body = &body,
        .decode = decode_create_sampling_session_result,
    };
    return tkx__exchange_start(task->service->site, &spec, on_answer, task, err);
}

static void clear(tkx__task *task)
{
    creation *c = (creation *)task;

    tkx_sampling_free(c->sampling);
    tkx__arena_clear(&c->arena);
}

static const tkx__task_kind kind = {
    .result = &tkx__result_sampling, .start = start, .clear = clear};

/* tinker://, and the scheme of a self-hosted server of the same kind. */
static bool is_model_path(const char *path)
{
    return tkx__starts_with(path, "tinker://") || tkx__starts_with(path, "twinkle://");
}

static bool keep(creation *c, const char **to, const char *text)
{
    *to = text ? tkx__arena_strndup(&c->arena, text, strlen(text)) : NULL;
    return !text || *to;
}

static bool keep_extra(creation *c, const tkx_json_member_list *from)
{
    tkx_json_member *items = tkx__arena_zalloc(&c->arena, from->count + 1, sizeof *items);

    for (size_t i = 0; items && i < from->count; i++)
        if (!keep(c, &items[i].name, from->items[i].name) ||
            !keep(c, &items[i].json, from->items[i].json))
            return false;
    c->extra_json = (tkx_json_member_list){items, from->count};
    return items != NULL;
}

tkx_status tkx_service_create_sampling(tkx_service *service,
                                       const tkx_sampling_options *options,
                                       tkx_future **out, tkx_error **err)
{
    tkx_sampling_options o = TKX_SAMPLING_OPTIONS_INIT;
    tkx__task *task;

    tkx_status st =
        tkx__options_overlay(&o, sizeof o, options, "tkx_sampling_options", err);
    if (st != TKX_OK)
        return st;
    if (!o.base_model && !o.model_path && !o.sampling_session_id)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "a sampling client needs a base model, a model path or a "
                         "sampling session");
    if (o.model_path && o.sampling_session_id)
        return tkx__fail(
            err, TKX_ERR_INVALID_ARGUMENT,
            "a sampling session has its model already; leave out model_path");
    if (o.model_path && !is_model_path(o.model_path))
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "model path \"%s\" does not begin with tinker://", o.model_path);
    st = tkx__task_new(service, &kind, sizeof(creation), &task, out, err);
    if (st != TKX_OK)
        return st;
    creation *c = (creation *)task;
    task->timeout_ms = o.timeout_ms;
    tkx__arena_init(&c->arena, 256, MAX_BODY);
    c->settings = (tkx__retry_settings){.is_off = o.is_retry_off != 0,
                                        .max_open = o.max_open,
                                        .progress_timeout_ms = o.progress_timeout_ms,
                                        .jitter = 0.25};
    c->records_stability_info = o.records_stability_info != 0;
    if (keep(c, &c->base_model, o.base_model) && keep(c, &c->model_path, o.model_path) &&
        keep(c, &c->sampling_session_id, o.sampling_session_id) &&
        keep_extra(c, &o.extra_json))
        return tkx__task_launch(task, out, err);
    tkx__task_drop(task, out);
    return tkx__fail_memory(err);
}
