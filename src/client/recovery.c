/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recovery.c - the watch over one training run.
 *
 *     WAITING --timer--> ASKING --sound, no answer--> WAITING
 *                          | corrupted
 *                          v
 *                       RESTORING --client--> WAITING (on the new run)
 *                        |     ^
 *                 failed v     | timer
 *                       BACKING_OFF --last attempt--> ENDED
 *
 * Loop thread, but for start and stop.  A stop that comes from outside waits for a
 * function of the user's that runs at that moment.
 */
#include <tkx/recovery.h>

#include <pthread.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/options.h"
#include "client/rest.h"
#include "client/training.h"

typedef enum watch_state { WAITING, ASKING, RESTORING, BACKING_OFF, ENDED } watch_state;

struct tkx_recovery {
    tkx__op base; /* in the site's list */
    tkx__post_node stopping;
    atomic_uint n_refs;   /* the user's, and the machine's until it has ended */
    tkx_service *service; /* counted */
    tkx_rest rest;        /* on that service */
    tkx_recovery_options options;
    char *checkpoint; /* the user's; NULL: the run's newest */
    struct {
        watch_state state;
        char *run_id;
        char *from_path;
        unsigned attempt;
        tkx__timer *timer;
        tkx_future *future; /* of the question or of the restoring */
    } loop;
    struct {
        pthread_mutex_t lock;
        pthread_cond_t quiet; /* no function of the user's runs */
        bool is_stopped, is_telling;
    } shared;
};

static void unref(tkx_recovery *r)
{
    if (atomic_fetch_sub_explicit(&r->n_refs, 1, memory_order_acq_rel) != 1)
        return;
    tkx__service_unref(r->service);
    pthread_mutex_destroy(&r->shared.lock);
    pthread_cond_destroy(&r->shared.quiet);
    tkx__free(r->checkpoint);
    tkx__free(r->loop.run_id);
    tkx__free(r->loop.from_path);
    tkx__free(r);
}

/* --- the user's functions -------------------------------------------------------- */

/* False: stopped; nobody wants to know. */
static bool begin_telling(tkx_recovery *r)
{
    pthread_mutex_lock(&r->shared.lock);
    bool may_tell = !r->shared.is_stopped;
    r->shared.is_telling = may_tell;
    pthread_mutex_unlock(&r->shared.lock);
    return may_tell;
}

static void end_telling(tkx_recovery *r)
{
    pthread_mutex_lock(&r->shared.lock);
    r->shared.is_telling = false;
    pthread_cond_broadcast(&r->shared.quiet);
    pthread_mutex_unlock(&r->shared.lock);
}

/* --- the machine ----------------------------------------------------------------- */

static void restore(tkx_recovery *r);

/* Nothing of it is on the loop any more. */
static void end(tkx_recovery *r)
{
    const tkx__io *io = r->service->io;

    if (r->loop.state == ENDED)
        return;
    r->loop.state = ENDED;
    tkx__op_unregister(r->service->site, &r->base);
    io->ops->timer_free(io->ctx, r->loop.timer);
    r->loop.timer = NULL;
    tkx_future_unref(r->loop.future); /* its function still runs, and finds ENDED */
    r->loop.future = NULL;
    unref(r);
}

static void abort_watch(tkx__op *base)
{
    end((tkx_recovery *)base);
}

static void wait(tkx_recovery *r, watch_state state, int64_t delay_ms)
{
    const tkx__io *io = r->service->io;

    r->loop.state = state;
    io->ops->timer_arm(io->ctx, r->loop.timer, delay_ms);
}

static int64_t backoff_ms(const tkx_recovery *r)
{
    int64_t delay = r->options.backoff_ms;

    for (unsigned i = 1; i < r->loop.attempt && delay < r->options.max_backoff_ms; i++)
        delay *= 2;
    return delay < r->options.max_backoff_ms ? delay : r->options.max_backoff_ms;
}

static void attempt_failed(tkx_recovery *r, const tkx_error *error, bool is_final)
{
    bool is_last = is_final || r->loop.attempt >= r->options.n_attempts;

    if (begin_telling(r)) {
        if (r->options.events.on_failed)
            r->options.events.on_failed(error, r->loop.attempt, is_last,
                                        r->options.user_data);
        end_telling(r);
    }
    if (r->loop.state == ENDED) /* stopped from inside */
        return;
    if (is_last)
        end(r);
    else
        wait(r, BACKING_OFF, backoff_ms(r));
}

/* --- restoring ------------------------------------------------------------------- */

static bool replace(char **text, const char *with)
{
    char *copy = tkx__strdup(with);

    if (copy) {
        tkx__free(*text);
        *text = copy;
    }
    return copy != NULL;
}

static void hand_over(tkx_recovery *r, tkx_training *training)
{
    if (begin_telling(r)) {
        r->options.events.on_recovered(training, r->loop.from_path, r->options.user_data);
        end_telling(r);
    } else {
        tkx_training_free(training);
    }
    if (r->loop.state == ENDED)
        return;
    r->loop.attempt = 0;
    wait(r, WAITING, r->options.poll_ms);
}

static void on_restored(tkx_future *future, void *arg)
{
    tkx_recovery *r = arg;
    tkx_training *training = NULL;
    tkx_error *error = NULL;

    if (r->loop.state != ENDED) {
        if (tkx_future_take_training(future, &training, &error) == TKX_OK &&
            !replace(&r->loop.run_id, training->model_id)) {
            tkx_training_free(training);
            tkx__fail_memory(&error);
        }
        tkx_future_unref(r->loop.future);
        r->loop.future = NULL;
        if (error)
            attempt_failed(r, error, tkx_error_status(error) == TKX_ERR_CLOSED);
        else
            hand_over(r, training);
    }
    tkx_error_free(error);
    unref(r);
}

/* Tell fn of the future in hand; the machine stays as long. */
static bool follow(tkx_recovery *r, tkx_future_fn *fn, tkx_error **err)
{
    atomic_fetch_add_explicit(&r->n_refs, 1, memory_order_relaxed);
    if (tkx_future_on_complete(r->loop.future, fn, r, err) == TKX_OK)
        return true;
    tkx_future_unref(r->loop.future);
    r->loop.future = NULL;
    unref(r);
    return false;
}

static void restore(tkx_recovery *r)
{
    tkx_checkpoint_options options = TKX_CHECKPOINT_OPTIONS_INIT;
    tkx_error *error = NULL;

    r->loop.state = RESTORING;
    r->loop.attempt++;
    options.path = r->loop.from_path;
    options.with_optimizer = !r->options.without_optimizer;
    if (tkx_service_create_from_checkpoint(r->service, &options, &r->loop.future,
                                           &error) == TKX_OK)
        follow(r, on_restored, &error);
    if (error)
        attempt_failed(r, error, tkx_error_status(error) == TKX_ERR_CLOSED);
    tkx_error_free(error);
}

/* --- asking ---------------------------------------------------------------------- */

static void corrupted(tkx_recovery *r, const tkx_training_run *run)
{
    const char *path = r->checkpoint;
    tkx_error *error = NULL;

    if (!path && run->last_checkpoint)
        path = run->last_checkpoint->tinker_path;
    if (begin_telling(r)) {
        if (r->options.events.on_corrupted)
            r->options.events.on_corrupted(run, r->options.user_data);
        end_telling(r);
    }
    if (r->loop.state == ENDED)
        return;
    if (!path)
        tkx__fail(&error, TKX_ERR_NOT_FOUND,
                  "run %s is corrupted and has no training checkpoint to restore",
                  r->loop.run_id);
    else if (!replace(&r->loop.from_path, path))
        tkx__fail_memory(&error);
    if (error)
        attempt_failed(r, error, true);
    else
        restore(r);
    tkx_error_free(error);
}

static void on_run(tkx_future *future, void *arg)
{
    tkx_recovery *r = arg;
    tkx_training_run *run = NULL;
    tkx_error *error = NULL;

    if (r->loop.state != ENDED) {
        tkx_status st = tkx_future_take_training_run(future, &run, &error);
        tkx_future_unref(r->loop.future);
        r->loop.future = NULL;
        if (st == TKX_OK && run->is_corrupted) {
            corrupted(r, run);
        } else {
            if (error)
                tkx__log_write(r->service->site->log, TKX_LOG_WARNING, "recovery",
                               "nothing is known about run %s: %s", r->loop.run_id,
                               tkx_error_message(error));
            wait(r, WAITING, r->options.poll_ms);
        }
    }
    tkx_error_free(error);
    tkx_training_run_free(run);
    unref(r);
}

static void ask(tkx_recovery *r)
{
    r->loop.state = ASKING;
    if (tkx_rest_get_training_run(&r->rest, r->loop.run_id, NULL, &r->loop.future,
                                  NULL) != TKX_OK ||
        !follow(r, on_run, NULL))
        wait(r, WAITING, r->options.poll_ms);
}

static void on_timer(void *arg)
{
    tkx_recovery *r = arg;

    if (r->loop.state == WAITING)
        ask(r);
    else if (r->loop.state == BACKING_OFF)
        restore(r);
}

/* --- life ------------------------------------------------------------------------ */

static void begin(void *arg)
{
    tkx_recovery *r = arg;
    const tkx__io *io = r->service->io;

    tkx__op_register(r->service->site, &r->base, abort_watch);
    r->loop.timer = io->ops->timer_new(io->ctx, on_timer, r);
    if (r->loop.timer && !r->service->site->is_closed)
        wait(r, WAITING, r->options.poll_ms);
    else
        end(r);
}

static void stop(void *arg)
{
    tkx_recovery *r = arg;

    end(r);
    unref(r);
}

void tkx_recovery_stop(tkx_recovery *r)
{
    if (!r)
        return;
    const tkx__io *io = r->service->io;
    bool is_inside = io->ops->in_loop(io->ctx);

    pthread_mutex_lock(&r->shared.lock);
    r->shared.is_stopped = true;
    while (r->shared.is_telling && !is_inside)
        pthread_cond_wait(&r->shared.quiet, &r->shared.lock);
    pthread_mutex_unlock(&r->shared.lock);
    r->stopping = (tkx__post_node){.fn = stop, .arg = r};
    if (!io->ops->post_node(io->ctx, &r->stopping))
        stop(r); /* the loop has ended, and with it the machine */
}

static tkx_status check(const tkx_recovery_options *o, tkx_error **err)
{
    if (!o->events.on_recovered)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "a recovery needs on_recovered, which takes the new client");
    if (o->poll_ms < 1 || o->n_attempts < 1 || o->backoff_ms < 1 || o->max_backoff_ms < 1)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "a recovery needs times and attempts of at least 1");
    return TKX_OK;
}

tkx_status tkx_recovery_start(tkx_training *training, const tkx_recovery_options *options,
                              tkx_recovery **out, tkx_error **err)
{
    tkx_recovery_options o = TKX_RECOVERY_OPTIONS_INIT;
    tkx_status st =
        tkx__options_overlay(&o, sizeof o, options, "tkx_recovery_options", err);

    if (st == TKX_OK)
        st = check(&o, err);
    if (st != TKX_OK)
        return st;
    tkx_recovery *r = tkx__calloc(1, sizeof *r);
    if (!r)
        return tkx__fail_memory(err);
    atomic_init(&r->n_refs, 1);
    pthread_mutex_init(&r->shared.lock, NULL);
    pthread_cond_init(&r->shared.quiet, NULL);
    r->options = o;
    r->checkpoint = o.checkpoint ? tkx__strdup(o.checkpoint) : NULL;
    r->loop.run_id = tkx__strdup(training->model_id);
    if (!r->loop.run_id || (o.checkpoint && !r->checkpoint)) {
        unref(r);
        return tkx__fail_memory(err);
    }
    r->service = tkx__service_ref(training->service);
    r->rest.service = r->service;
    atomic_fetch_add(&r->n_refs, 1);
    st = tkx__service_post(r->service, begin, r, err);
    if (st != TKX_OK) {
        unref(r);
        unref(r);
        return st;
    }
    *out = r;
    return TKX_OK;
}
