/* SPDX-License-Identifier: Apache-2.0 */
/*
 * breaker.c - counts failures in a row, opens, lets one probe through.
 */
#include "api/breaker.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/options.h"

#define N_FAILURES 5
#define COOL_DOWN_MS 30000
#define PROBE_WAIT_MS 1000 /* how often a held call looks what came of the probe */

static int get(const atomic_int *value)
{
    return atomic_load_explicit((atomic_int *)(uintptr_t)value, memory_order_relaxed);
}

static int64_t open_until(const tkx__breaker *b)
{
    return atomic_load_explicit((atomic_llong *)(uintptr_t)&b->open_until_ms,
                                memory_order_acquire);
}

tkx_status tkx__breakers_init(tkx__breakers *all, const tkx_breaker_options *options,
                              tkx_error **err)
{
    tkx_breaker_options rules = TKX_BREAKER_OPTIONS_INIT;
    tkx_status st =
        tkx__options_overlay(&rules, sizeof rules, options, "tkx_breaker_options", err);

    if (st != TKX_OK)
        return st;
    if (rules.n_failures < 0 || rules.window_ms < 0 || rules.cool_down_ms < 0 ||
        rules.max_cool_down_ms < 0)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "tkx_breaker_options: a number is negative");
    if (rules.n_failures == 0)
        rules.n_failures = N_FAILURES;
    if (rules.cool_down_ms == 0)
        rules.cool_down_ms = COOL_DOWN_MS;
    memset(all, 0, sizeof *all);
    all->rules = rules;
    for (size_t i = 0; i < TKX__N_LANES; i++)
        all->of[i].cool_down_ms = rules.cool_down_ms;
    return TKX_OK;
}

tkx__breaker_verdict tkx__breaker_judge(tkx__lane lane, const tkx__reply *reply)
{
    tkx_status st = tkx_error_status(reply->error);

    if (reply->http_status && !reply->error)
        return reply->http_status >= 500 ? TKX__BREAKER_FAILURE : TKX__BREAKER_SUCCESS;
    if (st == TKX_ERR_CONNECTION)
        return TKX__BREAKER_FAILURE;
    /* A long poll that we cut off is how waiting looks with servers that hold longer. */
    if (st == TKX_ERR_TIMEOUT && lane != TKX__LANE_RETRIEVE)
        return TKX__BREAKER_FAILURE;
    return TKX__BREAKER_NEUTRAL;
}

int64_t tkx__breaker_admit(tkx__breakers *all, tkx__lane lane, int64_t now_ms,
                           bool *is_probe)
{
    tkx__breaker *b = &all->of[lane];
    int64_t until = open_until(b);

    *is_probe = false;
    /* Heartbeats go on: without them the session is lost, and each is a probe. */
    if (!all->rules.refuses || until == 0 || lane == TKX__LANE_SESSION ||
        lane == TKX__LANE_TELEMETRY)
        return 0;
    if (now_ms < until)
        return until - now_ms;
    if (b->has_probe)
        return PROBE_WAIT_MS;
    *is_probe = b->has_probe = true;
    return 0;
}

static void open_it(tkx__breakers *all, tkx__breaker *b, int64_t now_ms)
{
    atomic_store_explicit(&b->open_until_ms, now_ms + b->cool_down_ms,
                          memory_order_release);
    atomic_fetch_add_explicit(&b->n_opened, 1, memory_order_relaxed);
    if (b->cool_down_ms < all->rules.max_cool_down_ms / 2)
        b->cool_down_ms *= 2;
    else if (all->rules.max_cool_down_ms > b->cool_down_ms)
        b->cool_down_ms = all->rules.max_cool_down_ms;
}

static void note_failure(tkx__breakers *all, tkx__breaker *b, int64_t now_ms,
                         int http_status)
{
    int n = get(&b->n_failures);
    int64_t until = open_until(b);

    if (n == 0 || (all->rules.window_ms > 0 && until == 0 &&
                   now_ms - b->first_failure_ms > all->rules.window_ms)) {
        b->first_failure_ms = now_ms;
        n = 0;
    }
    if (n < all->rules.n_failures)
        n++;
    atomic_store_explicit(&b->n_failures, n, memory_order_relaxed);
    atomic_store_explicit(&b->last_http_status, http_status, memory_order_relaxed);
    /* Open already: what was under way before that says nothing new. */
    if (n >= all->rules.n_failures && now_ms >= until)
        open_it(all, b, now_ms);
}

void tkx__breaker_note(tkx__breakers *all, tkx__lane lane, int64_t now_ms, bool is_probe,
                       tkx__breaker_verdict verdict, int http_status)
{
    tkx__breaker *b = &all->of[lane];

    if (is_probe)
        b->has_probe = false;
    if (verdict == TKX__BREAKER_FAILURE) {
        note_failure(all, b, now_ms, http_status);
    } else if (verdict == TKX__BREAKER_SUCCESS && get(&b->n_failures) != 0) {
        atomic_store_explicit(&b->n_failures, 0, memory_order_relaxed);
        atomic_store_explicit(&b->open_until_ms, 0, memory_order_release);
        b->cool_down_ms = all->rules.cool_down_ms;
    }
}

void tkx__breaker_refused(tkx__breakers *all, tkx__lane lane, int64_t wait_ms,
                          int64_t wall_ms, char *text, size_t size)
{
    tkx__breaker *b = &all->of[lane];
    time_t at = (time_t)((wall_ms + wait_ms) / 1000);
    int http = get(&b->last_http_status);
    struct tm utc;
    char when[32] = "";
    char last[32] = "no answer";

    atomic_fetch_add_explicit(&b->n_refused, 1, memory_order_relaxed);
    if (gmtime_r(&at, &utc))
        strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &utc);
    if (http)
        snprintf(last, sizeof last, "HTTP status %d", http);
    snprintf(text, size,
             "the breaker of the %s endpoint is open after %d failures in a row (the "
             "last: %s), until %s, %.1f s from now; nothing was sent",
             tkx_endpoint_name((tkx_endpoint)lane), get(&b->n_failures), last, when,
             (double)wait_ms / 1000);
}

void tkx__breaker_look(const tkx__breakers *all, tkx__lane lane, int64_t now_ms,
                       tkx_breaker_info *info)
{
    tkx__breaker *b = (tkx__breaker *)(uintptr_t)&all->of[lane];
    int64_t until = open_until(b);

    info->open_ms = until > now_ms ? until - now_ms : 0;
    info->state = until == 0       ? TKX_BREAKER_CLOSED
                  : until > now_ms ? TKX_BREAKER_OPEN
                                   : TKX_BREAKER_HALF_OPEN;
    info->n_failures = get(&b->n_failures);
    info->last_http_status = get(&b->last_http_status);
    info->n_opened = atomic_load_explicit(&b->n_opened, memory_order_relaxed);
    info->n_refused = atomic_load_explicit(&b->n_refused, memory_order_relaxed);
}

const char *tkx_endpoint_name(tkx_endpoint endpoint)
{
    static const char *const names[] = {"session", "train", "sample", "retrieve", "REST"};

    return (unsigned)endpoint < TKX_N_ENDPOINTS ? names[endpoint] : "unknown";
}

const char *tkx_breaker_state_name(tkx_breaker_state state)
{
    static const char *const names[] = {"closed", "open", "half open"};

    return (unsigned)state < sizeof names / sizeof *names ? names[state] : "unknown";
}
