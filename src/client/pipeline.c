/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pipeline.c - training steps in flight, as a list of pairs of futures.
 *
 * Order and turns are the training client's; all that is done here is to count, to wait
 * for the oldest, and to stop after a failure until somebody has looked at it.  No thread
 * of its own, no lock: the caller serialises.
 */
#include <tkx/pipeline.h>

#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/options.h"
#include "client/training.h"

typedef struct flight flight;
struct flight {
    uint64_t number;
    void *tag;
    tkx_future *forward;
    tkx_future *optim; /* NULL: it could not be called */
    tkx_error *error;  /* why */
    flight *next;
};

struct tkx_pipeline {
    tkx_training *training;
    size_t depth;
    int64_t step_timeout_ms;
    uint64_t n_submitted;
    flight *head, **tail;
    size_t size;
};

static void free_flight(flight *f)
{
    tkx_future_unref(f->forward);
    tkx_future_unref(f->optim);
    tkx_error_free(f->error);
    tkx__free(f);
}

tkx_status tkx_pipeline_new(tkx_training *training, const tkx_pipeline_options *options,
                            tkx_pipeline **out, tkx_error **err)
{
    tkx_pipeline_options o = TKX_PIPELINE_OPTIONS_INIT;
    tkx_status st =
        tkx__options_overlay(&o, sizeof o, options, "tkx_pipeline_options", err);

    if (st != TKX_OK)
        return st;
    if (!training || !out)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "a pipeline needs a training client");
    tkx_pipeline *p = tkx__calloc(1, sizeof *p);
    if (!p)
        return tkx__fail_memory(err);
    p->training = tkx__training_ref(training);
    p->depth = o.depth ? o.depth : 2;
    p->step_timeout_ms = o.step_timeout_ms;
    p->tail = &p->head;
    *out = p;
    return TKX_OK;
}

void tkx_pipeline_free(tkx_pipeline *p)
{
    if (!p)
        return;
    while (p->head) {
        flight *f = p->head;
        p->head = f->next;
        free_flight(f);
    }
    tkx_training_free(p->training);
    tkx__free(p);
}

size_t tkx_pipeline_size(const tkx_pipeline *pipeline)
{
    return pipeline->size;
}

/* --- looking --------------------------------------------------------------------- */

static bool is_done(const flight *f)
{
    return tkx_future_is_done(f->forward) && (!f->optim || tkx_future_is_done(f->optim));
}

/* Of what has completed; NULL: none so far. */
static const tkx_error *error_of(const flight *f)
{
    const tkx_error *error = tkx_future_error(f->forward);

    if (!error && f->optim)
        error = tkx_future_error(f->optim);
    return error ? error : f->error;
}

static flight *oldest_in_flight(tkx_pipeline *p, size_t *n)
{
    flight *oldest = NULL;

    *n = 0;
    for (flight *f = p->head; f; f = f->next) {
        if (is_done(f))
            continue;
        ++*n;
        if (!oldest)
            oldest = f;
    }
    return oldest;
}

static tkx_status check(tkx_pipeline *p, tkx_error **err)
{
    for (flight *f = p->head; f; f = f->next) {
        tkx_error *cause = error_of(f) ? tkx__error_copy(error_of(f)) : NULL;

        if (cause)
            return tkx__fail_cause(err, TKX_ERR_CLIENT_BROKEN, NULL, &cause,
                                   "step %llu failed (%s): take its outcome with "
                                   "tkx_pipeline_next() before the next is submitted",
                                   (unsigned long long)f->number,
                                   tkx_error_message(error_of(f)));
    }
    return tkx_training_check(p->training, err);
}

/* --- waiting --------------------------------------------------------------------- */

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t left_of(int64_t timeout_ms, int64_t since_ms)
{
    int64_t left = timeout_ms - (now_ms() - since_ms);

    return timeout_ms < 0 ? -1 : left > 0 ? left : 0;
}

static tkx_status wait_for(const flight *f, int64_t timeout_ms, int64_t since_ms,
                           tkx_error **err)
{
    tkx_status st = tkx_future_wait(f->forward, left_of(timeout_ms, since_ms), err);

    if (st == TKX_OK && f->optim)
        st = tkx_future_wait(f->optim, left_of(timeout_ms, since_ms), err);
    return st;
}

/* --- submitting ------------------------------------------------------------------ */

/* The forward pass is on its way: from here on the step counts, whatever comes. */
static void call_optim(tkx_pipeline *p, flight *f, const tkx_adam_params *adam)
{
    tkx_optim_options options = TKX_OPTIM_OPTIONS_INIT;

    options.adam = adam;
    options.timeout_ms = p->step_timeout_ms;
    if (tkx_training_optim_step(p->training, &options, &f->optim, &f->error) != TKX_OK &&
        !f->error)
        tkx__fail_memory(&f->error);
    f->number = ++p->n_submitted;
    *p->tail = f;
    p->tail = &f->next;
    p->size++;
}

tkx_status tkx_pipeline_submit(tkx_pipeline *p, const tkx_pipeline_step *step,
                               int64_t timeout_ms, uint64_t *number, tkx_error **err)
{
    tkx_pipeline_step s = TKX_PIPELINE_STEP_INIT;
    tkx_forward_options options = TKX_FORWARD_OPTIONS_INIT;
    int64_t since_ms = now_ms();
    const flight *oldest;
    size_t n;

    tkx_status st = tkx__options_overlay(&s, sizeof s, step, "tkx_pipeline_step", err);
    while (st == TKX_OK && (oldest = oldest_in_flight(p, &n)) && n >= p->depth)
        st = wait_for(oldest, timeout_ms, since_ms, err);
    if (st == TKX_OK)
        st = check(p, err);
    if (st != TKX_OK)
        return st;
    flight *f = tkx__calloc(1, sizeof *f);
    if (!f)
        return tkx__fail_memory(err);
    options.settings = s.settings;
    options.n_settings = s.n_settings;
    options.timeout_ms = p->step_timeout_ms;
    st = tkx_training_forward_backward(p->training, s.data, s.n_data, s.loss_fn, &options,
                                       &f->forward, err);
    if (st != TKX_OK) {
        tkx__free(f);
        return st;
    }
    f->tag = s.tag;
    call_optim(p, f, s.adam);
    if (number)
        *number = f->number;
    return TKX_OK;
}

tkx_status tkx_pipeline_snapshot(tkx_pipeline *p, uint64_t *number, tkx_future **out,
                                 tkx_error **err)
{
    tkx_publish_options options = TKX_PUBLISH_OPTIONS_INIT;
    tkx_status st = check(p, err);

    if (st != TKX_OK)
        return st;
    if (number)
        *number = p->n_submitted;
    options.timeout_ms = p->step_timeout_ms;
    return tkx_training_save_weights_and_get_sampling_client(p->training, &options, out,
                                                             err);
}

/* --- taking ---------------------------------------------------------------------- */

tkx_status tkx_pipeline_next(tkx_pipeline *p, int64_t timeout_ms,
                             tkx_pipeline_outcome *outcome, tkx_error **err)
{
    flight *f = p->head;
    tkx_pipeline_outcome all = TKX_PIPELINE_OUTCOME_INIT;

    if (!outcome || outcome->struct_size < sizeof all)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "tkx_pipeline_next: start from TKX_PIPELINE_OUTCOME_INIT");
    if (!f)
        return tkx__fail(err, TKX_ERR_NOT_FOUND, "no step is left in the pipeline");
    tkx_status st = wait_for(f, timeout_ms, now_ms(), err);
    if (st != TKX_OK)
        return st;
    all.number = f->number;
    all.tag = f->tag;
    tkx_future_take_forward_backward(f->forward, &all.forward, &all.error);
    if (f->optim)
        tkx_future_take_optim_step(f->optim, &all.optim, all.error ? NULL : &all.error);
    else if (!all.error)
        all.error = tkx__error_copy(f->error);
    p->head = f->next;
    if (!p->head)
        p->tail = &p->head;
    p->size--;
    free_flight(f);
    all.struct_size = outcome->struct_size;
    memcpy(outcome, &all, sizeof all);
    return TKX_OK;
}

void tkx_pipeline_outcome_clear(tkx_pipeline_outcome *outcome)
{
    if (!outcome)
        return;
    tkx_forward_backward_output_free(outcome->forward);
    tkx_optim_step_result_free(outcome->optim);
    tkx_error_free(outcome->error);
    outcome->forward = NULL;
    outcome->optim = NULL;
    outcome->error = NULL;
}
