/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sampler.c - the life of a sampler: its sides, its sampling session, its end.
 *
 * The session with the service is made when first needed; when that fails, those who
 * waited are told, and the next need begins again.  A call's own way is in
 * sampler_call.c.
 */
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/options.h"
#include "client/sampler_in.h"
#include "client/service.h"

/* ---- counting ---- */

tkx_sampler *tkx__either_ref(tkx_sampler *s)
{
    atomic_fetch_add_explicit(&s->n_refs, 1, memory_order_relaxed);
    return s;
}

static void destroy(tkx_sampler *s)
{
    if (s->loop.is_watching)
        tkx__reach_remove(&s->service->site->reach, &s->loop.watch);
    tkx_future_unref(s->loop.creation);
    tkx_sampling_free(s->loop.sampling);
    tkx__service_unref(s->service);
    tkx__free(s->base_model);
    tkx__free(s->model_path);
    tkx__free(s);
}

/* Loop thread, or after its end. */
void tkx__either_unref(tkx_sampler *s)
{
    if (atomic_fetch_sub_explicit(&s->n_refs, 1, memory_order_acq_rel) == 1)
        destroy(s);
}

static void release(void *arg)
{
    tkx_sampler *s = arg;

    s->loop.is_released = true;
    tkx__either_call_ended(s);
    tkx__either_unref(s);
}

void tkx_sampler_free(tkx_sampler *sampler)
{
    tkx_context *own;

    if (!sampler)
        return;
    own = sampler->owns_context ? sampler->context : NULL;
    if (own) /* ends what is open, and the loop */
        (void)tkx_context_close(own, 0, 2000, NULL);
    sampler->letting_go = (tkx__post_node){.fn = release, .arg = sampler};
    if (!sampler->io->ops->post_node(sampler->io->ctx, &sampler->letting_go))
        release(sampler);
    tkx_context_free(own);
}

void tkx__either_call_ended(tkx_sampler *s)
{
    if (s->loop.is_released && !s->loop.calls && s->loop.creation)
        (void)tkx_future_cancel(s->loop.creation);
}

/* ---- the session with the service ---- */

typedef struct creation {
    tkx__future_watch watch; /* first: it is found by it */
    tkx_sampler *sampler;    /* counted */
} creation;

static void on_created(tkx_future *future, tkx__future_watch *watch)
{
    tkx_sampler *s = ((creation *)(void *)watch)->sampler;
    tkx_error *error = NULL;

    tkx__free(watch);
    s->loop.creation = NULL;
    (void)tkx_future_take_sampling(future, &s->loop.sampling, &error);
    tkx__either_session(s, error);
    tkx_error_free(error);
    tkx_future_unref(future);
    tkx__either_unref(s);
}

tkx_status tkx__either_make_session(tkx_sampler *s, tkx_error **err)
{
    tkx_sampling_options options = TKX_SAMPLING_OPTIONS_INIT;
    creation *c;
    tkx_status st;

    if (s->loop.creation)
        return TKX_OK;
    options.model_path = s->model_path;
    options.base_model = s->model_path ? NULL : s->base_model;
    c = tkx__calloc(1, sizeof *c);
    if (!c)
        return tkx__fail_memory(err);
    st = tkx_service_create_sampling(s->service, &options, &s->loop.creation, err);
    if (st != TKX_OK) {
        tkx__free(c);
        return st;
    }
    c->watch.fn = on_created;
    c->sampler = tkx__either_ref(s);
    if (!tkx__future_add_watch(s->loop.creation, &c->watch))
        on_created(s->loop.creation, &c->watch);
    return TKX_OK;
}

/* ---- making one ---- */

static tkx_status check(const tkx_sampler_options *o, tkx_error **err)
{
    const char *why = NULL;

    if (o->mode > TKX_SAMPLER_AUTO)
        why = "the mode is none";
    else if (o->mode != TKX_SAMPLER_LOCAL && !o->service)
        why = "a remote or automatic one needs a service";
    else if (o->mode != TKX_SAMPLER_LOCAL && !o->base_model && !o->model_path)
        why = "a remote or automatic one needs a base model or a model path";
    else if (o->mode != TKX_SAMPLER_REMOTE && !o->local)
        why = "a local or automatic one needs a local model";
    else if (o->mode == TKX_SAMPLER_REMOTE && (o->local || o->adapter))
        why = "a remote one takes no local model";
    else if (o->mode == TKX_SAMPLER_AUTO && o->model_path && !o->adapter)
        why = "the base model alone never answers in place of a saved model: give its "
              "adapter";
    else if (o->mode == TKX_SAMPLER_AUTO && !o->model_path && o->adapter)
        why = "an adapter never answers in place of a base model: give the saved "
              "model's path";
    if (!why)
        return TKX_OK;
    return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT, "make a sampler: %s", why);
}

static tkx_status set_context(tkx_sampler *s, tkx_context *context, tkx_error **err)
{
    tkx_context_options options = TKX_CONTEXT_OPTIONS_INIT;
    tkx_status st = TKX_OK;

    s->context = context;
    if (s->service)
        s->context = s->service->context; /* its futures complete there */
    if (!s->context) {
        options.base_url = "http://localhost"; /* nothing is sent */
        options.n_workers = -1;
        st = tkx_context_new(&options, &s->context, err);
        s->owns_context = st == TKX_OK;
    }
    if (st == TKX_OK)
        s->io = tkx__context_io(s->context);
    return st;
}

static bool keep(char **to, const char *text)
{
    *to = text ? tkx__strdup(text) : NULL;
    return !text || *to;
}

static void watch_reach(void *arg)
{
    tkx_sampler *s = arg;

    s->loop.watch = (tkx__reach_watch){.lost = tkx__either_lost, .arg = s};
    s->loop.is_watching = true;
    tkx__reach_add(&s->service->site->reach, &s->loop.watch);
    tkx__either_unref(s);
}

static tkx_status make(tkx_sampler *s, const tkx_sampler_options *o, tkx_error **err)
{
    tkx_status st;

    s->mode = o->mode;
    s->local = o->local;
    s->adapter = o->adapter;
    if (o->mode != TKX_SAMPLER_LOCAL)
        s->service = tkx__service_ref(o->service);
    if (!keep(&s->base_model, o->base_model) || !keep(&s->model_path, o->model_path))
        return tkx__fail_memory(err);
    st = set_context(s, o->context, err);
    if (st != TKX_OK || o->mode != TKX_SAMPLER_AUTO)
        return st;
    if (tkx__service_post(s->service, watch_reach, tkx__either_ref(s), err) == TKX_OK)
        return TKX_OK;
    atomic_fetch_sub(&s->n_refs, 1);
    return err && *err ? tkx_error_status(*err) : TKX_ERR_NO_MEMORY;
}

tkx_status tkx_sampler_new(const tkx_sampler_options *options, tkx_sampler **out,
                           tkx_error **err)
{
    tkx_sampler_options o = TKX_SAMPLER_OPTIONS_INIT;
    tkx_sampler *s;
    tkx_status st =
        tkx__options_overlay(&o, sizeof o, options, "tkx_sampler_options", err);

    if (st == TKX_OK)
        st = check(&o, err);
    if (st != TKX_OK)
        return st;
    s = tkx__calloc(1, sizeof *s);
    if (!s)
        return tkx__fail_memory(err);
    atomic_init(&s->n_refs, 1);
    st = make(s, &o, err);
    if (st == TKX_OK) {
        *out = s;
        return TKX_OK;
    }
    destroy(s);
    return st;
}
