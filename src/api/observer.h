/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/observer.h - who looks at the spans of a context, and what it was asked to do.
 */
#ifndef TKX_API_OBSERVER_H
#define TKX_API_OBSERVER_H

#include "api/metrics.h"
#include "api/span.h"
#include "api/trace_file.h"
#include "api/trace_ids.h"

typedef struct tkx__observer_options {
    tkx__io io;
    bool has_metrics;
    bool generates_ids;              /* a trace of its own for each operation */
    const tkx__trace_ids *given_ids; /* NULL: none */
    tkx__trace_file *trace_file;     /* taken on success; NULL: none */
} tkx__observer_options;

/* NULL: out of memory. */
tkx__observer *tkx__observer_new(const tkx__observer_options *options);
/* No span may be open.  Accepts NULL. */
void tkx__observer_free(tkx__observer *observer);

/* NULL: none are kept.  Any thread may read them. */
tkx__metrics *tkx__observer_metrics(tkx__observer *observer);
/* Operations that begin from now on belong to that trace; NULL: to none that was given.
   Any thread.  False: out of memory. */
bool tkx__observer_set_ids(tkx__observer *observer, const tkx__trace_ids *ids);

#endif
