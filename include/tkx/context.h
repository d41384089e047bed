/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tkx/context.h - the place where everything runs: one loop, its connections and workers.
 *
 * A context owns one loop thread, or none when the caller lends an event_base: then
 * nothing of tkx runs but inside that loop (and the worker threads that encode large
 * bodies, unless n_workers is -1).  Several contexts may live side by side.  A context
 * must not be used in a child after fork() without exec().
 */
#ifndef TKX_CONTEXT_H
#define TKX_CONTEXT_H

#include <stddef.h>
#include <stdint.h>

#include <tkx/error.h>
#include <tkx/log.h>

TKX_BEGIN_DECLS

struct event_base; /* libevent's */
struct tkx_future;

typedef struct tkx_context tkx_context;

/*
 * An operation has not completed for stuck_after_ms; told again when twice, four times,
 * ... as much has passed.  Nothing is wrong for certain: a full service makes everybody
 * wait.  tkx_future_describe() has the whole history.
 *
 * Thread:    loop thread, no tkx lock held; may call any tkx function, must not block.
 * Ownership: @p future is borrowed.
 */
typedef void tkx_stuck_fn(struct tkx_future *future, void *user_data);

/*
 * Start from TKX_CONTEXT_OPTIONS_INIT.  Everything is copied, but for event_base, which
 * must outlive the context.
 */
typedef struct tkx_context_options {
    size_t struct_size;
    const char *base_url; /* NULL: TINKER_BASE_URL, else the hosted service */
    const char *api_key;  /* NULL: TINKER_API_KEY, else none; never logged, wiped when
                             freed */
    struct event_base *event_base; /* NULL: a loop thread of our own */
    tkx_log_fn *log_fn;            /* NULL: silent */
    void *log_user_data;
    tkx_log_level max_log_level;
    int n_workers; /* threads for large bodies, started when first needed; 0: 2; -1: none,
                      such work then runs on the loop thread */
    const char *ca_file; /* PEM, instead of the system's authorities; NULL: SSL_CERT_FILE,
                            else the system's */
    const char *proxy;   /* URL; NULL: http(s)_proxy of the environment; "": none */
    const char *no_proxy; /* comma list of hosts; NULL: no_proxy of the environment */
    int64_t connect_timeout_ms;       /* 0: 5,000 */
    const char *user_agent;           /* appended to ours after a blank; NULL: nothing */
    const char *const *extra_headers; /* "Name: value", sent with every request and
                                         winning over our own of that name */
    size_t n_extra_headers;
    size_t max_reply_bytes;  /* longer answers fail with LIMIT; 0: 1 GiB */
    size_t max_connections;  /* per lane and host; 0: as the open requests need */
    int is_http1_only;       /* 1: never HTTP/2 */
    int64_t call_timeout_ms; /* of every call to the service without a limit of its own;
                                0: none */
    int64_t stuck_after_ms;  /* 0: 300,000; -1: nobody looks */
    tkx_stuck_fn *on_stuck;  /* NULL: only logged, as a warning */
    void *stuck_user_data;
    const struct tkx_breaker_options *breaker;   /* tkx/breaker.h; NULL: only watched */
    const struct tkx_metrics_options *metrics;   /* tkx/metrics.h; NULL: nothing counts */
    const struct tkx_trace_options *trace;       /* tkx/trace.h; NULL: none */
    const struct tkx_record_options *record;     /* tkx/record.h; NULL: neither */
    const struct tkx_limiter_options *limiter;   /* tkx/limiter.h; NULL: its defaults */
    const struct tkx_spending_options *spending; /* tkx/spending.h; NULL: not counted */
} tkx_context_options;

#define TKX_CONTEXT_OPTIONS_INIT                                                         \
    {                                                                                    \
        .struct_size = sizeof(tkx_context_options), .max_log_level = TKX_LOG_INFO        \
    }

/**
 * Make a context.  Sends nothing.
 *
 * Thread:    any; with an event_base the thread that runs it, before or between its
 *            turns.
 * Ownership: @p options is borrowed (NULL: all defaults); @p out is the caller's,
 *            tkx_context_free().
 * Errors:    INVALID_ARGUMENT (a base_url that is no http(s) URL, a header that is none),
 *            NO_MEMORY, IO (no thread or descriptor to be had).
 */
TKX_API tkx_status tkx_context_new(const tkx_context_options *options, tkx_context **out,
                                   tkx_error **err);

/* Flags of tkx_context_close(). */
#define TKX_CLOSE_DRAIN 1u /* let work in flight finish first, until the deadline */

/**
 * Stop taking work and end what is in flight: every pending future completes with CLOSED
 * (or with its result, when TKX_CLOSE_DRAIN gave it the time).  Sessions are told that
 * they are finished if the deadline allows; that part and telemetry never take more than
 * 2 s unless TKX_CLOSE_DRAIN is given.
 *
 * Thread:    any but the loop thread.  Calling it again is harmless.  With a lent
 *            event_base: the thread that runs it, outside its callbacks; the base is run
 *            from here until all is ended.
 * Units:     @p deadline_ms from now; negative: as long as it takes.
 * Errors:    WOULD_BLOCK on the loop thread; TIMEOUT when draining was cut short (the
 *            context is closed all the same).
 */
TKX_API tkx_status tkx_context_close(tkx_context *context, unsigned flags,
                                     int64_t deadline_ms, tkx_error **err);

/**
 * Close without draining, if still open, and free.  Clients made from the context must
 * have been freed before; futures may outlive it.  On the loop thread it does nothing but
 * log an error, since the thread cannot end itself.
 *
 * Thread:    any but the loop thread.  Accepts NULL.
 */
TKX_API void tkx_context_free(tkx_context *context);

/** Is the calling thread the context's loop thread?  Thread: any. */
TKX_API int tkx_context_is_loop_thread(const tkx_context *context);

TKX_END_DECLS
#endif
