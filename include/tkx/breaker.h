/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tkx/breaker.h - circuit breakers: is an endpoint of the service down?
 *
 * An endpoint is the context's host and one class of routes; each has a breaker.  It
 * opens after some failures in a row (no answer, a time-out, a 5xx) and is half open when
 * it has cooled down: one request then goes out as a probe and closes it, or opens it
 * again.  Any other answer is a success of the endpoint, 4xx included: the user's errors
 * never open a breaker.
 *
 * Breakers are always watched and by default only watched.  With refuses set, an open one
 * fails new calls at once with TKX_ERR_BREAKER_OPEN, before anything is sent, and lets
 * those that have begun wait: what was submitted is never given up for a breaker.
 */
#ifndef TKX_BREAKER_H
#define TKX_BREAKER_H

#include <tkx/context.h>

TKX_BEGIN_DECLS

/* Classes of routes. */
typedef enum tkx_endpoint {
    TKX_ENDPOINT_SESSION = 0, /* start-up, heartbeats; never refused */
    TKX_ENDPOINT_TRAIN,       /* submits of training calls, saves and loads */
    TKX_ENDPOINT_SAMPLE,      /* submits of samples */
    TKX_ENDPOINT_RETRIEVE,    /* polls for results; they wait and are never refused */
    TKX_ENDPOINT_REST,
    TKX_N_ENDPOINTS
} tkx_endpoint;

typedef enum tkx_breaker_state {
    TKX_BREAKER_CLOSED = 0, /* requests pass */
    TKX_BREAKER_OPEN,
    TKX_BREAKER_HALF_OPEN /* has cooled down; the next request is a probe */
} tkx_breaker_state;

/* Of all endpoints, given in tkx_context_options.  Start from
   TKX_BREAKER_OPTIONS_INIT. */
typedef struct tkx_breaker_options {
    size_t struct_size;
    int refuses;              /* 1: an open breaker fails new calls at once */
    int n_failures;           /* in a row, that open it; 0: 5 */
    int64_t window_ms;        /* within which they fall; 0: however long it takes */
    int64_t cool_down_ms;     /* open for that long; 0: 30,000 */
    int64_t max_cool_down_ms; /* it doubles with each failed probe up to this; 0: it stays
                                 the same */
} tkx_breaker_options;

#define TKX_BREAKER_OPTIONS_INIT                                                         \
    {                                                                                    \
        .struct_size = sizeof(tkx_breaker_options)                                       \
    }

/* A look at one breaker.  Start from TKX_BREAKER_INFO_INIT. */
typedef struct tkx_breaker_info {
    size_t struct_size;
    tkx_breaker_state state;
    int n_failures;       /* in a row, so far */
    int last_http_status; /* of the latest failure; 0: no answer */
    int64_t open_ms;      /* until it is half open; 0: not open */
    uint64_t n_opened;    /* how often it has opened */
    uint64_t n_refused;   /* calls that it failed */
} tkx_breaker_info;

#define TKX_BREAKER_INFO_INIT                                                            \
    {                                                                                    \
        .struct_size = sizeof(tkx_breaker_info)                                          \
    }

/**
 * How an endpoint's breaker stands.  Takes no lock; cheap enough to ask before each call.
 *
 * Thread:    any.
 * Ownership: @p info is the caller's.
 * Errors:    INVALID_ARGUMENT (no such endpoint, a struct without its size).
 */
TKX_API tkx_status tkx_breaker_look(const tkx_context *context, tkx_endpoint endpoint,
                                    tkx_breaker_info *info, tkx_error **err);

/** 1 while the breaker is open, so that a call now would be in vain.  Thread: any. */
TKX_API int tkx_breaker_is_open(const tkx_context *context, tkx_endpoint endpoint);

/** The endpoint's name in lower case, such as "sample"; never NULL.  Thread: any. */
TKX_API const char *tkx_endpoint_name(tkx_endpoint endpoint);

/** The state's name: "closed", "open" or "half open".  Thread: any. */
TKX_API const char *tkx_breaker_state_name(tkx_breaker_state state);

TKX_END_DECLS
#endif
