/* SPDX-License-Identifier: Apache-2.0 */
/* watch.c - see watch.h. */
#include "watch.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "output.h"

cli_option *cli_watch_options(cli_watch *w, cli_option *rows)
{
    const cli_option ours[] = {
        {"metrics", CLI_STRING, &w->metrics_path, "FILE",
         "write counters and latencies as Prometheus text", 0, 0, NULL},
        {"trace", CLI_STRING, &w->trace_path, "FILE",
         "write what the client does, for ui.perfetto.dev", 0, 0, NULL},
        {"traceparent", CLI_STRING, &w->traceparent, "ID",
         "the W3C trace that requests belong to; new: one for each operation", 0, 0,
         NULL},
        {"record", CLI_STRING, &w->record_path, "FILE",
         "write all exchanges with the service, without secrets", 0, 0, NULL},
        {"replay", CLI_STRING, &w->replay_path, "FILE",
         "answer from such a file, without a network", 0, 0, NULL},
        {"prices", CLI_STRING, &w->prices_path, "FILE",
         "count costs by this table (see tkx(1))", 0, 0, NULL},
        {"budget-tokens", CLI_INTEGER, &w->budget_tokens, "N",
         "stop before more tokens are used", 1, INT64_MAX, NULL},
        {"budget-cost", CLI_NUMBER, &w->budget_cost, "X",
         "stop before more is spent, in the currency of --prices", 0, 0, NULL},
    };

    return cli_options_add(rows, ours, sizeof ours / sizeof *ours);
}

static int check(const cli_watch *w)
{
    if (w->record_path && w->replay_path) {
        cli_error("--record and --replay exclude each other");
        return CLI_USAGE;
    }
    if (w->budget_cost < 0) {
        cli_error("--budget-cost %g: expected more than 0", w->budget_cost);
        return CLI_USAGE;
    }
    if (w->budget_cost > 0 && !w->prices_path) {
        cli_error("--budget-cost needs --prices FILE");
        return CLI_USAGE;
    }
    return CLI_OK;
}

static int counts_spending(const cli_watch *w)
{
    return w->prices_path || w->budget_tokens > 0 || w->budget_cost > 0;
}

int cli_watch_apply(cli_watch *w, tkx_context_options *options)
{
    int is_new = w->traceparent && strcmp(w->traceparent, "new") == 0;

    if (check(w) != CLI_OK)
        return CLI_USAGE;
    w->metrics = (tkx_metrics_options)TKX_METRICS_OPTIONS_INIT;
    w->trace = (tkx_trace_options)TKX_TRACE_OPTIONS_INIT;
    w->record = (tkx_record_options)TKX_RECORD_OPTIONS_INIT;
    w->spending = (tkx_spending_options)TKX_SPENDING_OPTIONS_INIT;
    w->metrics.path = w->metrics_path;
    w->trace.path = w->trace_path;
    w->trace.traceparent = is_new ? NULL : w->traceparent;
    w->trace.generates_context = is_new;
    w->record.record_path = w->record_path;
    w->record.replay_path = w->replay_path;
    w->spending.prices_path = w->prices_path;
    w->spending.max_tokens = w->budget_tokens;
    w->spending.max_cost = w->budget_cost;
    if (w->metrics_path)
        options->metrics = &w->metrics;
    if (w->trace_path || w->traceparent)
        options->trace = &w->trace;
    if (w->record_path || w->replay_path)
        options->record = &w->record;
    if (counts_spending(w))
        options->spending = &w->spending;
    return CLI_OK;
}

void cli_watch_report(const cli_watch *w, const tkx_context *context)
{
    tkx_spending_info info = TKX_SPENDING_INFO_INIT;
    const char *between = "";

    if (!counts_spending(w) || !context ||
        tkx_spending_look(context, &info, NULL) != TKX_OK)
        return;
    fputs("tokens: ", stderr);
    for (int i = 0; i < TKX_N_TOKEN_KINDS; i++)
        if (info.n_tokens[i] > 0) {
            fprintf(stderr, "%s%" PRId64 " %s", between, info.n_tokens[i],
                    tkx_token_kind_name((tkx_token_kind)i));
            between = ", ";
        }
    fputs(*between ? "" : "none", stderr);
    if (info.currency[0])
        fprintf(stderr, "; cost: %.6g %s", info.cost, info.currency);
    if (info.currency[0] && info.n_unpriced > 0)
        fprintf(stderr, " (%" PRId64 " tokens have no price)", info.n_unpriced);
    fputc('\n', stderr);
}
