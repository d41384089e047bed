/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dispatch.c - one queue, three conditions, checked together for its head.
 *
 * Whether somebody counts as throttled is decided when it is admitted and does not change
 * afterwards: those already inside when the service pushes back keep what they have.
 */
#include "api/dispatch.h"

#include "api/limiter.h"
#include "base/mem.h"

#define RECENT_MS 10000
#define LARGE_PROMPT (128 << 10)
#define THROTTLED_FACTOR 20
#define JITTER_MS 250

struct tkx__dispatch {
    tkx__site *site;
    tkx__dispatch_fn *admitted;
    tkx__dispatch_wait *head, *tail;
    int64_t balance;          /* bytes */
    tkx__limiter *limiter;    /* the site's; NULL: the fixed rules alone */
    int64_t backoff_until_ms; /* -1: never pushed back */
    unsigned n_inside, n_throttled;
    tkx__timer *timer; /* the end of the throttled time */
    bool is_waking;
};

static void wake(tkx__dispatch *d);

static void on_timer(void *arg)
{
    wake(arg);
}

tkx__dispatch *tkx__dispatch_new(tkx__site *site, tkx__dispatch_fn *admitted)
{
    tkx__dispatch *d = tkx__calloc(1, sizeof *d);

    if (!d)
        return NULL;
    d->site = site;
    d->admitted = admitted;
    d->balance = site->config.sample_dispatch_bytes;
    d->limiter = site->limiter;
    d->backoff_until_ms = -1;
    d->timer = site->io.ops->timer_new(site->io.ctx, on_timer, d);
    if (!d->timer) {
        tkx__free(d);
        return NULL;
    }
    return d;
}

void tkx__dispatch_free(tkx__dispatch *d)
{
    if (!d)
        return;
    d->site->io.ops->timer_free(d->site->io.ctx, d->timer);
    tkx__free(d);
}

static int64_t throttled_ms(const tkx__dispatch *d)
{
    if (d->backoff_until_ms < 0)
        return 0;
    int64_t left = d->backoff_until_ms + RECENT_MS - tkx__site_now(d->site);
    return left > 0 ? left : 0;
}

/* What it takes of the budget. */
static int64_t cost(const tkx__dispatch_wait *w)
{
    return (int64_t)w->estimate * (w->is_throttled ? THROTTLED_FACTOR : 1);
}

/* What was learnt narrows both limits alike.  It rests while the protocol throttles,
   whose ten slots are few enough. */
static bool is_beyond_learnt(const tkx__dispatch *d)
{
    int64_t budget = d->site->config.sample_dispatch_bytes;
    int limit = d->limiter ? tkx__limiter_limit(d->limiter) : TKX__DISPATCH_SLOTS;
    double share = (double)limit / TKX__DISPATCH_SLOTS;

    return share < 1 && (d->n_inside >= (unsigned)limit ||
                         (double)(budget - d->balance) > (double)budget * share);
}

static bool admit(tkx__dispatch *d, tkx__dispatch_wait *w)
{
    int64_t throttled = throttled_ms(d);

    if (d->n_inside >= TKX__DISPATCH_SLOTS || d->balance < 0 ||
        (!throttled && is_beyond_learnt(d)))
        return false;
    if (throttled && d->n_throttled >= TKX__DISPATCH_THROTTLED_SLOTS) {
        d->site->io.ops->timer_arm(d->site->io.ctx, d->timer, throttled);
        return false;
    }
    w->is_throttled = throttled > 0;
    w->is_inside = true;
    d->balance -= cost(w);
    d->n_inside++;
    if (d->limiter)
        tkx__limiter_note_inside(d->limiter, 1);
    d->n_throttled += w->is_throttled;
    return true;
}

static void unlink_wait(tkx__dispatch *d, tkx__dispatch_wait *w)
{
    if (w->prev)
        w->prev->next = w->next;
    else
        d->head = w->next;
    if (w->next)
        w->next->prev = w->prev;
    else
        d->tail = w->prev;
    w->is_waiting = false;
}

static void wake(tkx__dispatch *d)
{
    if (d->is_waking)
        return;
    d->is_waking = true;
    while (d->head && admit(d, d->head)) {
        tkx__dispatch_wait *w = d->head;
        unlink_wait(d, w);
        d->admitted(w);
    }
    d->is_waking = false;
}

bool tkx__dispatch_enter(tkx__dispatch *d, tkx__dispatch_wait *w)
{
    if (!d->head && admit(d, w))
        return true;
    w->next = NULL;
    w->prev = d->tail;
    if (d->tail)
        d->tail->next = w;
    else
        d->head = w;
    d->tail = w;
    w->is_waiting = true;
    return false;
}

void tkx__dispatch_leave(tkx__dispatch *d, tkx__dispatch_wait *w)
{
    if (w->is_waiting) {
        unlink_wait(d, w);
    } else if (w->is_inside) {
        w->is_inside = false;
        d->balance += cost(w);
        d->n_inside--;
        if (d->limiter)
            tkx__limiter_note_inside(d->limiter, -1);
        d->n_throttled -= w->is_throttled;
    } else {
        return;
    }
    wake(d);
}

void tkx__dispatch_push_back(tkx__dispatch *d, int64_t estimate)
{
    int64_t until = tkx__site_now(d->site) + (estimate <= LARGE_PROMPT ? 1000 : 5000);

    if (until > d->backoff_until_ms)
        d->backoff_until_ms = until;
    if (d->limiter)
        tkx__limiter_on_push_back(d->limiter, tkx__site_now(d->site),
                                  d->backoff_until_ms + RECENT_MS, (int)d->n_inside);
}

void tkx__dispatch_accepted(tkx__dispatch *d)
{
    if (d->limiter)
        tkx__limiter_on_accepted(d->limiter, tkx__site_now(d->site));
}

int64_t tkx__dispatch_delay_ms(tkx__dispatch *d)
{
    int64_t left = d->backoff_until_ms - tkx__site_now(d->site);

    if (d->backoff_until_ms < 0 || left <= 0)
        return 0;
    return left + (int64_t)(tkx__site_uniform(d->site) * JITTER_MS);
}
