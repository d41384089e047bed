/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client/context.h - what handles and operations need of their context.
 *
 * Closing, on the loop thread, in order: the context is marked closed (no new futures);
 * with DRAIN the pending futures are waited for; closers get their start(), latest first,
 * and may send last requests until each called done() or the deadline passes; every
 * pending future ends with CLOSED; closers get their stop(), latest first, where they
 * free timers and drop transfers; then the loop ends.
 */
#ifndef TKX_CLIENT_CONTEXT_H
#define TKX_CLIENT_CONTEXT_H

#include <stdbool.h>

#include <tkx/context.h>

#include "base/log.h"
#include "net/io.h"

/* Valid until tkx_context_free(); any thread. */
const tkx__io *tkx__context_io(const tkx_context *context);
const tkx__log *tkx__context_log(const tkx_context *context);
/* Resolved: base_url without trailing slashes, api_key from the environment if need be;
   strings are the context's own. */
const tkx_context_options *tkx__context_options(const tkx_context *context);
struct tkx__breakers *tkx__context_breakers(const tkx_context *context);
/* Is it "Name: value", in one line? */
bool tkx__context_is_header(const char *line);
struct tkx__limiter *tkx__context_limiter(const tkx_context *context);
/* NULL: not counted. */
struct tkx__spending *tkx__context_spending(const tkx_context *context);
/* NULL: nobody looks. */
struct tkx__observer *tkx__context_observer(const tkx_context *context);
struct tkx__observation *tkx__context_observation(const tkx_context *context);
bool tkx__context_is_closed(const tkx_context *context);

/* Operations are under way: look from time to time for those that stand still.  Loop
   thread; cheap to call often. */
void tkx__context_watch(tkx_context *context);
/* The latest send that failed and is repeated (copied), and it again, as a copy for the
   cause of an error, unless it is older than since_ms.  Any thread. */
void tkx__context_note_trouble(tkx_context *context, const tkx_error *error);
tkx_error *tkx__context_last_trouble(tkx_context *context, int64_t since_ms);

/*
 * Something that has to be told when the context closes, such as a session.  The struct
 * is the owner's; on the loop thread only.  Removing it is allowed at any time, also from
 * inside its own functions, and on any thread once the loop has ended (post() refuses).
 * Nothing may be added to a closed context: false, and it was not added.
 */
typedef struct tkx__closer tkx__closer;
struct tkx__closer {
    /* Last requests; NULL: nothing to send.  Call tkx__closer_done() when ended, at once
       or later. */
    void (*start)(tkx__closer *closer, int64_t deadline_ms);
    /* The end: drop transfers, timers and what was waiting.  Runs once. */
    void (*stop)(tkx__closer *closer);
    tkx__closer *prev, *next; /* the context's */
    tkx_context *context;
    int state;
};

bool tkx__context_add_closer(tkx_context *context, tkx__closer *closer);
void tkx__context_remove_closer(tkx__closer *closer);
void tkx__closer_done(tkx__closer *closer);

/*
 * A context on a given io, for tests: no loop thread of its own.  tkx_context_close()
 * ends everything inside the call, leaving out drain and farewells; to see those, begin
 * the close here, answer what is sent, and look at is_ended.
 */
tkx_status tkx__context_new_on(const tkx_context_options *options, const tkx__io *io,
                               tkx_context **out, tkx_error **err);
void tkx__context_begin_close(tkx_context *context, unsigned flags, int64_t deadline_ms);
bool tkx__context_is_ended(const tkx_context *context);

#endif
