/* SPDX-License-Identifier: Apache-2.0 */
/* api/call_in.h - the inside of a call, for call*.c. */
#ifndef TKX_API_CALL_IN_H
#define TKX_API_CALL_IN_H

#include "api/auth.h"
#include "api/call.h"
#include "api/http_error.h"

#define TKX__CONNECT_TIMEOUT_MS 5000

struct tkx__call {
    tkx__site *site;
    tkx__call_spec spec;
    tkx__call_fn *fn;
    void *arg;
    tkx__transfer *transfer;
    tkx__timer *timer;
    tkx__secret *key; /* the one in flight */
    tkx__auth_wait wait;
    tkx__span *span; /* the spec's, or our own */
    int64_t started_ms;
    int n_sends;
    unsigned n_inner; /* resends since the call was (re)started */
    unsigned n_outer;
    int64_t sent_ms; /* the send in flight */
    bool has_replayed;
    bool was_paused; /* by billing */
    bool is_probe;   /* the send under way decides about a half-open breaker */
    char idempotency[56];
    char retry_count[12];
    tkx__header_set *common;
    tkx__header headers[4 + TKX__MAX_CALL_HEADERS];
    char url[];
};

static inline int64_t tkx__call_elapsed(const tkx__call *call)
{
    return tkx__site_now(call->site) - call->started_ms;
}

static inline bool tkx__call_past_deadline(const tkx__call *call)
{
    return call->spec.deadline_ms && tkx__site_now(call->site) >= call->spec.deadline_ms;
}

/* The end: reply is borrowed from the transport, error handed over.  The call is gone. */
void tkx__call_finish(tkx__call *call, tkx__reply *reply, tkx_error *error);
/* The facts of the latest send, for an error. */
tkx__attempt tkx__call_attempt(const tkx__call *call);
/* A new call: new idempotency key, inner count from 0. */
void tkx__call_begin_again(tkx__call *call);

/* OK: under way, or waiting for a key or a breaker. */
tkx_status tkx__call_try_send(tkx__call *call, tkx_error **err);
/* The same, or the end. */
void tkx__call_send_now(tkx__call *call);
/* What comes of it (call_reply.c). */
void tkx__call_on_reply(tkx__reply *reply, void *call);
void tkx__call_wait_for_key(tkx__call *call);
/* Send after a while, at the deadline at the latest.  False: no memory for a timer. */
bool tkx__call_send_later(tkx__call *call, int64_t delay_ms);
/* The same, or the end. */
void tkx__call_pause(tkx__call *call, int64_t delay_ms);

#endif
