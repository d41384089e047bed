/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client/service.h - what training and sampling clients need of their service.
 *
 * Counted: the user's handle, each client made from it and each operation in flight hold
 * one.  It is taken apart on the loop thread (or, when that has ended, where the last
 * reference goes).
 */
#ifndef TKX_CLIENT_SERVICE_H
#define TKX_CLIENT_SERVICE_H

#include <stdatomic.h>

#include <tkx/service.h>

#include "api/auth.h"
#include "api/session.h"
#include "api/site.h"
#include "client/context.h"
#include "client/future.h"

/* Somebody who waits for the start; embedded in the waiter. */
typedef struct tkx__ready_wait {
    struct tkx__ready_wait *next;
    void (*fn)(void *arg, const tkx_error *error); /* NULL: ready; error is borrowed */
    void *arg;
} tkx__ready_wait;

struct tkx__dispatch;

struct tkx_service {
    atomic_uint n_refs;
    tkx__post_node disposal;
    tkx_context *context;
    const tkx__io *io;
    tkx__site *site; /* set once */
    tkx_service_options options;
    char **texts; /* copies of the options' strings */
    size_t n_texts;
    _Atomic(const char *) session_id;
    struct tkx__telemetry *telemetry; /* NULL: off */
    atomic_llong last_beat_ms;        /* -1: none */
    struct {
        tkx__auth *auth;
        tkx__session *session;
        bool is_starting;
        bool has_closer;
        bool is_stopped;   /* the context has closed */
        bool is_finishing; /* nobody holds it any more; last words are being said */
        int n_last_words;  /* under way: finish, telemetry */
        void (*said)(tkx_service *service);
        tkx__ready_wait *waiters;
        tkx__ready_wait **waiters_tail;
        char *resume_id; /* a session of before to go on with; NULL: none */
        int64_t n_resumed;
        struct tkx__dispatch *dispatch; /* limits that all sampling clients share */
        tkx__closer closer;
    } loop;
};

tkx_service *tkx__service_ref(tkx_service *service);
void tkx__service_unref(tkx_service *service);

/* Run fn when the session is live, or with the reason why it is not; starts it if need
   be.  May run fn at once.  Loop thread. */
void tkx__service_when_ready(tkx_service *service, tkx__ready_wait *wait,
                             void (*fn)(void *arg, const tkx_error *error), void *arg);

/* Go on with a session of before, for the n-th time, if the service still has it.  False:
   another session is open (or memory is short): err says which.  Loop thread. */
bool tkx__service_resume(tkx_service *service, const char *session_id, int64_t n_resumed,
                         tkx_error **err);

/* Post to the loop thread.  CLOSED or NO_MEMORY when it cannot be done. */
tkx_status tkx__service_post(tkx_service *service, tkx__task_fn *fn, void *arg,
                             tkx_error **err);

/* Free something that lives on the loop thread, from any thread. */
void tkx__service_dispose(tkx_service *service, tkx__post_node *node, tkx__task_fn *fn,
                          void *arg);

/* Copy options and fill them up from the environment.  False: out of memory. */
bool tkx__service_copy_options(tkx_service *service, const tkx_service_options *from);
/* Headers of every request: the context's, the client's, passes of a proxy.  NULL: out of
   memory, or one that is none. */
tkx__header *tkx__service_headers(tkx_service *service,
                                  const tkx_context_options *context, size_t *n);
/* Whether telemetry is wanted. */
bool tkx__service_wants_telemetry(const tkx_service_options *options);

/* An operation has failed: telemetry, if it is on. */
void tkx__service_note_failure(tkx_service *service, const char *what,
                               const tkx_error *error);

/* Futures without a result: start, cancel. */
extern const tkx__result_type tkx__result_nothing;

#endif
