/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sampler.c - slots of one sampling session, and the watch over its progress.
 *
 * A slot is held from the first submission to the end, through all attempts.  If nothing
 * has succeeded for the progress time-out while samples are open, they are stuck: they
 * fail with a connection error, and the queue goes on behind them.
 *
 * Samples come from any thread: those that are posted while a task is on its way to the
 * loop go along with it.
 */
#include "api/sampler.h"

#include "api/sampler_impl.h"
#include "base/error.h"
#include "base/mem.h"

#define PROGRESS_TIMEOUT_MS 7200000

static void list_add(tkx__sample_list *list, tkx__sample *s)
{
    s->next = NULL;
    s->prev = list->tail;
    if (list->tail)
        list->tail->next = s;
    else
        list->head = s;
    list->tail = s;
}

static void list_remove(tkx__sample_list *list, tkx__sample *s)
{
    if (s->prev)
        s->prev->next = s->next;
    else
        list->head = s->next;
    if (s->next)
        s->next->prev = s->prev;
    else
        list->tail = s->prev;
    s->next = s->prev = NULL;
}

static bool watches_progress(const tkx__sampler *p)
{
    return p->settings.progress_timeout_ms > 0 &&
           p->site->config.sample_enable_stuck_detection;
}

static void arm_stuck(tkx__sampler *p)
{
    if (!watches_progress(p) || p->is_stuck_armed || p->n_open == 0)
        return;
    int64_t left =
        p->progress_ms + p->settings.progress_timeout_ms - tkx__site_now(p->site);
    p->is_stuck_armed = true;
    p->site->io.ops->timer_arm(p->site->io.ctx, p->stuck, left > 0 ? left : 0);
}

static void fail_stuck(tkx__sampler *p)
{
    size_t n = 0;

    for (tkx__sample *s = p->open.head; s; s = s->next)
        n++;
    while (n-- > 0 && p->open.head) {
        tkx_error *error = NULL;
        tkx__fail(
            &error, TKX_ERR_CONNECTION,
            "sample: no sample of session %s has succeeded for %lld s; the requests "
            "look stuck",
            p->id, (long long)(p->settings.progress_timeout_ms / 1000));
        tkx__sample_fail(p->open.head, error);
    }
}

/* The timer is not moved by each success, only looked after when it fires. */
static void on_stuck(void *arg)
{
    tkx__sampler *p = arg;

    p->is_stuck_armed = false;
    if (p->n_open > 0 &&
        tkx__site_now(p->site) - p->progress_ms >= p->settings.progress_timeout_ms) {
        fail_stuck(p);
        p->progress_ms =
            tkx__site_now(p->site); /* those that came after have their own time */
    }
    arm_stuck(p);
}

bool tkx__sampler_enter(tkx__sampler *p, tkx__sample *s)
{
    if (p->n_open >= p->max_open) {
        s->state = TKX__SAMPLE_SLOT;
        list_add(&p->waiting, s);
        return false;
    }
    if (p->n_open++ == 0)
        p->progress_ms = tkx__site_now(p->site);
    s->has_slot = true;
    list_add(&p->open, s);
    arm_stuck(p);
    return true;
}

void tkx__sampler_leave(tkx__sampler *p, tkx__sample *s, bool has_succeeded)
{
    if (has_succeeded)
        p->progress_ms = tkx__site_now(p->site);
    if (!s->has_slot) {
        if (s->state == TKX__SAMPLE_SLOT)
            list_remove(&p->waiting, s);
        return;
    }
    s->has_slot = false;
    list_remove(&p->open, s);
    if (--p->n_open == 0 && p->is_stuck_armed) {
        p->is_stuck_armed = false;
        p->site->io.ops->timer_disarm(p->site->io.ctx, p->stuck);
    }
    tkx__sample *waiting = p->site->is_closed ? NULL : p->waiting.head;
    if (waiting && p->n_open < p->max_open) {
        list_remove(&p->waiting, waiting);
        waiting->state = TKX__SAMPLE_NEW;
        tkx__sampler_enter(p, waiting);
        tkx__sample_go(waiting);
    }
}

/* --- from other threads ---------------------------------------------------------- */

tkx_status tkx__sampler_get_frame(tkx__sampler *p, const tkx_sample_request *request,
                                  tkx__sample_frame **out, tkx_error **err)
{
    tkx__sample_frame *latest;

    pthread_mutex_lock(&p->shared.lock);
    latest = p->shared.frame ? tkx__sample_frame_ref(p->shared.frame) : NULL;
    pthread_mutex_unlock(&p->shared.lock);
    tkx_status st = tkx__sample_frame_get(p->id, request, latest, out, err);
    if (st == TKX_OK && *out != latest) {
        pthread_mutex_lock(&p->shared.lock);
        tkx__sample_frame *old = p->shared.frame;
        p->shared.frame = tkx__sample_frame_ref(*out);
        pthread_mutex_unlock(&p->shared.lock);
        tkx__sample_frame_unref(old);
    }
    tkx__sample_frame_unref(latest);
    return st;
}

static void start_posted(void *arg)
{
    tkx__sampler *p = arg;
    tkx__sample *s;

    pthread_mutex_lock(&p->shared.lock);
    s = p->shared.posted.head;
    p->shared.posted = (tkx__sample_list){NULL, NULL};
    pthread_mutex_unlock(&p->shared.lock);
    while (s) { /* the sampler stays: it is only ever freed from a posted task */
        tkx__sample *next = s->next;
        tkx__sample_start(s);
        s = next;
    }
}

bool tkx__sampler_post(tkx__sampler *p, tkx__sample *s, int64_t deadline_ms, void *arg)
{
    const tkx__io *io = &p->site->io;
    bool is_taken = true;

    s->arg = arg;
    s->when.deadline_ms = deadline_ms;
    pthread_mutex_lock(&p->shared.lock);
    if (!p->shared.posted.head)
        is_taken = io->ops->post(io->ctx, start_posted, p);
    if (is_taken)
        list_add(&p->shared.posted, s);
    pthread_mutex_unlock(&p->shared.lock);
    return is_taken;
}

/* --- life ------------------------------------------------------------------------ */

static void fail_closed(tkx__sample *s)
{
    tkx_error *error = NULL;

    tkx__fail(&error, TKX_ERR_CLOSED,
              "sample: the client was closed before its result came");
    tkx__sample_fail(s, error);
}

static void abort_samples(tkx__op *base)
{
    tkx__sampler *p = (tkx__sampler *)base;

    while (p->waiting.head)
        fail_closed(p->waiting.head);
    while (p->open.head)
        fail_closed(p->open.head);
}

static tkx__retry_settings filled(const tkx__retry_settings *from)
{
    tkx__retry_settings s = from ? *from : (tkx__retry_settings){.jitter = 0.25};

    if (s.progress_timeout_ms == 0)
        s.progress_timeout_ms = PROGRESS_TIMEOUT_MS;
    if (s.delay_base_ms <= 0)
        s.delay_base_ms = 500;
    if (s.delay_max_ms <= 0)
        s.delay_max_ms = 10000;
    return s;
}

tkx__sampler *tkx__sampler_new(tkx__site *site, tkx__dispatch *dispatch,
                               const tkx__sampler_options *options)
{
    tkx__sampler *p = tkx__calloc(1, sizeof *p);

    if (!p)
        return NULL;
    p->site = site;
    p->dispatch = dispatch;
    p->owner = options->owner;
    p->settings = filled(options->settings);
    p->next_seq = options->first_seq;
    p->max_open = p->settings.max_open > 0 ? p->settings.max_open
                                           : site->config.sample_max_concurrent;
    pthread_mutex_init(&p->shared.lock, NULL);
    p->id = tkx__strdup(options->sampling_session_id);
    p->stuck = site->io.ops->timer_new(site->io.ctx, on_stuck, p);
    if (site->config.sample_use_retrieve_futures) {
        p->completions = tkx__completions_new(p);
        p->max_open = INT64_MAX; /* no long poll for each sample, so nothing to limit */
    }
    if (!p->id || !p->stuck ||
        (site->config.sample_use_retrieve_futures && !p->completions)) {
        tkx__sampler_free(p);
        return NULL;
    }
    tkx__op_register(site, &p->base, abort_samples);
    return p;
}

void tkx__sampler_free(tkx__sampler *p)
{
    if (!p)
        return;
    tkx__op_unregister(p->site, &p->base);
    tkx__completions_free(p->completions);
    p->site->io.ops->timer_free(p->site->io.ctx, p->stuck);
    tkx__sample_frame_unref(p->shared.frame);
    pthread_mutex_destroy(&p->shared.lock);
    tkx__free(p->id);
    tkx__free(p);
}

void *tkx__sampler_owner(const tkx__sampler *p)
{
    return p->owner;
}
