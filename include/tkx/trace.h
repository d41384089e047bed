/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tkx/trace.h - traces: the client's own view in a file, and W3C trace context on the
 * wire.
 *
 * The file is Chrome's trace-event JSON, for ui.perfetto.dev or chrome://tracing: a row
 * for each operation that was open at once; on it what the operation was doing (queued,
 * encode, submit, wait, decode, back off), and in that each request and each pause with
 * its reason.  Arrows lead from a call to its chunks and from a submit to its polls.  It
 * holds no prompts, no results and no credentials.
 */
#ifndef TKX_TRACE_H
#define TKX_TRACE_H

#include <tkx/context.h>

TKX_BEGIN_DECLS

/* Given in tkx_context_options.  Start from TKX_TRACE_OPTIONS_INIT.  Everything is
   copied. */
typedef struct tkx_trace_options {
    size_t struct_size;
    const char *path;        /* the file, written anew; NULL: none */
    uint64_t max_bytes;      /* of the file, nothing new is begun beyond; 0: 256 MiB */
    const char *traceparent; /* W3C: the trace that requests belong to; NULL: none */
    const char *tracestate;  /* sent along as it is; NULL: none */
    int generates_context; /* 1: operations that belong to no given trace get one each */
} tkx_trace_options;

#define TKX_TRACE_OPTIONS_INIT                                                           \
    {                                                                                    \
        .struct_size = sizeof(tkx_trace_options)                                         \
    }

/**
 * Operations called from now on belong to this trace: their requests carry its trace id,
 * flags and tracestate, and a parent id of their own.  The id stands in errors
 * (tkx_error_trace_id) and in the trace file.
 *
 * An operation takes the context when it begins on the loop: all that are called after
 * this belong to the new trace, and so may those called shortly before that have not
 * begun yet.
 *
 * Thread:    any.
 * Ownership: both strings are borrowed for the call; @p traceparent NULL: none from here.
 * Errors:    INVALID_ARGUMENT (no traceparent, or a state that no header may hold),
 *            INVALID_STATE (the context was made without trace options), NO_MEMORY.
 */
TKX_API tkx_status tkx_trace_set_parent(tkx_context *context, const char *traceparent,
                                        const char *tracestate, tkx_error **err);

TKX_END_DECLS
#endif
