/* SPDX-License-Identifier: Apache-2.0 */
/*
 * call.c - one service call until it has succeeded or failed for good.
 *
 *     WAIT_KEY --key--> SENDING --2xx, final--> (gone)
 *        ^               |   ^
 *        | invalid_token |   | timer
 *        +---------------+   |
 *                        +--> PAUSED      inner resend, outer repeat, billing pause
 *
 * What a reply means is call_reply.c's.  The call is freed before its function runs, so
 * that may start another or close the site.
 */
#include "api/call_in.h"

#include <string.h>

#include "api/breaker.h"
#include "base/error.h"
#include "base/mem.h"

static void dispose(tkx__call *call)
{
    tkx__site *site = call->site;

    if (call->transfer)
        site->io.ops->cancel(site->io.ctx, call->transfer);
    tkx__span_reply(call->span, NULL);
    if (!call->spec.span)
        tkx__span_end(&call->span, NULL, false);
    if (call->is_probe)
        tkx__breaker_note(site->breakers, call->spec.lane, tkx__site_now(site), true,
                          TKX__BREAKER_NEUTRAL, 0);
    if (call->timer)
        site->io.ops->timer_free(site->io.ctx, call->timer);
    if (call->wait.is_waiting)
        tkx__auth_unwait(site->auth, &call->wait);
    tkx__secret_unref(call->key);
    tkx__header_set_unref(call->common);
    tkx__free(call);
}

void tkx__call_cancel(tkx__call *call)
{
    if (call)
        dispose(call);
}

/* The end: reply is borrowed from the transport, error handed over. */
void tkx__call_finish(tkx__call *call, tkx__reply *reply, tkx_error *error)
{
    tkx__outcome outcome = {
        .reply = reply && reply->http_status ? reply : NULL,
        .error = error,
        .n_sends = call->n_sends,
        .elapsed_ms = tkx__call_elapsed(call),
        .last_ms = reply ? reply->elapsed_ms : 0,
    };
    tkx__call_fn *fn = call->fn;
    void *arg = call->arg;

    if (!call->spec.span)
        tkx__span_end(&call->span, error, !error);
    dispose(call);
    fn(arg, &outcome);
}

tkx__attempt tkx__call_attempt(const tkx__call *call)
{
    return (tkx__attempt){
        .what = call->spec.what,
        .url = call->url,
        .secret = call->key ? call->key->text : NULL,
        .key = tkx__auth_key_text(call->site->auth),
        .request_id = call->spec.request_id,
        .seq_id = call->spec.seq_id,
        .n_sends = call->n_sends,
        .elapsed_ms = tkx__call_elapsed(call),
        .trace_id = tkx__span_trace_id(call->span),
    };
}

/* --- waiting --------------------------------------------------------------------- */

static void on_timer(void *arg)
{
    tkx__call *call = arg;

    if (call->spec.on_retry)
        call->spec.on_retry(call->arg, 0, true);
    tkx__call_send_now(call);
}

bool tkx__call_send_later(tkx__call *call, int64_t delay_ms)
{
    const tkx__io *io = &call->site->io;

    if (!call->timer)
        call->timer = io->ops->timer_new(io->ctx, on_timer, call);
    if (!call->timer)
        return false;
    if (call->spec.deadline_ms) {
        int64_t left = call->spec.deadline_ms - tkx__site_now(call->site);
        if (left < delay_ms)
            delay_ms = left > 0 ? left : 0;
    }
    io->ops->timer_arm(io->ctx, call->timer, delay_ms);
    return true;
}

void tkx__call_pause(tkx__call *call, int64_t delay_ms)
{
    tkx_error *error = NULL;

    if (tkx__call_send_later(call, delay_ms))
        return;
    tkx__fail_memory(&error);
    tkx__call_finish(call, NULL, error);
}

static void on_key(void *arg, const tkx_error *error)
{
    tkx__call *call = arg;

    call->wait.is_waiting = false;
    if (error)
        tkx__call_finish(call, NULL, tkx__error_copy(error));
    else
        tkx__call_send_now(call);
}

void tkx__call_wait_for_key(tkx__call *call)
{
    call->wait.fn = on_key;
    call->wait.arg = call;
    tkx__auth_wait_for(call->site->auth, &call->wait);
}

/* --- life ------------------------------------------------------------------------ */

void tkx__call_send_now(tkx__call *call)
{
    tkx_error *error = NULL;

    if (tkx__call_try_send(call, &error) != TKX_OK)
        tkx__call_finish(call, NULL, error);
}

static char *put_hex(char *to, uint64_t value, int n_digits)
{
    for (int i = n_digits; i-- > 0; value >>= 4)
        to[i] = "0123456789abcdef"[value & 15];
    return to + n_digits;
}

/* Each call has one, so it is not left to printf. */
void tkx__make_uuid(tkx__site *site, char *out, const char *prefix)
{
    size_t n_prefix = strlen(prefix);
    uint64_t half[2];

    for (int i = 0; i < 2; i++) /* 53 random bits each carry; two draws fill 64 */
        half[i] = ((uint64_t)(tkx__site_uniform(site) * 4294967296.0) << 32) |
                  (uint64_t)(tkx__site_uniform(site) * 4294967296.0);
    half[0] = (half[0] & ~UINT64_C(0xf000)) | 0x4000;
    half[1] = (half[1] & ~(UINT64_C(3) << 62)) | UINT64_C(1) << 63;
    memcpy(out, prefix, n_prefix);
    out = put_hex(out + n_prefix, half[0] >> 32, 8);
    *out++ = '-';
    out = put_hex(out, half[0] >> 16, 4);
    *out++ = '-';
    out = put_hex(out, half[0], 4);
    *out++ = '-';
    out = put_hex(out, half[1] >> 48, 4);
    *out++ = '-';
    *put_hex(out, half[1], 12) = '\0';
}

/* A new call: new idempotency key, inner count from 0. */
void tkx__call_begin_again(tkx__call *call)
{
    call->n_inner = 0;
    if (!call->spec.idempotency_key)
        tkx__make_uuid(call->site, call->idempotency, "tkx-");
}

tkx_status tkx__call_start(tkx__site *site, const tkx__call_spec *spec, tkx__call_fn *fn,
                           void *arg, tkx__call **out, tkx_error **err)
{
    size_t base = strlen(site->api_url);
    size_t size = strlen(spec->route) + 1;

    tkx__call *call = tkx__malloc(sizeof *call + base + size);
    if (!call)
        return tkx__fail_memory(err);
    memset(call, 0, sizeof *call);
    call->site = site;
    call->spec = *spec;
    call->fn = fn;
    call->arg = arg;
    call->started_ms = tkx__site_now(site);
    memcpy(call->url, site->api_url, base);
    memcpy(call->url + base, spec->route, size);
    const tkx__span_spec own = {
        .what = spec->what, .lane = spec->lane, .seq_id = spec->seq_id};
    call->span = spec->span ? spec->span : tkx__span_begin(site->observer, &own);
    tkx__call_begin_again(call);
    *out = call;
    tkx_status st = tkx__call_try_send(call, err);
    if (st != TKX_OK) {
        *out = NULL;
        dispose(call);
    }
    return st;
}
