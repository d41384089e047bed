/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/sampler.h - one sampling session: its numbers, its slots, its samples.
 *
 * Loop thread only, except tkx__sample_new() and tkx__sampler_post().
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

typedef struct tkx__sampler_options {
    const char *sampling_session_id;     /* copied */
    int64_t first_seq;                   /* 0, or a block of a copy's own */
    const tkx__retry_settings *settings; /* copied; NULL: as they come */
    void *owner;                         /* for tkx__sampler_owner() */
} tkx__sampler_options;

/* NULL: out of memory. */
tkx__sampler *tkx__sampler_new(tkx__site *site, tkx__dispatch *dispatch,
                               const tkx__sampler_options *options);
/* Only when no sample is open on it.  Accepts NULL. */
void tkx__sampler_free(tkx__sampler *sampler);
void *tkx__sampler_owner(const tkx__sampler *sampler);

typedef struct tkx__sample tkx__sample;

/* Both are the receiver's; the sample is gone by then. */
typedef struct tkx__sample_end {
    tkx_sample_response *response;
    tkx_error *error; /* NULL: success */
    tkx__sampler *sampler;
    size_t n_prompt; /* tokens of the prompt; 0: not known */
} tkx__sample_end;

/* One static object for each kind of call; arg is the caller's. */
typedef struct tkx__sample_kind {
    const char *sdk_method;
    bool always_retries; /* also where the service wants none (compute_logprobs) */
    /* The first thing on the loop thread; a failure ends the sample with err. */
    tkx_status (*on_start)(void *arg, tkx__sampler *sampler, tkx_error **err);
    void (*on_sending)(void *arg, size_t bytes); /* each attempt */
    void (*on_event)(void *arg, tkx__sampler *sampler, const tkx__poll_event *event);
    /* The end, told once. */
    void (*on_end)(void *arg, const tkx__sample_end *end);
} tkx__sample_kind;

/*
 * A request as it waits; everything is copied.  Any thread.
 *
 * Errors: INVALID_ARGUMENT for what cannot be encoded, NO_MEMORY.
 */
tkx_status tkx__sample_new(tkx__sampler *sampler, const tkx_sample_request *request,
                           const tkx__sample_kind *kind, tkx__sample **out,
                           tkx_error **err);
void tkx__sample_drop(tkx__sample *sample); /* before its start; accepts NULL */

/* Start it on the loop thread; deadline_ms on the site's clock, 0: none.  Any thread.
   False, and nothing has happened: out of memory, or the loop has ended. */
bool tkx__sampler_post(tkx__sampler *sampler, tkx__sample *sample, int64_t deadline_ms,
                       void *arg);

/* Nobody waits any more: on_end will not run; the service is told if it wants to know.
   False: it has not started, and its on_start() comes. */
bool tkx__sample_cancel(tkx__sample *sample);

tkx__sampler *tkx__sample_sampler(const tkx__sample *sample);

/* For the dispatch that samplers share. */
void tkx__sample_admitted(tkx__dispatch_wait *wait);

#endif
