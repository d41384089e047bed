/* SPDX-License-Identifier: Apache-2.0 */
/* client/resume_report.h - what a resume tells, and the object of its future. */
#ifndef TKX_CLIENT_RESUME_REPORT_H
#define TKX_CLIENT_RESUME_REPORT_H

#include "base/arena.h"
#include "client/attach.h"

/* A report that owns what it shows.  Fields with a copy are set by functions. */
typedef struct tkx__report {
    tkx_resume_report shown; /* first: what the user holds */
    tkx__arena arena;
    tkx_resumed_call *calls;
    void **results; /* [n_results] of calls, with who frees them */
    void (**free_results)(void *result);
    tkx_error **errors; /* [n_errors] */
    size_t n_results, n_errors;
} tkx__report;

tkx__report *tkx__report_new(void);
/* NULL stays NULL.  False: no memory. */
bool tkx__report_text(tkx__report *report, const char **to, const char *text);
/* The calls behind parts[n] that nobody was told of; takes their results. */
tkx_status tkx__report_calls(tkx__report *report, tkx__attached *parts, size_t n,
                             tkx_error **err);

#endif
