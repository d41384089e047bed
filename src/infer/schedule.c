/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schedule.c - the schedule's outside: taking jobs on, the compute thread, the end.
 *
 * Other threads only append to `incoming` and set flags, under the lock; the compute
 * thread sleeps when there is nothing to step.
 */
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "infer/schedule_in.h"

/* ---- the compute thread ---- */

/* Wait until there may be work; false: closing. */
static bool wait_for_work(tkx__schedule *s, bool is_idle)
{
    bool go_on;

    pthread_mutex_lock(&s->shared.lock);
    while (!s->shared.is_closing &&
           (s->shared.is_paused || (is_idle && !s->shared.incoming))) {
        pthread_cond_wait(&s->shared.changed, &s->shared.lock);
        is_idle = false; /* something changed: look at it once */
    }
    go_on = !s->shared.is_closing;
    pthread_mutex_unlock(&s->shared.lock);
    return go_on;
}

static void close_jobs(tkx__schedule *s)
{
    tkx__job *job;

    pthread_mutex_lock(&s->shared.lock);
    for (tkx__job **tail = &s->shared.open;; tail = &(*tail)->next) {
        if (!*tail) {
            *tail = s->shared.incoming;
            break;
        }
    }
    s->shared.incoming = NULL;
    s->shared.incoming_tail = &s->shared.incoming;
    pthread_mutex_unlock(&s->shared.lock);
    while ((job = s->shared.open)) {
        tkx_error *error = NULL;

        (void)tkx__fail(&error, TKX_ERR_CLOSED,
                        "the model was closed with this request open");
        tkx__schedule_end(s, job, error);
    }
}

static void *compute(void *arg)
{
    tkx__schedule *s = arg;
    bool is_idle = true;

    while (wait_for_work(s, is_idle))
        is_idle = !tkx__schedule_step(s);
    close_jobs(s);
    return NULL;
}

/* ---- making one ---- */

static tkx_status make_samplers(tkx__schedule *s, tkx_error **err)
{
    size_t n = tkx__threads_count(s->pool);
    tkx_status st = TKX_OK;

    s->samplers = tkx__calloc(n, sizeof(tkx__token_sampler *));
    if (!s->samplers)
        return tkx__fail_memory(err);
    for (size_t i = 0; i < n && st == TKX_OK; i++)
        st = tkx__token_sampler_new(s->kernels, s->weights->config.vocab_size,
                                    &s->samplers[i], err);
    return st;
}

static tkx_status make_lists(tkx__schedule *s, tkx_error **err)
{
    size_t n = s->max_sequences;

    s->run.sequences = tkx__calloc(n, sizeof(sequence *));
    s->run.fresh = tkx__calloc(n, sizeof(sequence *));
    s->run.parts = tkx__calloc(n + MAX_PREFILLS, sizeof *s->run.parts);
    s->run.owners = tkx__calloc(n + MAX_PREFILLS, sizeof *s->run.owners);
    if (!s->run.sequences || !s->run.fresh || !s->run.parts || !s->run.owners)
        return tkx__fail_memory(err);
    return TKX_OK;
}

static tkx_status make(tkx__schedule *s, const tkx__schedule_options *o, tkx_error **err)
{
    tkx__backend_setup setup = {.weights = s->weights,
                                .graph = {.compute = o->compute,
                                          .max_tokens = s->step_tokens,
                                          .max_parts = s->max_sequences + MAX_PREFILLS},
                                .kv_blocks = o->kv_blocks};
    tkx_status st = tkx__kernels_select(o->kernels, &s->kernels, err);

    if (st == TKX_OK)
        st = tkx__threads_new(o->n_threads, &s->pool, err);
    s->backend = o->backend;
    if (st == TKX_OK && !s->backend)
        st = tkx__backend_find(NULL, &s->backend, err);
    setup.kernels = s->kernels;
    setup.pool = s->pool;
    if (st == TKX_OK)
        st = s->backend->open(&setup, &s->state, &s->kv, err);
    if (st == TKX_OK)
        st = tkx__prefix_new(s->kv, &s->prefix, err);
    if (st == TKX_OK)
        st = make_samplers(s, err);
    if (st == TKX_OK)
        st = make_lists(s, err);
    if (st != TKX_OK)
        return st;
    /* a sample has the prompt's last block as a copy of its own, beside the prompt's */
    s->max_positions = (o->kv_blocks > 1 ? o->kv_blocks - 1 : 1) * TKX__KV_BLOCK;
    if (s->weights->config.max_positions < s->max_positions)
        s->max_positions = s->weights->config.max_positions;
    if (pthread_create(&s->thread, NULL, compute, s) != 0)
        return tkx__fail(err, TKX_ERR_NO_MEMORY, "start the compute thread");
    s->has_thread = true;
    return TKX_OK;
}

tkx_status tkx__schedule_new(const tkx__weights *weights,
                             const tkx__schedule_options *options, tkx__schedule **out,
                             tkx_error **err)
{
    tkx__schedule *s = tkx__calloc(1, sizeof *s);
    tkx_status st;

    if (!s)
        return tkx__fail_memory(err);
    s->weights = weights;
    s->max_jobs = options->max_jobs ? options->max_jobs : 1024;
    s->max_sequences = options->max_sequences ? options->max_sequences : 64;
    s->step_tokens = options->step_tokens ? options->step_tokens : 512;
    s->shared.incoming_tail = &s->shared.incoming;
    pthread_mutex_init(&s->shared.lock, NULL);
    pthread_cond_init(&s->shared.changed, NULL);
    st = make(s, options, err);
    if (st == TKX_OK) {
        *out = s;
        return TKX_OK;
    }
    tkx__schedule_free(s);
    return st;
}

static void notify(tkx__schedule *s)
{
    pthread_cond_broadcast(&s->shared.changed);
}

void tkx__schedule_free(tkx__schedule *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->shared.lock);
    s->shared.is_closing = true;
    notify(s);
    pthread_mutex_unlock(&s->shared.lock);
    if (s->has_thread)
        pthread_join(s->thread, NULL);
    tkx__free(s->run.sequences);
    tkx__free(s->run.fresh);
    tkx__free(s->run.parts);
    tkx__free(s->run.owners);
    for (size_t i = 0; s->samplers && i < tkx__threads_count(s->pool); i++)
        tkx__token_sampler_free(s->samplers[i]);
    tkx__free(s->samplers);
    tkx__prefix_free(s->prefix);
    if (s->backend)
        s->backend->close(s->state);
    tkx__threads_free(s->pool);
    pthread_cond_destroy(&s->shared.changed);
    pthread_mutex_destroy(&s->shared.lock);
    tkx__free(s);
}

/* ---- from other threads ---- */

/* The id is written before the job can end.  False: too many are open, or closing. */
static bool append(tkx__schedule *s, tkx__job *job, uint64_t *job_id, tkx_status *st)
{
    bool fits;

    pthread_mutex_lock(&s->shared.lock);
    fits = s->shared.n_jobs < s->max_jobs && !s->shared.is_closing;
    *st = s->shared.is_closing ? TKX_ERR_CLOSED : TKX_ERR_BUSY;
    if (fits) {
        job->id = ++s->shared.last_id;
        if (job_id)
            *job_id = job->id;
        *s->shared.incoming_tail = job;
        s->shared.incoming_tail = &job->next;
        s->shared.n_jobs++;
        notify(s);
    }
    pthread_mutex_unlock(&s->shared.lock);
    return fits;
}

tkx_status tkx__schedule_submit(tkx__schedule *s, const tkx__job_spec *spec,
                                uint64_t *job_id, tkx_error **err)
{
    tkx__job *job;
    tkx_status st = tkx__job_new(s, spec, &job, err);

    if (st != TKX_OK)
        return st;
    if (append(s, job, job_id, &st))
        return TKX_OK;
    tkx__job_free(job);
    if (st == TKX_ERR_CLOSED)
        return tkx__fail(err, st, "the model is being closed");
    return tkx__fail(err, st,
                     "%zu requests are open already; try again when some have ended",
                     s->max_jobs);
}

static void mark_cancelled(tkx__job *list, uint64_t id)
{
    for (tkx__job *job = list; job; job = job->next) {
        if (job->id == id)
            job->is_cancelled = true;
    }
}

void tkx__schedule_cancel(tkx__schedule *s, uint64_t job_id)
{
    pthread_mutex_lock(&s->shared.lock);
    mark_cancelled(s->shared.open, job_id);
    mark_cancelled(s->shared.incoming, job_id);
    notify(s);
    pthread_mutex_unlock(&s->shared.lock);
}

void tkx__schedule_pause(tkx__schedule *s, bool is_paused)
{
    pthread_mutex_lock(&s->shared.lock);
    s->shared.is_paused = is_paused;
    notify(s);
    pthread_mutex_unlock(&s->shared.lock);
}

size_t tkx__schedule_max_positions(const tkx__schedule *s)
{
    return s->max_positions;
}

const char *tkx__schedule_kernels(const tkx__schedule *s)
{
    return tkx__kernels_name(s->kernels);
}

size_t tkx__schedule_n_threads(const tkx__schedule *s)
{
    return tkx__threads_count(s->pool);
}
