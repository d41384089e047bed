/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net/io.h - what a state machine needs of the world: clock, timers, requests, workers.
 *
 * The layers above (api, client) see only this table, so tests drive them with a fake one
 * on a virtual clock.  The real one (net/loop.c) sits on libevent and libcurl.
 *
 * Thread: loop thread only, except post(), which any thread may call.
 * Callbacks run on the loop thread, never inside the call that asked for them.
 */
#ifndef TKX_NET_IO_H
#define TKX_NET_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <tkx/error.h>

/* Traffic that must not hold up other traffic: each lane has its own connections. */
typedef enum tkx__lane {
    TKX__LANE_SESSION = 0, /* config, session, heartbeat */
    TKX__LANE_TRAIN,       /* large uploads */
    TKX__LANE_SAMPLE,
    TKX__LANE_RETRIEVE, /* long polls */
    TKX__LANE_REST,
    TKX__LANE_TELEMETRY,
    TKX__N_LANES
} tkx__lane;

typedef struct tkx__header {
    const char *name;
    const char *value;
} tkx__header;

/*
 * Headers that many requests share, joined once; immutable and counted.  Optional: it
 * only saves building the same lines again for each request.  A name stands either here
 * or in the request's own headers, not in both.  Thread: any.
 */
typedef struct tkx__header_set tkx__header_set;

tkx__header_set *tkx__header_set_new(const tkx__header *headers, size_t n); /* copied */
tkx__header_set *tkx__header_set_ref(tkx__header_set *set);
void tkx__header_set_unref(tkx__header_set *set); /* wipes; accepts NULL */
size_t tkx__header_set_count(const tkx__header_set *set);
/* The i-th line, "Name: value". */
const char *tkx__header_set_line(const tkx__header_set *set, size_t i);

/*
 * A request body that can be pulled in slices and replayed.  read() copies up to n bytes
 * from offset (0 at the end, -1 on failure).  It must give the same bytes each time.
 */
typedef struct tkx__body {
    const void *bytes; /* whole body, or NULL to use read */
    size_t size_bytes; /* known in either case: sent as Content-Length */
    ssize_t (*read)(void *ctx, uint64_t offset, char *to, size_t n);
    void *ctx;
} tkx__body;

/* Everything is borrowed until the reply callback has run (or cancel has returned). */
typedef struct tkx__request {
    tkx__lane lane;
    const char *method;
    const char *url; /* absolute */
    const tkx__header *headers;
    size_t n_headers;
    tkx__header_set *common; /* more headers; NULL: none */
    const tkx__body *body;   /* NULL: none */
    int64_t timeout_ms;      /* whole exchange, body included; 0: none */
    int64_t connect_timeout_ms;
    size_t max_reply_bytes;      /* longer answers fail with LIMIT */
    size_t expected_reply_bytes; /* a guess, which costs only time when wrong; 0: none */
    bool no_redirects;
    bool fresh_connection; /* do not reuse an open connection */
} tkx__request;

/* Borrowed for the callback, except that the body may be taken (see take_body). */
typedef struct tkx__reply {
    int http_status; /* 0: no answer; error says why */
    /* NULL when there is an answer; else CONNECTION, TIMEOUT, LIMIT, PROTOCOL, IO,
       NO_MEMORY or INVALID_ARGUMENT.  tkx_error_is_retryable(): could the same request do
       better? */
    const tkx_error *error;
    const tkx__header *headers; /* names in lower case */
    size_t n_headers;
    char *body; /* NUL-terminated; NULL when empty.  Set to NULL after taking it; then the
                   taker frees it with tkx__free(). */
    size_t body_size;
    int64_t elapsed_ms;
} tkx__reply;

typedef struct tkx__transfer tkx__transfer;
typedef struct tkx__timer tkx__timer;

typedef void tkx__reply_fn(tkx__reply *reply, void *arg);
typedef void tkx__task_fn(void *arg);

/* A post in memory of the poster's: not to be touched until fn runs, which may free
   it. */
typedef struct tkx__post_node tkx__post_node;
struct tkx__post_node {
    tkx__task_fn *fn;
    void *arg;
    tkx__post_node *next;
    bool is_heap; /* freed once run */
};

typedef struct tkx__io_ops {
    int64_t (*now_ms)(void *ctx);  /* monotonic */
    int64_t (*now_us)(void *ctx);  /* the same clock, finer; NULL: there is none */
    int64_t (*wall_ms)(void *ctx); /* since 1970, UTC */
    double (*uniform)(void *ctx);  /* [0, 1) */
    bool (*in_loop)(void *ctx);    /* is this the loop thread?  Any thread may ask. */

    /* NULL when memory is short.  A timer fires once for each arm; arming again moves it;
       delay 0 fires on the next turn of the loop. */
    tkx__timer *(*timer_new)(void *ctx, tkx__task_fn *fn, void *arg);
    void (*timer_arm)(void *ctx, tkx__timer *timer, int64_t delay_ms);
    void (*timer_disarm)(void *ctx, tkx__timer *timer);
    void (*timer_free)(void *ctx, tkx__timer *timer); /* accepts NULL */

    /* Start a request; NULL (and no callback) when memory is short. */
    tkx__transfer *(*send)(void *ctx, const tkx__request *request, tkx__reply_fn *fn,
                           void *arg);
    /* Drop a request: its callback will not run. */
    void (*cancel)(void *ctx, tkx__transfer *transfer);

    /* Run on the loop thread, in order of posting.  Any thread.  False: out of memory or
       the loop has ended; fn will not run. */
    bool (*post)(void *ctx, tkx__task_fn *fn, void *arg);
    /* The same for what must not fail by want of memory.  False: the loop has ended. */
    bool (*post_node)(void *ctx, tkx__post_node *node);
    /* Run work(arg) on a worker thread, then done(arg) on the loop thread.  False:
       neither will run.  Work that has begun always ends with done, also at shutdown. */
    bool (*work)(void *ctx, tkx__task_fn *work, tkx__task_fn *done, void *arg);
    /* The same for the user's own code, on a thread where that may block, one after the
       other.  False also when no thread is to be had: never on the loop thread. */
    bool (*run_user)(void *ctx, tkx__task_fn *work, tkx__task_fn *done, void *arg);
} tkx__io_ops;

typedef struct tkx__io {
    const tkx__io_ops *ops;
    void *ctx;
} tkx__io;

/* libcurl's version, such as "7.88.1".  Static; any thread. */
const char *tkx__net_curl_version(void);
/* For Accept-Encoding: what it undoes, in fewer words than it would use itself (a byte of
   a header costs it some hundred instructions).  Static; any thread. */
const char *tkx__net_codings(void);

/* First header of that (lower-case) name, or NULL. */
const char *tkx__reply_header(const tkx__reply *reply, const char *name);

#endif
