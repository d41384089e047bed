/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/call.h - one service call with both retry layers.
 *
 * The inner layer resends one call (same idempotency key) on passing faults; the outer
 * one repeats whole calls for up to 300 s and sits out billing pauses.  Loop thread only.
 */
#ifndef TKX_API_CALL_H
#define TKX_API_CALL_H

#include "api/site.h"
#include "api/span.h"

#define TKX__INNER_RETRIES 10
#define TKX__MAX_CALL_HEADERS 6

/* Pointers are borrowed until the call has ended. */
typedef struct tkx__call_spec {
    const char *what;   /* for messages: "optim_step" */
    const char *method; /* NULL: POST */
    const char *route;  /* below /api/v1/; copied */
    tkx__lane lane;
    const tkx__body *body;
    const char *content_type;     /* NULL: application/json */
    const char *content_encoding; /* NULL: none */
    const char *accept;           /* NULL: application/json */
    const char *sdk_method;       /* "TrainingClient.forward"; NULL: background traffic */
    const char *request_type;     /* X-Tinker-Request-Type; NULL: none.  This and the four
                                     above are compared by address: static strings */
    const tkx__header *headers;   /* up to TKX__MAX_CALL_HEADERS */
    size_t n_headers;
    const char *request_id;      /* for errors */
    int64_t seq_id;              /* for errors; -1: none */
    int64_t timeout_ms;          /* of one send; 0: the site's */
    int64_t deadline_ms;         /* on the site's clock; 0: none */
    unsigned max_retries;        /* inner resends */
    bool is_outer;               /* repeat for up to 300 s */
    bool is_raw;                 /* hand over any HTTP answer, whatever its status */
    bool passes_pushback;        /* hand over 429, and 402 inside the billing window */
    bool final_409;              /* a name clash does not pass by waiting */
    bool uses_raw_credential;    /* before the token exchange */
    bool carries_key;            /* its headers hold the key already */
    bool is_after_close;         /* finish and telemetry: allowed on a closed site */
    bool takes_redirect;         /* a 3xx is the answer */
    bool outwaits_breaker;       /* an open breaker lets it wait instead of failing it */
    const char *idempotency_key; /* one for everything; NULL: made per call */
    size_t max_reply_bytes;      /* 0: 1 MiB */
    tkx__span *span;             /* what it belongs to; NULL: it is seen on its own */
    /* It waits before another send (http_status 0: there was no answer), and later sends
       again.  arg is the call's.  NULL: nobody looks. */
    void (*on_retry)(void *arg, int http_status, bool is_sending);
    size_t expected_reply_bytes; /* a guess; 0: none */
} tkx__call_spec;

typedef struct tkx__outcome {
    tkx__reply *reply; /* the last answer, NULL when there was none */
    tkx_error *error;  /* NULL: a 2xx, or what is_raw and passes_pushback let through.
                          The receiver's. */
    int n_sends;
    int64_t elapsed_ms; /* since the call began */
    int64_t last_ms;    /* of the last send alone */
} tkx__outcome;

/* Told once; the call is gone by then. */
typedef void tkx__call_fn(void *arg, tkx__outcome *outcome);

typedef struct tkx__call tkx__call;

/* Begin; fn runs later, never inside this.  On failure fn will not run.
   Errors: NO_MEMORY, CLOSED, TIMEOUT (the deadline is past). */
tkx_status tkx__call_start(tkx__site *site, const tkx__call_spec *spec, tkx__call_fn *fn,
                           void *arg, tkx__call **out, tkx_error **err);
/* fn will not run.  Accepts NULL. */
void tkx__call_cancel(tkx__call *call);

/* "<prefix><uuid4>" into out, which holds prefix + 37 bytes. */
void tkx__make_uuid(tkx__site *site, char *out, const char *prefix);

#endif
