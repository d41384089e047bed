/* SPDX-License-Identifier: Apache-2.0 */
/*
 * budget.c - first come, first served, as many as the rule lets in.
 */
#include "api/budget.h"

#include <stddef.h>

void tkx__budget_init(tkx__budget *budget, int64_t size)
{
    *budget = (tkx__budget){.balance = size};
}

static void unlink_wait(tkx__budget *b, tkx__budget_wait *w)
{
    if (w->prev)
        w->prev->next = w->next;
    else
        b->head = w->next;
    if (w->next)
        w->next->prev = w->prev;
    else
        b->tail = w->prev;
    w->is_waiting = false;
}

bool tkx__budget_take(tkx__budget *b, tkx__budget_wait *w, int64_t cost,
                      void (*fn)(void *arg), void *arg)
{
    *w = (tkx__budget_wait){.fn = fn, .arg = arg, .cost = cost};
    if (!b->head && b->balance >= 0) {
        b->balance -= cost;
        return true;
    }
    w->prev = b->tail;
    if (b->tail)
        b->tail->next = w;
    else
        b->head = w;
    b->tail = w;
    w->is_waiting = true;
    return false;
}

/* A woken one may give back at once, inside its function: the outer loop sees that. */
static void wake(tkx__budget *b)
{
    if (b->is_waking)
        return;
    b->is_waking = true;
    while (b->head && b->balance >= 0) {
        tkx__budget_wait *w = b->head;
        unlink_wait(b, w);
        b->balance -= w->cost;
        w->fn(w->arg);
    }
    b->is_waking = false;
}

void tkx__budget_give(tkx__budget *b, int64_t cost)
{
    b->balance += cost;
    wake(b);
}

void tkx__budget_leave(tkx__budget *b, tkx__budget_wait *w)
{
    if (!w->is_waiting)
        return;
    unlink_wait(b, w);
    wake(b);
}
