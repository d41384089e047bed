/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tkx/sampling.h - completions of prompts by one set of weights.
 *
 * Thousands of samples may be open at once; the client keeps to the limits of the
 * service, waits when that pushes back, and submits again what got lost.
 */
#ifndef TKX_SAMPLING_H
#define TKX_SAMPLING_H

#include <tkx/service.h>
#include <tkx/types/sample.h>
#include <tkx/types/sample_response.h>

TKX_BEGIN_DECLS

typedef struct tkx_sampling tkx_sampling;

/* Start from TKX_SAMPLING_OPTIONS_INIT.  Everything is copied. */
typedef struct tkx_sampling_options {
    size_t struct_size;
    const char *base_model;      /* one of these two */
    const char *model_path;      /* tinker://... of a saved model */
    int is_retry_off;            /* 1: one submission for each sample */
    int64_t max_open;            /* samples at once; 0: what the service allows */
    int64_t progress_timeout_ms; /* without any success: the open ones fail; 0: two hours,
                                    -1: never */
    int records_stability_info;  /* 1: the service keeps data for stable_reinforce */
    int64_t timeout_ms; /* of making the client; 0: the context's call_timeout_ms */
    const char *sampling_session_id; /* one that exists already, made by another process
                                        (tkx_sampling_id()); then base_model is only what
                                        is known of it.  The service must live in the
                                        same session: tkx_service_options.session_id */
    tkx_json_member_list extra_json; /* more members of create_sampling_session */
} tkx_sampling_options;

#define TKX_SAMPLING_OPTIONS_INIT                                                        \
    {                                                                                    \
        .struct_size = sizeof(tkx_sampling_options)                                      \
    }

/**
 * Make a sampling client.  The future's result: tkx_future_take_sampling().
 *
 * Thread:    any.
 * Ownership: @p options is borrowed for the call; @p out is the caller's.
 * Errors:    INVALID_ARGUMENT (no base model, path or session, a path that is none),
 *            NO_MEMORY, CLOSED.
 */
TKX_API tkx_status tkx_service_create_sampling(tkx_service *service,
                                               const tkx_sampling_options *options,
                                               tkx_future **out, tkx_error **err);

/**
 * Move the client out of a completed future.
 *
 * Thread:    any.
 * Ownership: @p out is the caller's, tkx_sampling_free().  Works once.
 * Errors:    whatever the operation failed with; INVALID_STATE if pending or taken.
 */
TKX_API tkx_status tkx_future_take_sampling(tkx_future *future, tkx_sampling **out,
                                            tkx_error **err);

/** Let go of the client; open samples go on.  Thread: any.  Accepts NULL. */
TKX_API void tkx_sampling_free(tkx_sampling *sampling);

/** The sampling session's id.  Borrowed from @p sampling.  Thread: any. */
TKX_API const char *tkx_sampling_id(const tkx_sampling *sampling);

/** The base model behind it; NULL when the service did not say.  Borrowed from
    @p sampling.  Thread: any. */
TKX_API const char *tkx_sampling_base_model(const tkx_sampling *sampling);

/**
 * Ask for completions.  The future's result: tkx_future_take_sample().
 *
 * Thread:    any.
 * Ownership: @p request is borrowed for the call, its session and number are ours to fill
 *            in; @p out is the caller's.
 * Units:     @p timeout_ms from now until the future fails with TIMEOUT; 0: the context's
 *            call_timeout_ms.
 * Errors:    of the call: INVALID_ARGUMENT for what cannot be encoded, NO_MEMORY, CLOSED.
 */
TKX_API tkx_status tkx_sampling_sample(tkx_sampling *sampling,
                                       const tkx_sample_request *request,
                                       int64_t timeout_ms, tkx_future **out,
                                       tkx_error **err);

/**
 * Move the response out of a completed future.
 *
 * Thread:    any.
 * Ownership: @p out is the caller's, tkx_sample_response_free().  Works once.
 * Shapes:    sequences[n_sequences], in each tokens[n_tokens].
 * Errors:    whatever the operation failed with; INVALID_STATE if pending or taken.
 */
TKX_API tkx_status tkx_future_take_sample(tkx_future *future, tkx_sample_response **out,
                                          tkx_error **err);

/**
 * Score a prompt.  The future's result: tkx_future_take_logprobs().
 *
 * Thread:    any.
 * Ownership: @p prompt is borrowed for the call.
 * Units:     @p timeout_ms as above.
 */
TKX_API tkx_status tkx_sampling_compute_logprobs(tkx_sampling *sampling,
                                                 const tkx_model_input *prompt,
                                                 int64_t timeout_ms, tkx_future **out,
                                                 tkx_error **err);

/** The same for the last @p last_n tokens only (at least 1), so that the service may use
    what it remembers of the others.  All else as above. */
TKX_API tkx_status tkx_sampling_compute_last_logprobs(tkx_sampling *sampling,
                                                      const tkx_model_input *prompt,
                                                      int64_t last_n, int64_t timeout_ms,
                                                      tkx_future **out, tkx_error **err);

/* Log-probabilities of a prompt's tokens. */
typedef struct tkx_logprobs {
    const float
        *values;     /* [n_values], natural log; NaN: not computed, as for the first */
    size_t n_values; /* tokens of the prompt */
} tkx_logprobs;

TKX_API void tkx_logprobs_free(tkx_logprobs *logprobs); /* any thread; accepts NULL */

/** Ownership: @p out is the caller's, tkx_logprobs_free().  Thread: any. */
TKX_API tkx_status tkx_future_take_logprobs(tkx_future *future, tkx_logprobs **out,
                                            tkx_error **err);

TKX_END_DECLS
#endif
