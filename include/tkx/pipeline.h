/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tkx/pipeline.h - a few training steps in flight.
 *
 * A step is forward_backward and optim_step.  The service works on one while the next is
 * on its way, if it is there in time: a pipeline submits steps without waiting for their
 * outcomes, at most `depth` of them, and hands the outcomes back in order.
 *
 * Thread: one at a time, not the context's loop thread.
 */
#ifndef TKX_PIPELINE_H
#define TKX_PIPELINE_H

#include <tkx/training.h>

TKX_BEGIN_DECLS

typedef struct tkx_pipeline tkx_pipeline;

/* Start from TKX_PIPELINE_OPTIONS_INIT. */
typedef struct tkx_pipeline_options {
    size_t struct_size;
    size_t depth;            /* steps in flight; 0: 2 */
    int64_t step_timeout_ms; /* of each step and snapshot; 0: the context's
                                call_timeout_ms */
} tkx_pipeline_options;

#define TKX_PIPELINE_OPTIONS_INIT                                                        \
    {                                                                                    \
        .struct_size = sizeof(tkx_pipeline_options)                                      \
    }

/**
 * Make a pipeline.  Sends nothing.
 *
 * Ownership: @p training is borrowed and outlives the pipeline; @p options may be NULL;
 *            @p out is the caller's, tkx_pipeline_free().
 */
TKX_API tkx_status tkx_pipeline_new(tkx_training *training,
                                    const tkx_pipeline_options *options,
                                    tkx_pipeline **out, tkx_error **err);
/** Let go of it; steps in flight go on without an audience, so their datums must stay
    until the training client and its context are closed.  Accepts NULL. */
TKX_API void tkx_pipeline_free(tkx_pipeline *pipeline);

/* Start from TKX_PIPELINE_STEP_INIT. */
typedef struct tkx_pipeline_step {
    size_t struct_size;
    const tkx_datum *data;
    size_t n_data;
    const char *loss_fn;
    const tkx_loss_setting *settings;
    size_t n_settings;
    const tkx_adam_params *adam; /* NULL: defaults */
    void *tag;                   /* handed back as it is */
} tkx_pipeline_step;

#define TKX_PIPELINE_STEP_INIT                                                           \
    {                                                                                    \
        .struct_size = sizeof(tkx_pipeline_step), .loss_fn = TKX_LOSS_CROSS_ENTROPY      \
    }

/**
 * Submit a step, once fewer than depth are in flight.
 *
 * Ownership: @p step is borrowed for the call; its data, and all it points to, until the
 *            step's outcome has been taken.
 * Units:     @p timeout_ms for the waiting; negative: without limit.
 * Errors:    of the training calls; TIMEOUT, WOULD_BLOCK: nothing was submitted;
 *            CLIENT_BROKEN, with the cause: a step has failed, and its outcome was not
 *            taken yet, or the training client is broken for good.
 */
TKX_API tkx_status tkx_pipeline_submit(tkx_pipeline *pipeline,
                                       const tkx_pipeline_step *step, int64_t timeout_ms,
                                       uint64_t *number, tkx_error **err);

/* What came of a step.  Start from TKX_PIPELINE_OUTCOME_INIT. */
typedef struct tkx_pipeline_outcome {
    size_t struct_size;
    uint64_t number; /* from 1 */
    void *tag;
    tkx_forward_backward_output *forward; /* NULL: it failed */
    tkx_optim_step_result *optim;         /* NULL: it failed */
    tkx_error *error; /* of forward, else of the optimizer; tkx_error_chunks() tells which
                         datums; NULL: the step is done */
} tkx_pipeline_outcome;

#define TKX_PIPELINE_OUTCOME_INIT                                                        \
    {                                                                                    \
        .struct_size = sizeof(tkx_pipeline_outcome)                                      \
    }

/**
 * The outcome of the oldest step that was not taken yet.
 *
 * Ownership: what @p outcome points to is the caller's, tkx_pipeline_outcome_clear().
 * Units:     @p timeout_ms; negative: without limit.
 * Errors:    NOT_FOUND when no step is left, TIMEOUT, WOULD_BLOCK.  A step that failed is
 *            an outcome, not an error.
 */
TKX_API tkx_status tkx_pipeline_next(tkx_pipeline *pipeline, int64_t timeout_ms,
                                     tkx_pipeline_outcome *outcome, tkx_error **err);
/** Free what it points to.  Accepts NULL. */
TKX_API void tkx_pipeline_outcome_clear(tkx_pipeline_outcome *outcome);

/** Steps submitted and not taken, finished or not. */
TKX_API size_t tkx_pipeline_size(const tkx_pipeline *pipeline);

/**
 * A sampling client of the weights after the latest step submitted, whatever is submitted
 * afterwards.  The future's result: tkx_future_take_sampling().
 *
 * Ownership: @p out is the caller's.
 * Units:     @p number: that step's; 0: before the first one.
 */
TKX_API tkx_status tkx_pipeline_snapshot(tkx_pipeline *pipeline, uint64_t *number,
                                         tkx_future **out, tkx_error **err);

TKX_END_DECLS
#endif
