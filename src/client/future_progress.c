/* SPDX-License-Identifier: Apache-2.0 */
/*
 * future_progress.c - why a wait is still a wait: state, queue, counters, the latest
 * steps.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "client/future_cell.h"

#define STATE_SHIFT 12
#define HTTP_MASK ((1u << STATE_SHIFT) - 1)

void tkx__future_add_history(tkx_future *future, uint32_t at, tkx_future_state state,
                             int http_status)
{
    uint8_t i = future->next_history;

    future->step_at[i] = at;
    future->step_what[i] =
        (uint16_t)((unsigned)state << STATE_SHIFT | ((unsigned)http_status & HTTP_MASK));
    future->next_history = (uint8_t)((future->next_history + 1u) % TKX__HISTORY_SIZE);
    if (future->n_history < TKX__HISTORY_SIZE)
        future->n_history++;
}

/* ---- progress ---- */

void tkx__future_note_state(tkx_future *future, tkx_future_state state, int http_status)
{
    uint32_t age = tkx__future_age(future);

    tkx__future_lock(future);
    if (!future->is_done && (state != future->state || http_status != 0)) {
        if (state != future->state)
            future->state_since = age;
        future->state = (uint8_t)state;
        if (http_status != 0)
            future->last_http_status = (uint16_t)http_status;
        tkx__future_add_history(future, age, state, http_status);
    }
    tkx__future_unlock(future);
}

void tkx__future_note_queue(tkx_future *future, tkx_queue_state state, const char *reason)
{
    char *copy = NULL;
    char *old;

    tkx__future_lock(future);
    future->queue_state = (uint8_t)state;
    old = future->queue_reason;
    if (!reason != !old || (reason && strcmp(reason, old) != 0)) {
        if (reason)
            copy = tkx__strdup(reason); /* without memory: no reason shown */
        future->queue_reason = copy;
    } else {
        old = NULL;
    }
    tkx__future_unlock(future);
    tkx__free(old);
}

void tkx__future_note_attempt(tkx_future *future, uint64_t bytes_sent)
{
    tkx__future_lock(future);
    future->n_attempts++;
    future->bytes_sent += bytes_sent;
    tkx__future_unlock(future);
}

void tkx__future_note_poll(tkx_future *future)
{
    tkx__future_lock(future);
    future->n_polls++;
    tkx__future_unlock(future);
}

void tkx__future_note_received(tkx_future *future, uint64_t bytes)
{
    tkx__future_lock(future);
    future->bytes_received += bytes;
    tkx__future_unlock(future);
}

tkx_status tkx_future_progress(const tkx_future *future, tkx_future_progress_info *info,
                               tkx_error **err)
{
    tkx_future_progress_info all = TKX_FUTURE_PROGRESS_INIT;
    uint32_t age;

    if (!future || !info || info->struct_size < sizeof info->struct_size)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "tkx_future_progress: start from TKX_FUTURE_PROGRESS_INIT");
    age = tkx__future_age(future);
    tkx__future_lock(future);
    if (future->is_done)
        age = future->done_at;
    all.state = (tkx_future_state)future->state;
    all.queue_state = (tkx_queue_state)future->queue_state;
    if (future->queue_reason)
        snprintf(all.queue_reason, sizeof all.queue_reason, "%s", future->queue_reason);
    all.age_ms = age;
    all.state_age_ms = age - future->state_since;
    all.n_attempts = future->n_attempts;
    all.n_polls = future->n_polls;
    all.bytes_sent = future->bytes_sent;
    all.bytes_received = future->bytes_received;
    all.last_http_status = future->last_http_status;
    tkx__future_unlock(future);
    all.struct_size = info->struct_size; /* a shorter struct gets what it knows */
    memcpy(info, &all, all.struct_size < sizeof all ? all.struct_size : sizeof all);
    return TKX_OK;
}

size_t tkx_future_history(const tkx_future *future, tkx_future_event *events,
                          size_t capacity)
{
    size_t n, first;

    tkx__future_lock(future);
    n = future->n_history < capacity ? future->n_history : capacity;
    first = future->next_history + TKX__HISTORY_SIZE - n;
    for (size_t i = 0; i < n; i++) {
        size_t at = (first + i) % TKX__HISTORY_SIZE;
        unsigned what = future->step_what[at];

        events[i].at_ms = future->step_at[at];
        events[i].state = (tkx_future_state)(what >> STATE_SHIFT);
        events[i].http_status = (int)(what & HTTP_MASK);
    }
    tkx__future_unlock(future);
    return n;
}

bool tkx__future_is_stuck(tkx_future *future, int64_t now, int64_t after_ms)
{
    bool is_stuck;

    tkx__future_lock(future);
    is_stuck = !future->is_done && future->n_stuck_told < 32 &&
               (now - future->born_ms) >> future->n_stuck_told >= after_ms;
    while (is_stuck && future->n_stuck_told < 32 &&
           (now - future->born_ms) >> future->n_stuck_told >= after_ms)
        future->n_stuck_told++;
    tkx__future_unlock(future);
    return is_stuck;
}

/* Append to text[size] at *at, which goes on counting beyond the end. */
static void add(char *text, size_t size, size_t *at, const char *fmt, ...)
    TKX_PRINTF(4, 5);

static void add(char *text, size_t size, size_t *at, const char *fmt, ...)
{
    va_list args;
    int n;

    va_start(args, fmt);
    n = vsnprintf(*at < size ? text + *at : NULL, *at < size ? size - *at : 0, fmt, args);
    va_end(args);
    *at += n > 0 ? (size_t)n : 0;
}

size_t tkx_future_describe(const tkx_future *future, char *text, size_t size)
{
    tkx_future_progress_info p = TKX_FUTURE_PROGRESS_INIT;
    tkx_future_event events[TKX__HISTORY_SIZE];
    size_t n, at = 0;

    if (size > 0)
        text[0] = '\0';
    if (!future)
        return 0;
    tkx_future_progress(future, &p, NULL);
    n = tkx_future_history(future, events, TKX__HISTORY_SIZE);
    add(text, size, &at,
        "%s: %s for %.1f s, %.1f s since the call, %u attempt%s, %u polls",
        future->type->name, tkx_future_state_name(p.state), (double)p.state_age_ms / 1000,
        (double)p.age_ms / 1000, p.n_attempts, p.n_attempts == 1 ? "" : "s", p.n_polls);
    if (p.last_http_status)
        add(text, size, &at, ", last HTTP status %d", p.last_http_status);
    if (p.queue_reason[0])
        add(text, size, &at, ", the service says: %s", p.queue_reason);
    for (size_t i = 0; i < n; i++) {
        add(text, size, &at, "%s+%.1f s %s", i ? ", " : "; ",
            (double)events[i].at_ms / 1000, tkx_future_state_name(events[i].state));
        if (events[i].http_status)
            add(text, size, &at, " (%d)", events[i].http_status);
    }
    return at;
}

const char *tkx_future_state_name(tkx_future_state state)
{
    static const char *const names[] = {
        "queued", "submitting", "waiting", "backing off", "fetching", "paused", "done"};

    return (unsigned)state < sizeof names / sizeof *names ? names[state] : "unknown";
}
