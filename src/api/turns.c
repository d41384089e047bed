/* SPDX-License-Identifier: Apache-2.0 */
/*
 * turns.c - one counter, one sorted list of waiters.
 *
 * The service runs a model's operations in the order of seq_id and waits for a missing
 * number.  So a number that the service has refused for certain goes to the next
 * operation, and one whose fate is unknown breaks the line.
 */
#include "api/turns.h"

#include <stddef.h>

#include "base/error.h"

void tkx__turns_init(tkx__turns *t)
{
    *t = (tkx__turns){0};
    pthread_mutex_init(&t->shared.lock, NULL);
    t->loop.broken_at = -1;
}

void tkx__turns_clear(tkx__turns *t)
{
    pthread_mutex_destroy(&t->shared.lock);
    tkx_error_free(t->loop.broken);
    tkx_error_free(t->shared.broken);
    t->loop.broken = t->shared.broken = NULL;
}

void tkx__turns_go_on(tkx__turns *t, int64_t seq_id)
{
    t->shared.next_id = t->loop.turn = (uint64_t)(seq_id - 1);
    t->loop.n_unused = 0;
}

bool tkx__turns_reserve(tkx__turns *t, uint64_t n,
                        bool (*hand_over)(void *arg, uint64_t first), void *arg)
{
    pthread_mutex_lock(&t->shared.lock);
    bool ok = hand_over(arg, t->shared.next_id);
    if (ok)
        t->shared.next_id += n;
    pthread_mutex_unlock(&t->shared.lock);
    return ok;
}

static bool may_go(const tkx__turns *t, uint64_t first)
{
    return t->loop.broken || t->loop.turn == first;
}

bool tkx__turns_take(tkx__turns *t, tkx__turn_wait *w, uint64_t first,
                     void (*fn)(void *arg), void *arg)
{
    tkx__turn_wait **at = &t->loop.waiters;

    *w = (tkx__turn_wait){.first = first, .fn = fn, .arg = arg};
    if (may_go(t, first))
        return true;
    while (*at && (*at)->first < first)
        at = &(*at)->next;
    w->next = *at;
    *at = w;
    w->is_waiting = true;
    return false;
}

void tkx__turns_leave(tkx__turns *t, tkx__turn_wait *w)
{
    for (tkx__turn_wait **at = &t->loop.waiters; w->is_waiting && *at; at = &(*at)->next)
        if (*at == w) {
            *at = w->next;
            w->is_waiting = false;
            return;
        }
}

/* A woken one may pass inside its function: the outer loop goes on from the new turn. */
static void wake(tkx__turns *t)
{
    if (t->loop.is_waking)
        return;
    t->loop.is_waking = true;
    while (t->loop.waiters && may_go(t, t->loop.waiters->first)) {
        tkx__turn_wait *w = t->loop.waiters;
        t->loop.waiters = w->next;
        w->is_waiting = false;
        w->fn(w->arg);
    }
    t->loop.is_waking = false;
}

void tkx__turns_pass(tkx__turns *t, uint64_t first, uint64_t n, uint64_t n_unused)
{
    if (t->loop.turn != first)
        return; /* only after a break, when order means nothing any more */
    t->loop.turn += n;
    t->loop.n_unused += n_unused;
    wake(t);
}

void tkx__turns_break(tkx__turns *t, int64_t seq_id, const tkx_error *cause)
{
    if (t->loop.broken)
        return;
    t->loop.broken = tkx__error_copy(cause);
    t->loop.broken_at = seq_id;
    tkx_error *seen = NULL;
    tkx__turns_check(t, &seen);
    pthread_mutex_lock(&t->shared.lock);
    t->shared.broken = seen;
    pthread_mutex_unlock(&t->shared.lock);
    wake(t);
}

tkx_status tkx__turns_check(const tkx__turns *t, tkx_error **err)
{
    if (!t->loop.broken)
        return TKX_OK;
    tkx_error *cause = tkx__error_copy(t->loop.broken);
    return tkx__fail_cause(
        err, TKX_ERR_CLIENT_BROKEN, NULL, &cause,
        "this training client is broken at seq_id %lld, since an earlier "
        "request may or may not have reached the service: %s; go on from "
        "the last saved state with a new client",
        (long long)t->loop.broken_at, tkx_error_message(t->loop.broken));
}

tkx_status tkx__turns_look(tkx__turns *t, tkx_error **err)
{
    tkx_status st;

    pthread_mutex_lock(&t->shared.lock);
    st = t->shared.broken ? TKX_ERR_CLIENT_BROKEN : TKX_OK;
    if (st != TKX_OK && err)
        tkx__fail_with(err, tkx__error_copy(t->shared.broken));
    pthread_mutex_unlock(&t->shared.lock);
    return st;
}

int64_t tkx__turns_seq(const tkx__turns *t, uint64_t id)
{
    return (int64_t)(id - t->loop.n_unused) + 1;
}
