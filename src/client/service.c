/* SPDX-License-Identifier: Apache-2.0 */
/*
 * service.c - the life of a service: lazy start, clients that wait for it, the end.
 *
 * The session starts when first needed.  A start that failed is told to everybody who
 * waited, and the next need starts it again.  At the end the service tells the server
 * that the session is finished, unless the context closes in too much of a hurry.
 */
#include "client/service.h"

#include <string.h>

#include "api/sampler.h"
#include "api/telemetry.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/options.h"
#include "base/str.h"

#define FINISH_MS 2000

const tkx__result_type tkx__result_nothing = {"end of the call", NULL};

/* --- counting -------------------------------------------------------------------- */

tkx_service *tkx__service_ref(tkx_service *service)
{
    atomic_fetch_add_explicit(&service->n_refs, 1, memory_order_relaxed);
    return service;
}

/* The last word: nothing of the service is on the loop any more. */
static void free_service(tkx_service *s)
{
    if (s->loop.has_closer)
        tkx__context_remove_closer(&s->loop.closer);
    tkx__auth_stop(s->loop.auth);
    tkx__telemetry_free(s->telemetry);
    tkx__session_free(s->loop.session);
    if (s->site && !s->site->is_closed)
        tkx__site_close(s->site);
    tkx__dispatch_free(s->loop.dispatch);
    tkx__free(s->loop.resume_id);
    tkx__auth_free(s->loop.auth);
    tkx__site_free(s->site);
    for (size_t i = 0; i < s->n_texts; i++)
        tkx__free(s->texts[i]);
    tkx__free(s->texts);
    tkx__free(s);
}

static void word_said(tkx_service *s)
{
    if (--s->loop.n_last_words == 0)
        s->loop.said(s);
}

static void on_finish_said(void *arg, const tkx_error *error)
{
    (void)error; /* logged */
    word_said(arg);
}

static void on_telemetry_said(void *arg)
{
    word_said(arg);
}

/* The end of the session and the last telemetry, side by side, until the deadline on the
   site's clock (0: none).  False: there is nothing to say. */
static bool say_last_words(tkx_service *s, int64_t deadline_ms,
                           void (*said)(tkx_service *s))
{
    s->loop.said = said;
    if (s->loop.session && tkx__session_finish(s->loop.session, "success", NULL,
                                               deadline_ms, on_finish_said, s))
        s->loop.n_last_words++;
    if (s->telemetry &&
        tkx__telemetry_drain(s->telemetry, deadline_ms, on_telemetry_said, s))
        s->loop.n_last_words++;
    return s->loop.n_last_words > 0;
}

static void end_service(void *arg)
{
    tkx_service *s = arg;

    s->loop.is_finishing =
        !s->loop.is_stopped &&
        say_last_words(s, tkx__site_now(s->site) + FINISH_MS, free_service);
    if (!s->loop.is_finishing)
        free_service(s);
}

void tkx__service_dispose(tkx_service *s, tkx__post_node *node, tkx__task_fn *fn,
                          void *arg)
{
    *node = (tkx__post_node){.fn = fn, .arg = arg};
    /* Never on the spot: a step of something that goes away may be under way.  The post
       fails when the loop has ended, and then nothing is. */
    if (!s->io->ops->post_node(s->io->ctx, node))
        fn(arg);
}

void tkx__service_unref(tkx_service *service)
{
    if (service &&
        atomic_fetch_sub_explicit(&service->n_refs, 1, memory_order_acq_rel) == 1)
        tkx__service_dispose(service, &service->disposal, end_service, service);
}

void tkx_service_free(tkx_service *service)
{
    tkx__service_unref(service);
}

tkx_status tkx__service_post(tkx_service *service, tkx__task_fn *fn, void *arg,
                             tkx_error **err)
{
    if (tkx__context_is_closed(service->context))
        return tkx__fail(err, TKX_ERR_CLOSED, "the context is closed");
    if (!service->io->ops->post(service->io->ctx, fn, arg))
        return tkx__fail_memory(err);
    return TKX_OK;
}

/* --- the start ------------------------------------------------------------------- */

static void tell_waiters(tkx_service *s, const tkx_error *error)
{
    tkx__ready_wait *list = s->loop.waiters;

    s->loop.waiters = NULL;
    s->loop.waiters_tail = &s->loop.waiters;
    while (list) { /* the service stays: it is only ever freed from a posted task */
        tkx__ready_wait *wait = list;
        list = wait->next;
        wait->fn(wait->arg, error);
    }
}

/* What a live session is used with; tried again at the next need when memory is short. */
static tkx_status equip(tkx_service *s, tkx_error **err)
{
    if (s->loop.dispatch)
        return TKX_OK;
    s->loop.dispatch = tkx__dispatch_new(s->site, tkx__sample_admitted);
    if (!s->loop.dispatch)
        return tkx__fail_memory(err);
    atomic_store(&s->session_id, tkx__session_id(s->loop.session));
    if (s->telemetry)
        tkx__telemetry_begin(s->telemetry, tkx__session_id(s->loop.session));
    return TKX_OK;
}

static void on_started(void *arg, tkx_error *error)
{
    tkx_service *s = arg;

    s->loop.is_starting = false;
    if (!error)
        equip(s, &error);
    tell_waiters(s, error);
    tkx_error_free(error);
}

/* --- when the context closes ----------------------------------------------------- */

static void farewell_said(tkx_service *s)
{
    tkx__closer_done(&s->loop.closer);
}

static void on_close_start(tkx__closer *closer, int64_t deadline_ms)
{
    tkx_service *s =
        (tkx_service *)(void *)((char *)closer - offsetof(tkx_service, loop.closer));

    int64_t at_ms = deadline_ms == INT64_MAX ? 0 : tkx__site_now(s->site) + deadline_ms;

    /* Of a service that nobody holds any more the words are on their way: the closer is
       done when it is freed. */
    bool is_speaking = s->loop.is_finishing || say_last_words(s, at_ms, farewell_said);

    /* What is in flight ends as closed, not with a refusal because of our own finish. */
    tkx__site_close(s->site);
    if (!is_speaking)
        tkx__closer_done(closer);
}

static void on_close_stop(tkx__closer *closer)
{
    tkx_service *s =
        (tkx_service *)(void *)((char *)closer - offsetof(tkx_service, loop.closer));
    tkx_error *error = NULL;
    bool was_finishing = s->loop.is_finishing;

    s->loop.is_stopped = true;
    s->loop.has_closer = false;
    s->loop.is_starting = false;
    s->loop.n_last_words = 0;
    tkx__auth_stop(s->loop.auth);
    if (s->telemetry)
        tkx__telemetry_stop(s->telemetry);
    if (s->loop.session)
        tkx__session_stop(s->loop.session);
    tkx__site_close(s->site);
    tkx__fail(&error, TKX_ERR_CLOSED, "the context was closed");
    tell_waiters(s, error);
    tkx_error_free(error);
    if (was_finishing) /* its last reference had gone, and the finish will not be
                          answered */
        free_service(s);
}

static tkx_status start_session(tkx_service *s, tkx_error **err)
{
    const tkx_service_options *o = &s->options;
    const tkx__session_options options = {
        .tags = o->tags,
        .n_tags = o->n_tags,
        .metadata = o->user_metadata,
        .n_metadata = o->n_user_metadata,
        .project_id = o->project_id,
        .display_name = o->display_name,
        .is_sessionless = o->is_sessionless,
        .session_id = o->session_id,
        .extra_json = o->extra_json,
        .last_beat_ms = &s->last_beat_ms,
        .resume_id = s->loop.resume_id,
        .n_resumed = s->loop.n_resumed,
    };

    if (!s->loop.has_closer) {
        s->loop.closer.start = on_close_start;
        s->loop.closer.stop = on_close_stop;
        if (!tkx__context_add_closer(s->context, &s->loop.closer))
            return tkx__fail(err, TKX_ERR_CLOSED, "the context is closed");
        s->loop.has_closer = true;
    }
    tkx__session_free(s->loop.session); /* of a start that failed */
    s->loop.session = NULL;
    return tkx__session_start(s->site, &options, on_started, s, &s->loop.session, err);
}

bool tkx__service_resume(tkx_service *s, const char *session_id, int64_t n_resumed,
                         tkx_error **err)
{
    const char *id = s->loop.session ? tkx__session_id(s->loop.session) : NULL;

    if ((id && strcmp(id, session_id) == 0) || s->options.session_id)
        return true;
    if (s->loop.is_starting ||
        (s->loop.session &&
         tkx__session_get_state(s->loop.session) != TKX__SESSION_FAILED)) {
        tkx__fail(err, TKX_ERR_INVALID_STATE,
                  "resume: the service has a session of its own already; resume on a new "
                  "service, before anything else");
        return false;
    }
    tkx__free(s->loop.resume_id);
    s->loop.resume_id = tkx__strdup(session_id);
    s->loop.n_resumed = n_resumed;
    if (!s->loop.resume_id)
        tkx__fail_memory(err);
    return s->loop.resume_id != NULL;
}

void tkx__service_when_ready(tkx_service *s, tkx__ready_wait *wait,
                             void (*fn)(void *arg, const tkx_error *error), void *arg)
{
    tkx_error *error = NULL;
    tkx__session_state state =
        s->loop.session ? tkx__session_get_state(s->loop.session) : TKX__SESSION_FAILED;

    *wait = (tkx__ready_wait){.fn = fn, .arg = arg};
    if (s->loop.is_stopped) {
        tkx__fail(&error, TKX_ERR_CLOSED, "the context is closed");
    } else if (s->loop.is_starting || state == TKX__SESSION_FAILED) {
        *s->loop.waiters_tail = wait;
        s->loop.waiters_tail = &wait->next;
        if (s->loop.is_starting)
            return;
        s->loop.is_starting = true;
        if (start_session(s, &error) == TKX_OK)
            return;
        s->loop.is_starting = false;
        tell_waiters(s, error);
        tkx_error_free(error);
        return;
    } else {
        if (tkx__session_check(s->loop.session, &error) == TKX_OK)
            equip(s, &error);
    }
    fn(arg, error);
    tkx_error_free(error);
}

/* --- making one ------------------------------------------------------------------ */

static void on_billing(void *arg, bool is_paused, int64_t since_ms)
{
    tkx_service *s = arg;

    if (s->options.on_billing)
        s->options.on_billing(is_paused, tkx__site_now(s->site) - since_ms,
                              s->options.user_data);
}

static void on_trouble(void *arg, const tkx_error *error)
{
    tkx__context_note_trouble(((tkx_service *)arg)->context, error);
}

static tkx_status make_site(tkx_service *s, tkx_error **err)
{
    const tkx_context_options *context = tkx__context_options(s->context);
    size_t n_headers = 0;
    const tkx__header *headers = tkx__service_headers(s, context, &n_headers);
    const tkx__site_options options = {
        .io = *s->io,
        .log = tkx__context_log(s->context),
        .base_url = context->base_url,
        .sdk_version = s->options.sdk_version,
        .user_agent = context->user_agent,
        .api_prefix = s->options.api_prefix,
        .headers = headers,
        .n_headers = n_headers,
        .on_trouble = on_trouble,
        .trouble_arg = s,
        .request_timeout_ms = s->options.request_timeout_ms,
        .poll_timeout_ms = s->options.poll_timeout_ms,
        .breakers = tkx__context_breakers(s->context),
        .observer = tkx__context_observer(s->context),
        .limiter = tkx__context_limiter(s->context),
    };
    const tkx__auth_options auth = {
        .api_key = context->api_key,
        .accept_any_key = s->options.accepts_any_key != 0,
    };

    if (!headers)
        return tkx__fail_memory(err);
    tkx_status st = tkx__site_new(&options, &s->site, err);
    if (st != TKX_OK)
        return st;
    if (tkx__service_wants_telemetry(&s->options)) {
        s->telemetry = tkx__telemetry_new(s->site, s->options.is_sessionless);
        if (!s->telemetry)
            return tkx__fail_memory(err);
    }
    s->site->billing.changed = on_billing;
    s->site->billing.arg = s;
    return tkx__auth_new(s->site, &auth, &s->loop.auth, err);
}

static tkx_status check_options(const tkx_service_options *o, tkx_error **err)
{
    for (size_t i = 0; i < o->n_extra_headers; i++)
        if (!o->extra_headers || !tkx__context_is_header(o->extra_headers[i]))
            return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                             "extra_headers[%zu] is not of the form 'Name: value'", i);
    for (const char *c = o->api_prefix ? o->api_prefix : ""; *c; c++)
        if ((unsigned char)*c <= ' ' || *c == 0x7f || *c == '?' || *c == '#')
            return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                             "api_prefix '%s' cannot be part of a URL's path",
                             o->api_prefix);
    return TKX_OK;
}

tkx_status tkx_service_new(tkx_context *context, const tkx_service_options *options,
                           tkx_service **out, tkx_error **err)
{
    tkx_service_options defaults = TKX_SERVICE_OPTIONS_INIT;
    tkx_status st = tkx__options_overlay(&defaults, sizeof defaults, options,
                                         "tkx_service_options", err);
    if (st != TKX_OK)
        return st;
    st = check_options(&defaults, err);
    if (st != TKX_OK)
        return st;
    tkx_service *s = tkx__calloc(1, sizeof *s);
    if (!s)
        return tkx__fail_memory(err);
    atomic_init(&s->n_refs, 1);
    atomic_init(&s->last_beat_ms, -1);
    s->context = context;
    s->io = tkx__context_io(context);
    s->loop.waiters_tail = &s->loop.waiters;
    st = tkx__service_copy_options(s, &defaults) ? make_site(s, err)
                                                 : tkx__fail_memory(err);
    if (st != TKX_OK) {
        free_service(s);
        return st;
    }
    *out = s;
    return TKX_OK;
}

const char *tkx_service_session_id(const tkx_service *service)
{
    return atomic_load(&service->session_id);
}

int64_t tkx_service_heartbeat_age_ms(const tkx_service *service)
{
    int64_t last = atomic_load(&service->last_beat_ms);
    return last < 0 ? -1 : service->io->ops->now_ms(service->io->ctx) - last;
}
