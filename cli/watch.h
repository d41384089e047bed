/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch.h - the options with which a command is watched: metrics, trace, recording,
 * budget.
 */
#ifndef CLI_WATCH_H
#define CLI_WATCH_H

#include <tkx/limiter.h>
#include <tkx/metrics.h>
#include <tkx/record.h>
#include <tkx/spending.h>
#include <tkx/trace.h>

#include "args.h"

typedef struct cli_watch {
    const char *metrics_path;
    const char *trace_path;
    const char *traceparent;
    const char *record_path;
    const char *replay_path;
    const char *prices_path;
    long long budget_tokens; /* 0: none */
    double budget_cost;      /* 0: none */
    /* what a context is made from */
    tkx_metrics_options metrics;
    tkx_trace_options trace;
    tkx_record_options record;
    tkx_spending_options spending;
} cli_watch;

/* Write the rows at @p rows; returns the place after them. */
cli_option *cli_watch_options(cli_watch *watch, cli_option *rows);

/* Put into the context's options what was asked for.  CLI_OK, or CLI_USAGE after saying
   why.  The watch must outlive tkx_context_new(). */
int cli_watch_apply(cli_watch *watch, tkx_context_options *options);

/* On stderr, when prices or a budget were given: tokens and cost so far. */
void cli_watch_report(const cli_watch *watch, const tkx_context *context);

#endif
