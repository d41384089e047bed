/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cancel_queue.c - each cancel is a call of its own, so one that is retried holds up
 * nobody; beyond the service's batch size they wait for one to end.
 */
#include "api/cancel_queue.h"

#include "api/call.h"
#include "api/scan.h"
#include "base/mem.h"

typedef struct tkx__cancel {
    tkx__op base;
    struct tkx__cancel *next; /* waiting */
    tkx__site *site;
    tkx__call *call;
    tkx__buf text;
    tkx__body body;
} cancel;

static void dispose(cancel *c)
{
    tkx__call_cancel(c->call);
    tkx__op_unregister(c->site, &c->base);
    tkx__buf_clear(&c->text);
    tkx__free(c);
}

static void start_some(tkx__site *site);

static void on_answer(void *arg, tkx__outcome *outcome)
{
    cancel *c = arg;
    tkx__site *site = c->site;

    c->call = NULL;
    if (outcome->error)
        tkx__log_write(site->log, TKX_LOG_DEBUG, "sample", "a cancel was not taken: %s",
                       tkx_error_message(outcome->error));
    tkx_error_free(outcome->error);
    dispose(c);
    site->n_cancels--;
    start_some(site);
}

static bool send(cancel *c)
{
    const tkx__call_spec spec = {
        .what = "cancel_future",
        .route = "cancel_future",
        .lane = TKX__LANE_RETRIEVE,
        .body = &c->body,
        .seq_id = -1,
        .timeout_ms = 30000,
        .is_outer = true,
    };

    return tkx__call_start(c->site, &spec, on_answer, c, &c->call, NULL) == TKX_OK;
}

static void start_some(tkx__site *site)
{
    while (site->cancels && site->n_cancels < site->dynamic.sample_cancel_max_batch) {
        cancel *c = site->cancels;
        site->cancels = c->next;
        if (!site->cancels)
            site->cancels_tail = NULL;
        c->next = NULL;
        if (send(c))
            site->n_cancels++;
        else
            dispose(c);
    }
}

/* Waiting or under way: it just goes away. */
static void abort_cancel(tkx__op *op)
{
    cancel *c = (cancel *)op;
    tkx__site *site = c->site;
    cancel *last = NULL;

    site->n_cancels -= c->call != NULL;
    for (cancel **at = &site->cancels; *at;)
        if (*at == c) {
            *at = c->next;
        } else {
            last = *at;
            at = &(*at)->next;
        }
    site->cancels_tail = last;
    dispose(c);
}

void tkx__cancel_future(tkx__site *site, const char *request_id)
{
    cancel *c = tkx__calloc(1, sizeof *c);

    if (!c)
        return;
    c->site = site;
    tkx__buf_init(&c->text, 1 << 20);
    tkx__buf_puts(&c->text, "{\"request_id\":");
    tkx__put_quoted(&c->text, request_id);
    tkx__buf_putc(&c->text, '}');
    if (c->text.status != TKX_OK) {
        dispose(c);
        return;
    }
    c->body = (tkx__body){.bytes = c->text.data, .size_bytes = c->text.size};
    tkx__op_register(site, &c->base, abort_cancel);
    if (site->cancels_tail)
        site->cancels_tail->next = c;
    else
        site->cancels = c;
    site->cancels_tail = c;
    start_some(site);
}
