/* SPDX-License-Identifier: Apache-2.0 */
/* api/session_in.h - the inside of a session, for session*.c. */
#ifndef TKX_API_SESSION_IN_H
#define TKX_API_SESSION_IN_H

#include "api/call.h"
#include "api/session.h"
#include "base/buf.h"

struct tkx__session {
    tkx__site *site;
    tkx__session_fn *fn;
    void *arg;
    tkx__session_state state;
    bool is_sessionless;
    bool is_adopted; /* somebody else's session, who also finishes it */
    char *id;
    char *resume_id;    /* NULL: none, or the service has it no more */
    tkx__call *call;    /* of the start-up, one at a time */
    tkx__call *beat;    /* heartbeat under way */
    tkx__call *refresh; /* dynamic configuration under way */
    tkx__call *finish;
    void (*finish_fn)(void *arg, const tkx_error *error);
    void *finish_arg;
    tkx__timer *beat_timer;
    tkx__timer *refresh_timer;
    int64_t last_beat_ms; /* -1: none */
    atomic_llong *shown_beat_ms;
    int64_t warned_ms; /* -1: not in this row of failures */
    tkx__buf version_body, create_body, beat_body, finish_body;
    tkx__body version, create, beat_request, finish_request;
    tkx_error *death; /* why it is dead */
    atomic_llong next_model, next_sampler, next_custom_loss;
};

static inline void tkx__session_fix_body(tkx__body *body, const tkx__buf *buf)
{
    *body = (tkx__body){.bytes = tkx__buf_text(buf), .size_bytes = buf->size};
}

/* The body of the first beat, and of all that follow; false: no memory. */
bool tkx__session_write_beat(tkx__session *s, const char *id);
/* What start-up and life both ask. */
tkx__call_spec tkx__session_beat_spec(const tkx__session *s);
tkx__call_spec tkx__session_dynamic_spec(const tkx__session *s);

/* Start-up is over: from here on it beats, unless it is sessionless, and refreshes its
   configuration. */
tkx_status tkx__session_begin_life(tkx__session *s, tkx_error **err);

#endif
