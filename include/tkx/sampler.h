/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tkx/sampler.h - one way to sample, whoever computes: the service, this machine, or this
 * machine where the service cannot.
 *
 * Requests and responses are those of the service in any case; each result says which
 * side answered, and why.  An automatic sampler asks the service and goes to the local
 * model when the service cannot be reached, when its circuit breaker is open, or when it
 * no longer offers the base model.  It never does so because of a key, an account or a
 * mistake in the request, and never puts the base model in place of an adapter.
 */
#ifndef TKX_SAMPLER_H
#define TKX_SAMPLER_H

#include <tkx/local.h>
#include <tkx/sampling.h>

TKX_BEGIN_DECLS

typedef struct tkx_sampler tkx_sampler;

typedef enum tkx_sampler_mode {
    TKX_SAMPLER_REMOTE = 0,
    TKX_SAMPLER_LOCAL,
    TKX_SAMPLER_AUTO
} tkx_sampler_mode;

/* Start from TKX_SAMPLER_OPTIONS_INIT.  Strings are copied; what is opened is borrowed
   and must outlive the sampler, but for the service, which is counted. */
typedef struct tkx_sampler_options {
    size_t struct_size;
    tkx_sampler_mode mode;
    tkx_service *service;   /* remote, auto */
    const char *base_model; /* what the service is to sample: a base model .. */
    const char *model_path; /* .. or a saved model, tinker://...; then base_model may name
                               its base */
    tkx_local *local;       /* local, auto: the base model on this machine */
    const tkx_local_adapter *adapter; /* the saved model on this machine: needed with
                                         model_path in auto, and only then */
    tkx_context *context; /* where futures complete; NULL: the service's, else one of the
                             sampler's own */
} tkx_sampler_options;

#define TKX_SAMPLER_OPTIONS_INIT                                                         \
    {                                                                                    \
        .struct_size = sizeof(tkx_sampler_options)                                       \
    }

/**
 * Make a sampler.  Sends nothing: a sampling session is made by the first request that
 * needs it.
 *
 * Thread:    any.
 * Ownership: @p out is the caller's, tkx_sampler_free().
 * Errors:    INVALID_ARGUMENT for a mode without its side, for a saved model that would
 *            fall back to the base, and for a base that would fall back to an adapter.
 */
TKX_API tkx_status tkx_sampler_new(const tkx_sampler_options *options, tkx_sampler **out,
                                   tkx_error **err);

/** Let go of it; open requests go on, or end with CLOSED where the context was the
    sampler's own.  Thread: any but the loop thread.  Accepts NULL. */
TKX_API void tkx_sampler_free(tkx_sampler *sampler);

/**
 * Ask for completions.  The future's result: tkx_future_take_sampler_result().
 *
 * Thread:    any.
 * Ownership: @p request and @p local_only are borrowed for the call; @p out is the
 *            caller's.
 * Units:     @p timeout_ms from now until the future fails with TIMEOUT; 0: the context's
 *            call_timeout_ms.
 * Errors:    of the call: INVALID_ARGUMENT, NO_MEMORY, CLOSED; UNSUPPORTED for what only
 *            the local engine offers, unless the mode is local.  Of the future: the
 *            service's, where the local side may not or cannot answer in its place.
 *
 * @p local_only may be NULL.  Its adapter must be NULL: the sampler has one.  A token
 * callback is allowed in every mode; what the service answers is told when it is
 * complete, on the loop thread.
 */
TKX_API tkx_status tkx_sampler_sample(tkx_sampler *sampler,
                                      const tkx_sample_request *request,
                                      const tkx_local_sample_options *local_only,
                                      int64_t timeout_ms, tkx_future **out,
                                      tkx_error **err);

/** Score a prompt: as tkx_sampler_sample(), the result holds logprobs.  Thread: any. */
TKX_API tkx_status tkx_sampler_compute_logprobs(tkx_sampler *sampler,
                                                const tkx_model_input *prompt,
                                                int64_t timeout_ms, tkx_future **out,
                                                tkx_error **err);

/*
 * Why that side answered, in label.reason:
 *
 *     "requested"    the sampler is remote, or local
 *     "answered"     auto: the service did
 *     "unreachable"  auto: no answer from the service, here is the local one
 *     "breaker-open" auto: the service failed so often that it is left alone for a while
 *     "retired"      auto: the service does not offer the base model (any more)
 *
 * label.backend is "remote" or "local".  Of a remote answer the weight type, the kernels
 * and the compute mode are NULL, and logprob_mode is "service": it does not say.
 */
typedef struct tkx_sampler_result {
    tkx_sample_response *response; /* NULL after tkx_sampler_compute_logprobs() */
    tkx_logprobs *logprobs;        /* NULL after tkx_sampler_sample() */
    tkx_sample_label label;        /* strings live as long as the sampler */
} tkx_sampler_result;

/** Free a result and what it points to.  Thread: any.  Accepts NULL. */
TKX_API void tkx_sampler_result_free(tkx_sampler_result *result);

/**
 * Move the result out of a completed future.
 *
 * Thread:    any.
 * Ownership: @p out is the caller's, tkx_sampler_result_free().  Works once.
 * Errors:    whatever the request failed with; INVALID_STATE if pending or taken.
 */
TKX_API tkx_status tkx_future_take_sampler_result(tkx_future *future,
                                                  tkx_sampler_result **out,
                                                  tkx_error **err);

TKX_END_DECLS
#endif
