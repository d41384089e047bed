/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tkx/custom_loss.h - train on a loss that is computed here.
 *
 * One call makes two passes: a forward pass gives the log-probabilities of the target
 * tokens, a function of the caller turns them into a loss and its gradient, and a
 * backward pass adds that gradient to the model's.  Both passes have their place in the
 * order of calls at the moment of the call; what is called meanwhile runs after both.
 */
#ifndef TKX_CUSTOM_LOSS_H
#define TKX_CUSTOM_LOSS_H

#include <tkx/training.h>
#include <tkx/types/custom_loss.h>

TKX_BEGIN_DECLS

/* One datum of the call, and what the loss is to say about it. */
typedef struct tkx_custom_item {
    const tkx_datum *datum; /* the caller's, with all its loss inputs */
    const float *logprobs;  /* [n], row-major, in the shape of the target tokens */
    float *gradient;        /* [n], zeros at first: write d loss / d logprob */
    size_t n;
    size_t n_columns; /* of 2-D targets; 1 otherwise */
} tkx_custom_item;

/* What the loss reports besides gradients.  Thread: only the function that got it, while
   it runs. */
typedef struct tkx_custom_report tkx_custom_report;

/** The loss; comes back as the metric "loss:sum".  Call it once. */
TKX_API void tkx_custom_report_loss(tkx_custom_report *report, double loss);
/**
 * A metric, replacing one of the service's by that name.  @p name is copied.
 * Errors: NO_MEMORY, INVALID_ARGUMENT (no name).
 */
TKX_API tkx_status tkx_custom_report_metric(tkx_custom_report *report, const char *name,
                                            double value);
/** Why the function fails; goes into the error.  @p message is copied, and cut. */
TKX_API void tkx_custom_report_failure(tkx_custom_report *report, const char *message);

/**
 * Compute the loss.  0: done; anything else: failed.  A failed loss changes no gradient,
 * and later calls of the training client go on.
 *
 * Thread:    one of the context's own, one such call at a time; it may block, and it may
 *            wait for other futures, but for no later call of the same training client
 *            (that one waits for us).  It must not close or free the context.
 * Ownership: everything is borrowed for the call.
 * Shapes:    items[n_items], item i belongs to datum i of the call.
 */
typedef int tkx_custom_loss_fn(tkx_custom_item *items, size_t n_items,
                               tkx_custom_report *report, void *user_data);

/* Start from TKX_CUSTOM_LOSS_OPTIONS_INIT. */
typedef struct tkx_custom_loss_options {
    size_t struct_size;
    /* Told, once, on the loop thread: neither datums nor function are needed any more. */
    void (*on_released)(void *user_data);
    void *user_data;    /* of on_released */
    int64_t timeout_ms; /* of the call; 0: the context's call_timeout_ms */
} tkx_custom_loss_options;

#define TKX_CUSTOM_LOSS_OPTIONS_INIT                                                     \
    {                                                                                    \
        .struct_size = sizeof(tkx_custom_loss_options)                                   \
    }

/**
 * Forward, @p fn, backward.  The future's result: tkx_future_take_forward_backward(), the
 * backward pass's outputs; "loss:sum" is the reported loss, and the service's own, which
 * means nothing here, is "surrogate_loss:sum".
 *
 * When the future is cancelled or runs into its limit before the backward pass goes out,
 * no gradient is added.  When the backward pass cannot be made its numbers are used up by
 * short forward passes, so that the sequence has no hole.
 *
 * Thread:    any.
 * Ownership: @p data, all it points to and @p user_data are borrowed until the future has
 *            completed; after a cancel, a limit or a close until on_released.  @p out is
 *            the caller's.
 * Shapes:    data[n_data]; each needs dense target_tokens.  weights are sent with the
 *            forward pass (zeros without), other loss inputs only reach @p fn.
 * Errors:    of the call: INVALID_ARGUMENT (no data, no target_tokens; no number is used
 *            up), NO_MEMORY, CLOSED.  Of the future, besides those of the service:
 *            INVALID_ARGUMENT when @p fn failed or wrote a gradient that is no number.
 */
TKX_API tkx_status tkx_training_forward_backward_custom(
    tkx_training *training, const tkx_datum *data, size_t n_data, tkx_custom_loss_fn *fn,
    void *user_data, const tkx_custom_loss_options *options, tkx_future **out,
    tkx_error **err);

/**
 * Upload a loss as a graph that the service runs itself, once for each session; then it
 * is the loss "custom" with the setting "loss_id" of any model of the session.  The
 * future's result: tkx_future_take_create_custom_loss_result().
 *
 * Thread:    any.
 * Ownership: @p request is copied; its session and number are ours to fill in.
 * Errors:    of the call: INVALID_ARGUMENT without name, inputs or graph, NO_MEMORY,
 *            CLOSED; of the future: UNSUPPORTED by a service that runs no users' losses.
 */
TKX_API tkx_status tkx_service_create_custom_loss(
    tkx_service *service, const tkx_create_custom_loss_request *request, tkx_future **out,
    tkx_error **err);

/** Ownership: @p out is the caller's, tkx_create_custom_loss_result_free().
    Thread: any. */
TKX_API tkx_status tkx_future_take_create_custom_loss_result(
    tkx_future *future, tkx_create_custom_loss_result **out, tkx_error **err);

TKX_END_DECLS
#endif
