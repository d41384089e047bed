/* SPDX-License-Identifier: Apache-2.0 */
/*
 * operation_answer.c - what comes back from a submit: its promise, an answer that names
 * none, or the news that it goes out again.
 */
#include "api/operation_in.h"
#include "api/scan.h"
#include "base/error.h"

char *tkx__part_read_promise(const tkx__outcome *outcome)
{
    static const char *const key[] = {"request_id"};
    tkx__span id = {0};

    /* A text that is cut short may have cut the id's surroundings, too. */
    return tkx__scan_pick(outcome->reply->body, outcome->reply->body_size, key, 1, &id)
               ? tkx__span_dup(id)
               : NULL;
}

void tkx__part_no_promise(const part *p, const tkx__outcome *outcome, tkx_error **err)
{
    tkx__error_facts facts = TKX__ERROR_FACTS_INIT;

    facts.http_status = outcome->reply->http_status;
    facts.category = TKX_ERROR_CATEGORY_SERVER;
    facts.seq_id = p->seq_id;
    facts.attempts = outcome->n_sends;
    facts.elapsed_ms = tkx__site_now(p->op->site) - p->sent_ms;
    tkx__fail_facts(err, TKX_ERR_PROTOCOL, &facts,
                    "%s: the service answered HTTP %d without a request_id; it may have "
                    "taken the request",
                    p->op->spec.what, facts.http_status);
}

void tkx__part_on_retry(void *arg, int http_status, bool is_sending)
{
    const part *p = arg;
    const tkx__operation_spec *spec = &p->op->spec;
    const tkx__poll_event event = {.kind = TKX__POLL_BACKOFF, .http_status = http_status};

    if (is_sending && spec->on_sending)
        spec->on_sending(p->op->arg, p->encoded.body.size_bytes);
    else if (!is_sending && spec->on_event)
        spec->on_event(p->op->arg, &event);
}
