/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/sampler.h - one sampling session: its numbers, its slots, its samples.
 *
 * Loop thread only, except tkx__sample_new().
 */
#ifndef TKX_API_SAMPLER_H
#define TKX_API_SAMPLER_H

#include <tkx/types/sample.h>
#include <tkx/types/sample_response.h>

#include "api/dispatch.h"
#include "api/poll.h"

/* How samples are tried again. */
typedef struct tkx__retry_settings {
    bool is_off;
    int64_t max_open;            /* slots; 0: what the service says */
    int64_t progress_timeout_ms; /* 0: 7,200,000; -1: never */
    int64_t delay_base_ms;       /* 0: 500 */
    int64_t delay_max_ms;        /* 0: 10,000 */
    double jitter;               /* 0.25 */
} tkx__retry_settings;

typedef struct tkx__sampler tkx__sampler;

/* NULL: out of memory.  first_seq is 0, or a block of a copy's own. */
tkx__sampler *tkx__sampler_new(tkx__site *site, tkx__dispatch *dispatch,
                               const char *sampling_session_id, int64_t first_seq,
                               const tkx__retry_settings *settings);
/* Only when no sample is open on it.  Accepts NULL. */
void tkx__sampler_free(tkx__sampler *sampler);
const char *tkx__sampler_id(const tkx__sampler *sampler);

typedef struct tkx__sample tkx__sample;

/* What a caller may see of a sample's way; any of it may be NULL. */
typedef struct tkx__sample_hooks {
    void (*on_sending)(void *arg, size_t bytes); /* each attempt */
    void (*on_event)(void *arg, const tkx__poll_event *event);
} tkx__sample_hooks;

/* The end, told once; the sample is gone by then.  Both are the receiver's. */
typedef void tkx__sample_fn(void *arg, tkx_sample_response *response, tkx_error *error);

/*
 * Encode a request; everything is copied.  Any thread.
 *
 * Errors: INVALID_ARGUMENT for what cannot be encoded, NO_MEMORY.
 */
tkx_status tkx__sample_new(const char *sampling_session_id,
                           const tkx_sample_request *request, tkx__sample **out,
                           tkx_error **err);
void tkx__sample_drop(tkx__sample *sample); /* before its start; accepts NULL */

typedef struct tkx__sample_start {
    const tkx__sample_hooks *hooks; /* static */
    const char *sdk_method;         /* static */
    int64_t deadline_ms;            /* on the site's clock; 0: none */
    bool always_retries; /* also where the service wants none (compute_logprobs) */
} tkx__sample_start;

/* fn may run inside this call. */
void tkx__sampler_submit(tkx__sampler *sampler, tkx__sample *sample,
                         const tkx__sample_start *start, tkx__sample_fn *fn, void *arg);

/* Nobody waits any more: fn will not run; the service is told if it wants to know. */
void tkx__sample_cancel(tkx__sample *sample);

#endif
