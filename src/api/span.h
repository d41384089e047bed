/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/span.h - the hooks through which a client's own view of its work is seen: metrics,
 * local trace, trace context.
 *
 *     span       an operation, or one part (chunk) of it, or a call that stands alone
 *       phase    what it is doing: queued for its turn, encoding, submitting, waiting ...
 *         request, pause   at most one at a time: a send up to its answer, a back-off
 *
 * A span is NULL when nobody looks, and then each hook is one test.  Loop thread only,
 * but for tkx__span_trace_id().
 */
#ifndef TKX_API_SPAN_H
#define TKX_API_SPAN_H

#include "net/io.h"

typedef enum tkx__phase {
    TKX__PHASE_NONE = 0,
    TKX__PHASE_TURN,   /* queued behind other operations of its model */
    TKX__PHASE_SLOT,   /* ... for a slot of the sampler */
    TKX__PHASE_GATE,   /* ... for the dispatch limits */
    TKX__PHASE_BYTES,  /* ... for the budget of bytes on their way */
    TKX__PHASE_RECORD, /* being written to the journal */
    TKX__PHASE_ENCODE,
    TKX__PHASE_SUBMIT,
    TKX__PHASE_WAIT,  /* the service has it */
    TKX__PHASE_ROOM,  /* the result waits until there is memory for it */
    TKX__PHASE_FETCH, /* the result is on its way */
    TKX__PHASE_DECODE,
    TKX__PHASE_BACK_OFF,
    TKX__PHASE_BILLING,
    TKX__N_PHASES
} tkx__phase;

const char *tkx__phase_name(tkx__phase phase); /* static */

typedef struct tkx__observer tkx__observer;
typedef struct tkx__span tkx__span;

typedef struct tkx__span_spec {
    const char *what; /* static: "optim_step" */
    tkx__lane lane;
    tkx__span *parent; /* of a part; NULL: none */
    int64_t seq_id;    /* -1: none */
} tkx__span_spec;

/* NULL when memory is short.  Use the macro-like functions below. */
tkx__span *tkx__observer_begin(tkx__observer *observer, const tkx__span_spec *spec);
void tkx__span_do_enter(tkx__span *span, tkx__phase phase);
void tkx__span_do_end(tkx__span *span, const tkx_error *error, bool has_ended_well);
void tkx__span_do_send(tkx__span *span, tkx__lane lane, const char *route,
                       size_t body_bytes, int n_sends);
void tkx__span_do_reply(tkx__span *span, const tkx__reply *reply);
void tkx__span_do_pause(tkx__span *span, const tkx__reply *why, int64_t delay_ms);
void tkx__span_do_promise(tkx__span *span, const char *request_id);

static inline tkx__span *tkx__span_begin(tkx__observer *observer,
                                         const tkx__span_spec *spec)
{
    return observer ? tkx__observer_begin(observer, spec) : NULL;
}

/* From one phase to the next; the same again is no change. */
static inline void tkx__span_enter(tkx__span *span, tkx__phase phase)
{
    if (span)
        tkx__span_do_enter(span, phase);
}

/* The end.  error NULL and not well: dropped, nobody waits.  *span becomes NULL. */
static inline void tkx__span_end(tkx__span **span, const tkx_error *error,
                                 bool has_ended_well)
{
    if (*span)
        tkx__span_do_end(*span, error, has_ended_well);
    *span = NULL;
}

/* A request goes out; its answer (NULL: it was dropped); a wait before the next. */
static inline void tkx__span_send(tkx__span *span, tkx__lane lane, const char *route,
                                  size_t body_bytes, int n_sends)
{
    if (span)
        tkx__span_do_send(span, lane, route, body_bytes, n_sends);
}

static inline void tkx__span_reply(tkx__span *span, const tkx__reply *reply)
{
    if (span)
        tkx__span_do_reply(span, reply);
}

static inline void tkx__span_pause(tkx__span *span, const tkx__reply *why,
                                   int64_t delay_ms)
{
    if (span)
        tkx__span_do_pause(span, why, delay_ms);
}

/* The submit's answer: the service calls it so. */
static inline void tkx__span_promise(tkx__span *span, const char *request_id)
{
    if (span)
        tkx__span_do_promise(span, request_id);
}

/*
 * The headers of the request that is about to be sent; after tkx__span_send().  Returns
 * how many (0 to 2) it wrote; they stay until the next one.
 */
size_t tkx__span_headers(tkx__span *span, tkx__header *to);
/* 32 hexadecimal digits, or NULL.  Any thread while the span lives. */
const char *tkx__span_trace_id(const tkx__span *span);

#endif
