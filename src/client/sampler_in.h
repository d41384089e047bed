/* SPDX-License-Identifier: Apache-2.0 */
/* client/sampler_in.h - the inside of a sampler, for sampler*.c alone. */
#ifndef TKX_CLIENT_SAMPLER_IN_H
#define TKX_CLIENT_SAMPLER_IN_H

#include <stdatomic.h>

#include <tkx/sampler.h>

#include "api/reach.h"
#include "base/arena.h"
#include "client/context.h"
#include "client/future.h"

typedef struct sampler_call sampler_call;

typedef enum call_state {
    CALL_SESSION = 0,
    CALL_REMOTE,
    CALL_ASKING,
    CALL_LOCAL
} call_state;

/* One request. */
struct sampler_call {
    tkx_sampler *sampler; /* counted */
    tkx_future *future;   /* our reference */
    tkx__post_node beginning;
    sampler_call *next, *prev;
    bool is_listed;
    call_state state;
    tkx__arena arena; /* of the request */
    tkx_sample_request request;
    tkx_local_sample_options local_only;
    bool is_scoring; /* compute_logprobs */
    tkx_future *inner;
    struct inner_watch *watch; /* on it */
    tkx__timer *deadline;
    int64_t timeout_ms;
    const char *reason;
    tkx_error *remote_error; /* why the service did not answer */
};

struct tkx_sampler {
    atomic_uint n_refs; /* the user's, each open call's, a creation's */
    tkx__post_node letting_go;
    tkx_sampler_mode mode;
    tkx_context *context;
    bool owns_context;
    const tkx__io *io;
    tkx_service *service; /* counted; NULL: local only */
    tkx_local *local;     /* NULL: remote only */
    const tkx_local_adapter *adapter;
    char *base_model;
    char *model_path;

    struct {                    /* loop thread only */
        tkx_sampling *sampling; /* NULL: none yet */
        tkx_future *creation;   /* of one, under way */
        sampler_call *calls;    /* open ones */
        tkx__reach_watch watch;
        bool is_watching;
        bool is_released; /* the user has let go */
        bool is_away;     /* auto: the last answer was the local one */
    } loop;
};

tkx_sampler *tkx__either_ref(tkx_sampler *sampler);
void tkx__either_unref(tkx_sampler *sampler);

/* Loop thread.  Make a sampling session, unless one is being made; calls that wait are
   told through tkx__either_session(). */
tkx_status tkx__either_make_session(tkx_sampler *sampler, tkx_error **err);
/* A call has ended: nobody may be left who needs what is under way. */
void tkx__either_call_ended(tkx_sampler *sampler);

/* ---- sampler_call.c, loop thread ---- */

/* Ask whoever should be asked; what is posted when a call is made. */
void tkx__either_begin(void *call);
/* The user cancels, or the context closes. */
tkx__future_end_fn tkx__either_given_up;
/* The end, without an answer; the error is taken. */
void tkx__either_fail(sampler_call *call, tkx_error *error);

/* The session is there (error NULL) or could not be made (borrowed). */
void tkx__either_session(tkx_sampler *sampler, const tkx_error *error);
/* The service cannot be reached, or is to be left alone: what waits for it may be
   answered here. */
void tkx__either_lost(void *sampler, bool is_breaker);

/* ---- sampler_request.c ---- */

/* Everything that the request points to, copied into the arena; false: out of memory. */
bool tkx__either_copy_request(tkx__arena *arena, const tkx_sample_request *from,
                              tkx_sample_request *to);
/* Is it of a kind that the local engine computes? */
bool tkx__either_is_text(const tkx_sample_request *request);

/* ---- sampler_result.c ---- */

extern const tkx__result_type tkx__result_either;

/* Which side answered and why; of a remote answer mode is ignored. */
tkx_sample_label tkx__either_label(const tkx_sampler *sampler, bool is_local,
                                   tkx_logprob_mode mode, const char *reason);
/* A failure that may mean that the service does not offer the model any more. */
bool tkx__either_may_be_retired(const tkx_error *error);
/* Does the answer say so?  model may be NULL: then nobody can tell. */
bool tkx__either_is_retired(const tkx_server_capabilities *answer, const char *model);

#endif
