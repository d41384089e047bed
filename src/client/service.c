/* SPDX-License-Identifier: Apache-2.0 */
/*
 * service.c - the life of a service: lazy start, clients that wait for it, the end.
 *
 * The session starts when first needed.  A start that failed is told to everybody who
 * waited, and the next need starts it again.  At the end the service tells the server
 * that the session is finished, unless the context closes in too much of a hurry.
 */
#include "client/service.h"

#include <stdlib.h>
#include <string.h>

#include "api/dispatch.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/options.h"
#include "base/str.h"

#define FINISH_MS 2000

const tkx__result_type tkx__result_nothing = {"nothing", NULL};

/* --- counting ------------------------------------------------------------------------
 */

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
    tkx__session_free(s->loop.session);
    if (s->site && !s->site->is_closed)
        tkx__site_close(s->site);
    tkx__dispatch_free(s->loop.dispatch);
    tkx__auth_free(s->loop.auth);
    tkx__site_free(s->site);
    for (size_t i = 0; i < s->n_texts; i++)
        tkx__free(s->texts[i]);
    tkx__free(s->texts);
    tkx__free(s);
}

static void on_finished(void *arg)
{
    tkx_service *s = arg;

    s->loop.is_finishing = false;
    free_service(s);
}

static void end_service(void *arg)
{
    tkx_service *s = arg;

    if (!s->loop.is_stopped && s->loop.session) {
        s->loop.is_finishing =
            tkx__session_finish(s->loop.session, "success", NULL,
                                tkx__site_now(s->site) + FINISH_MS, on_finished, s);
        if (s->loop.is_finishing)
            return;
    }
    free_service(s);
}

void tkx__service_dispose(tkx_service *s, tkx__task_fn *fn, void *arg)
{
    /* Never on the spot: a step of something that goes away may be under way.  A post
       fails when the loop has ended, and then nothing is. */
    if (!s->io->ops->post(s->io->ctx, fn, arg))
        fn(arg);
}

void tkx__service_unref(tkx_service *service)
{
    if (service &&
        atomic_fetch_sub_explicit(&service->n_refs, 1, memory_order_acq_rel) == 1)
        tkx__service_dispose(service, end_service, service);
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

/* --- the start -----------------------------------------------------------------------
 */

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

static void on_started(void *arg, tkx_error *error)
{
    tkx_service *s = arg;

    s->loop.is_starting = false;
    if (!error) {
        s->loop.dispatch = tkx__dispatch_new(s->site);
        if (!s->loop.dispatch)
            tkx__fail_memory(&error);
        else
            atomic_store(&s->session_id, tkx__session_id(s->loop.session));
    }
    tell_waiters(s, error);
    tkx_error_free(error);
}

/* --- when the context closes ---------------------------------------------------------
 */

static void farewell_done(void *arg)
{
    tkx_service *s = arg;
    tkx__closer_done(&s->loop.closer);
}

static void on_close_start(tkx__closer *closer, int64_t deadline_ms)
{
    tkx_service *s =
        (tkx_service *)(void *)((char *)closer - offsetof(tkx_service, loop.closer));

    if (s->loop.is_finishing || !s->loop.session ||
        !tkx__session_finish(s->loop.session, "success", NULL, deadline_ms, farewell_done,
                             s))
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
    tkx__auth_stop(s->loop.auth);
    if (s->loop.session)
        tkx__session_stop(s->loop.session);
    tkx__site_close(s->site);
    tkx__fail(&error, TKX_ERR_CLOSED, "the context was closed");
    tell_waiters(s, error);
    tkx_error_free(error);
    if (was_finishing) /* its last reference had gone, and the finish will not be answered
                        */
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
        .last_beat_ms = &s->last_beat_ms,
    };

    if (!s->loop.has_closer) {
        s->loop.closer.start = on_close_start;
        s->loop.closer.stop = on_close_stop;
        tkx__context_add_closer(s->context, &s->loop.closer);
        s->loop.has_closer = true;
    }
    tkx__session_free(s->loop.session); /* of a start that failed */
    s->loop.session = NULL;
    return tkx__session_start(s->site, &options, on_started, s, &s->loop.session, err);
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
        tkx__session_check(s->loop.session, &error);
    }
    fn(arg, error);
    tkx_error_free(error);
}

/* --- making one ----------------------------------------------------------------------
 */

static const char *keep(tkx_service *s, const char *text)
{
    if (!text)
        return NULL;
    char **texts = tkx__realloc(s->texts, s->n_texts + 1, sizeof *texts);
    if (!texts)
        return NULL;
    s->texts = texts;
    char *copy = tkx__strdup(text);
    if (copy)
        s->texts[s->n_texts++] = copy;
    return copy;
}

static const char *from_environment(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

/* A block of memory that free_service() frees with the texts. */
static void *keep_block(tkx_service *s, size_t count, size_t size)
{
    char **texts = tkx__realloc(s->texts, s->n_texts + 1, sizeof *texts);

    if (!texts)
        return NULL;
    s->texts = texts;
    void *block = tkx__calloc(count ? count : 1, size);
    if (block)
        s->texts[s->n_texts++] = block;
    return block;
}

static bool has_tag(const char *const *tags, size_t n, const char *tag)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(tags[i], tag) == 0)
            return true;
    return false;
}

/* "a,b,,a" gives a and b. */
static bool tags_of_environment(tkx_service *s, const char *list)
{
    char *copy = (char *)(uintptr_t)keep(s, list);
    const char **tags = keep_block(s, strlen(list) + 1, sizeof *tags);
    char *rest = NULL;

    if (!copy || !tags)
        return false;
    s->options.n_tags = 0;
    for (char *tag = strtok_r(copy, ",", &rest); tag; tag = strtok_r(NULL, ",", &rest))
        if (!has_tag(tags, s->options.n_tags, tag))
            tags[s->options.n_tags++] = tag;
    s->options.tags = tags;
    return true;
}

static bool copy_tags(tkx_service *s, const tkx_service_options *from)
{
    const char *list = from->tags ? NULL : from_environment("TINKER_TAGS");

    s->options.tags = NULL;
    s->options.n_tags = 0;
    if (!from->tags)
        return !list || tags_of_environment(s, list);
    const char **tags = keep_block(s, from->n_tags, sizeof *tags);
    if (!tags)
        return false;
    for (size_t i = 0; i < from->n_tags; i++)
        if (!(tags[i] = keep(s, from->tags[i])))
            return false;
    s->options.tags = tags;
    s->options.n_tags = from->n_tags;
    return true;
}

static bool copy_metadata(tkx_service *s, const tkx_service_options *from)
{
    tkx_pair *pairs = keep_block(s, from->n_user_metadata, sizeof *pairs);

    if (!pairs)
        return false;
    for (size_t i = 0; i < from->n_user_metadata; i++) {
        pairs[i].key = keep(s, from->user_metadata[i].key);
        pairs[i].value = keep(s, from->user_metadata[i].value);
        if (!pairs[i].key || !pairs[i].value)
            return false;
    }
    s->options.user_metadata = pairs;
    return true;
}

static bool copy_text(tkx_service *s, const char **to, const char *from)
{
    *to = keep(s, from);
    return *to || !from;
}

static bool copy_options(tkx_service *s, const tkx_service_options *from)
{
    const char *project =
        from->project_id ? from->project_id : from_environment("TINKER_PROJECT_ID");

    s->options = *from;
    return copy_tags(s, from) && copy_metadata(s, from) &&
           copy_text(s, &s->options.project_id, project) &&
           copy_text(s, &s->options.display_name, from->display_name) &&
           copy_text(s, &s->options.sdk_version, from->sdk_version);
}

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

/* Passes of a proxy that guards some services. */
static const struct {
    const char *variable;
    const char *header;
} proxy_passes[] = {
    {"CLOUDFLARE_ACCESS_CLIENT_ID", "CF-Access-Client-Id"},
    {"CLOUDFLARE_ACCESS_CLIENT_SECRET", "CF-Access-Client-Secret"},
};

/* Each goes out when its variable is set and the caller gave no such header. */
static bool add_passes(tkx_service *s, tkx__header *headers, size_t *n)
{
    size_t n_given = *n;

    for (size_t k = 0; k < sizeof proxy_passes / sizeof *proxy_passes; k++) {
        const char *value = from_environment(proxy_passes[k].variable);
        bool is_given = false;

        for (size_t i = 0; i < n_given; i++)
            is_given |= tkx__equals_nocase(headers[i].name, proxy_passes[k].header);
        if (!value || is_given || strpbrk(value, "\r\n"))
            continue;
        headers[*n].name = proxy_passes[k].header;
        headers[*n].value = keep(s, value);
        if (!headers[(*n)++].value)
            return false;
    }
    return true;
}

/* "Name: value" lines of the context as pairs; the lines are cut in the copies. */
static tkx__header *split_headers(tkx_service *s, const tkx_context_options *o, size_t *n)
{
    const size_t n_passes = sizeof proxy_passes / sizeof *proxy_passes;
    tkx__header *headers = keep_block(s, o->n_extra_headers + n_passes, sizeof *headers);

    for (size_t i = 0; headers && i < o->n_extra_headers; i++) {
        char *line = (char *)(uintptr_t)keep(s, o->extra_headers[i]);
        char *colon = line ? strchr(line, ':') : NULL;
        if (!colon)
            return NULL;
        *colon = '\0';
        headers[i].name = line;
        headers[i].value = colon + 1 + strspn(colon + 1, " \t");
    }
    *n = o->n_extra_headers;
    return headers && add_passes(s, headers, n) ? headers : NULL;
}

static tkx_status make_site(tkx_service *s, tkx_error **err)
{
    const tkx_context_options *context = tkx__context_options(s->context);
    size_t n_headers = 0;
    const tkx__header *headers = split_headers(s, context, &n_headers);
    const tkx__site_options options = {
        .io = *s->io,
        .log = tkx__context_log(s->context),
        .base_url = context->base_url,
        .sdk_version = s->options.sdk_version,
        .user_agent = context->user_agent,
        .headers = headers,
        .n_headers = n_headers,
        .on_trouble = on_trouble,
        .trouble_arg = s,
        .request_timeout_ms = s->options.request_timeout_ms,
        .poll_timeout_ms = s->options.poll_timeout_ms,
        .breakers = tkx__context_breakers(s->context),
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
    s->site->billing.changed = on_billing;
    s->site->billing.arg = s;
    return tkx__auth_new(s->site, &auth, &s->loop.auth, err);
}

tkx_status tkx_service_new(tkx_context *context, const tkx_service_options *options,
                           tkx_service **out, tkx_error **err)
{
    tkx_service_options defaults = TKX_SERVICE_OPTIONS_INIT;
    tkx_status st = tkx__options_overlay(&defaults, sizeof defaults, options,
                                         "tkx_service_options", err);
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
    st = copy_options(s, &defaults) ? make_site(s, err) : tkx__fail_memory(err);
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
