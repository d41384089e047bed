/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/poll.h - follow one server-side promise until it settles.  Loop thread only.
 */
#ifndef TKX_API_POLL_H
#define TKX_API_POLL_H

#include "api/site.h"
#include "api/span.h"

/* The bytes of a result, for a decoder; maybe on a worker thread. */
typedef struct tkx__payload {
    const char *bytes; /* NUL-terminated; "" when empty */
    size_t size;
    bool is_protobuf;
} tkx__payload;

typedef enum tkx__poll_event_kind {
    TKX__POLL_ROUND = 0, /* a round begins */
    TKX__POLL_ANSWER,    /* http_status, bytes */
    TKX__POLL_QUEUE,     /* queue_state, reason (either may be NULL) */
    TKX__POLL_BACKOFF,   /* waits, http_status says why (0: no answer) */
    TKX__POLL_PAUSED,    /* billing */
    TKX__POLL_FETCHING   /* the result is ready, its payload is on its way */
} tkx__poll_event_kind;

typedef struct tkx__poll_event {
    tkx__poll_event_kind kind;
    int http_status;
    size_t bytes;
    const char *queue_state;
    const char *reason;
    bool is_stated; /* a state that nobody knows is one all the same */
} tkx__poll_event;

typedef struct tkx__poll_spec {
    const char *what;         /* "sample"; static */
    const char *request_id;   /* copied */
    const char *request_type; /* "Sample"; static */
    const char *sdk_method;   /* static, NULL: none */
    bool wants_protobuf;
    bool no_metadata_first;      /* the payload is fetched at once */
    int64_t seq_id;              /* -1: none */
    int64_t roundtrip_us;        /* from the submit to its promise; -1: unknown */
    int64_t deadline_ms;         /* on the site's clock; 0: none */
    int64_t announced_bytes;     /* reserved before the first round; 0: none */
    size_t max_reply_bytes;      /* 0: 1 GiB */
    size_t expected_reply_bytes; /* a guess for unannounced results; 0: none */
    /* Result to object; NULL with err on failure. */
    void *(*decode)(const tkx__payload *payload, void *decode_arg, tkx_error **err);
    void *decode_arg; /* outlives the poll */
    void (*free_result)(void *result);
    void (*on_event)(void *arg, const tkx__poll_event *event); /* NULL: nobody looks */
    tkx__span *span; /* of the operation, lives as long as the poll; NULL: none */
} tkx__poll_spec;

/* The end, told once; the poll is gone by then.  Both are the receiver's. */
typedef void tkx__poll_fn(void *arg, void *result, tkx_error *error);

typedef struct tkx__poll tkx__poll;

tkx_status tkx__poll_start(tkx__site *site, const tkx__poll_spec *spec, tkx__poll_fn *fn,
                           void *arg, tkx__poll **out, tkx_error **err);
/* fn will not run.  Accepts NULL. */
void tkx__poll_cancel(tkx__poll *poll);

#endif
