/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/session.h - from start-up to death: configuration, session, heartbeat.
 *
 * Loop thread only, but for the counters, which any thread may draw from.
 */
#ifndef TKX_API_SESSION_H
#define TKX_API_SESSION_H

#include <stdatomic.h>

#include <tkx/types/common.h>

#include "api/site.h"

/* Strings are copied into the request at once. */
typedef struct tkx__session_options {
    const char *const *tags;
    size_t n_tags;
    const tkx_pair *metadata;
    size_t n_metadata;
    const char *project_id;   /* NULL: none */
    const char *display_name; /* NULL: none */
    bool is_sessionless;      /* configuration only: REST */
    const char *session_id;   /* one that lives already; NULL: create one */
    tkx_json_member_list extra_json;
    /* A session of before, to go on with if the service still has it; NULL: none.  It has
       been gone on with n_resumed times, this one included: its numbers begin behind all
       that may have been used. */
    const char *resume_id;
    int64_t n_resumed;
    atomic_llong
        *last_beat_ms; /* written after each beat that got through; may be NULL */
} tkx__session_options;

typedef enum tkx__session_state {
    TKX__SESSION_STARTING = 0,
    TKX__SESSION_LIVE,
    TKX__SESSION_DEAD,   /* the service ended it */
    TKX__SESSION_FAILED, /* start-up did not succeed */
    TKX__SESSION_STOPPED
} tkx__session_state;

typedef struct tkx__session tkx__session;

/* Ready, or failed: error is the receiver's.  Told once. */
typedef void tkx__session_fn(void *arg, tkx_error *error);

tkx_status tkx__session_start(tkx__site *site, const tkx__session_options *options,
                              tkx__session_fn *fn, void *arg, tkx__session **out,
                              tkx_error **err);
/* Stop heartbeat and refresh; fn will not run any more. */
void tkx__session_stop(tkx__session *session);
void tkx__session_free(tkx__session *session); /* accepts NULL */

/* POST sessions/ID/finish; done() always runs, with what went wrong (a server without the
   route did not), unless it returns false: nothing was sent.  The session is stopped. */
bool tkx__session_finish(tkx__session *session, const char *reason, const char *detail,
                         int64_t deadline_ms,
                         void (*done)(void *arg, const tkx_error *error), void *arg);

const char *tkx__session_id(const tkx__session *session); /* NULL before it is live */
tkx__session_state tkx__session_get_state(const tkx__session *session);
/* OK when submissions make sense; SESSION_DEAD or CLOSED with the reason otherwise. */
tkx_status tkx__session_check(const tkx__session *session, tkx_error **err);

/* Numbers that are never used twice.  Any thread. */
int64_t tkx__session_next_model(tkx__session *session);
int64_t tkx__session_next_sampler(tkx__session *session);
int64_t tkx__session_next_custom_loss(tkx__session *session);

#endif
