/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exchange.c - one call, its body and the decoding of its answer, ended by the site's
 * closing at the latest.
 */
#include "api/exchange.h"

#include "base/error.h"
#include "base/mem.h"

typedef struct exchange {
    tkx__op base;
    tkx__site *site;
    tkx__exchange_call spec;
    tkx__answer_fn *fn;
    void *arg;
    tkx__call *call;
    tkx__buf text;
    tkx__body body;
} exchange;

static void dispose(exchange *x)
{
    tkx__call_cancel(x->call);
    tkx__op_unregister(x->site, &x->base);
    tkx__buf_clear(&x->text);
    tkx__free(x);
}

static void settle(exchange *x, void *result, tkx_error *error)
{
    tkx__answer_fn *fn = x->fn;
    void *arg = x->arg;

    dispose(x);
    fn(arg, result, error);
}

static void read_answer(exchange *x, const tkx__reply *reply, void **result,
                        tkx_error **err)
{
    const tkx__payload payload = {reply->body ? reply->body : "", reply->body_size,
                                  false};
    tkx_error *cause = NULL;

    *result = x->spec.decode(&payload, x->arg, &cause);
    if (!*result)
        tkx__fail_cause(err,
                        tkx_error_status(cause) == TKX_ERR_NO_MEMORY ? TKX_ERR_NO_MEMORY
                                                                     : TKX_ERR_PROTOCOL,
                        NULL, &cause, "%s: the answer (%zu bytes) cannot be read: %s",
                        x->spec.call.what, payload.size, tkx_error_message(cause));
}

static void on_outcome(void *arg, tkx__outcome *outcome)
{
    exchange *x = arg;
    tkx_error *error = outcome->error;
    void *result = NULL;

    x->call = NULL;
    if (!error)
        read_answer(x, outcome->reply, &result, &error);
    settle(x, result, error);
}

static void abort_exchange(tkx__op *base)
{
    exchange *x = (exchange *)base;
    tkx_error *error = NULL;

    tkx__fail(&error, TKX_ERR_CLOSED, "%s: the client was closed before the answer came",
              x->spec.call.what);
    settle(x, NULL, error);
}

tkx_status tkx__exchange_start(tkx__site *site, const tkx__exchange_call *spec,
                               tkx__answer_fn *fn, void *arg, tkx_error **err)
{
    tkx_status st;
    exchange *x = tkx__calloc(1, sizeof *x);

    if (!x) {
        if (spec->body)
            tkx__buf_clear(spec->body);
        return tkx__fail_memory(err);
    }
    x->site = site;
    x->spec = *spec;
    x->fn = fn;
    x->arg = arg;
    if (spec->body) {
        x->text = *spec->body;
        tkx__buf_init(spec->body, 0);
        x->body = (tkx__body){.bytes = x->text.data, .size_bytes = x->text.size};
        x->spec.call.body = &x->body;
    }
    st = x->text.status == TKX_OK
             ? tkx__call_start(site, &x->spec.call, on_outcome, x, &x->call, err)
             : tkx__fail_memory(err);
    if (st != TKX_OK) {
        dispose(x);
        return st;
    }
    tkx__op_register(site, &x->base, abort_exchange);
    return TKX_OK;
}
