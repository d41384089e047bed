/* SPDX-License-Identifier: Apache-2.0 */
/*
 * billing.c - one incident at a time: it begins with a 402, and is forgotten when the
 * last warning is older than five minutes (so a later 402 begins a new window).
 */
#include "api/billing.h"

#define LOG_EVERY_MS 60000
#define NEW_INCIDENT_MS 300000

void tkx__billing_init(tkx__billing *billing, const tkx__log *log)
{
    *billing = (tkx__billing){
        .log = log, .max_pause_ms = 3600000, .since_ms = -1, .logged_ms = -1};
}

bool tkx__billing_on_402(tkx__billing *b, int64_t now_ms)
{
    if (b->logged_ms >= 0 && now_ms - b->logged_ms > NEW_INCIDENT_MS)
        b->since_ms = b->logged_ms = -1;
    if (b->since_ms < 0) {
        b->since_ms = now_ms;
        if (b->changed)
            b->changed(b->arg, true, now_ms);
    }
    int64_t paused_ms = now_ms - b->since_ms;
    if (paused_ms >= b->max_pause_ms) {
        tkx__log_write(b->log, TKX_LOG_ERROR, "billing",
                       "paused for %lld s without payment; giving up",
                       (long long)(paused_ms / 1000));
        return false;
    }
    if (b->logged_ms < 0 || now_ms - b->logged_ms >= LOG_EVERY_MS) {
        b->logged_ms = now_ms;
        tkx__log_write(b->log, TKX_LOG_WARNING, "billing",
                       "the service asks for payment (HTTP 402); paused for %lld s, "
                       "requests repeat until the account is topped up",
                       (long long)(paused_ms / 1000));
    }
    return true;
}

void tkx__billing_on_recovery(tkx__billing *b)
{
    if (b->changed && b->since_ms >= 0)
        b->changed(b->arg, false, b->since_ms);
}
