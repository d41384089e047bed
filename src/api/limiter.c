/* SPDX-License-Identifier: Apache-2.0 */
/* limiter.c - see limiter.h. */
#include "api/limiter.h"

#include <limits.h>
#include <string.h>

#include "base/error.h"
#include "base/options.h"

#define MAX_IN_FLIGHT 400
#define MIN_IN_FLIGHT 10
#define MEMORY_MS 60000
#define EPISODE_MS 11000 /* as long as the shortest of dispatch.c */

tkx_status tkx__limiter_init(tkx__limiter *l, const tkx_limiter_options *options,
                             tkx_error **err)
{
    tkx_limiter_options o = TKX_LIMITER_OPTIONS_INIT;
    tkx_status st =
        tkx__options_overlay(&o, sizeof o, options, "tkx_limiter_options", err);

    if (st != TKX_OK)
        return st;
    if (o.max_in_flight == 0)
        o.max_in_flight = MAX_IN_FLIGHT;
    if (o.min_in_flight == 0)
        o.min_in_flight =
            o.max_in_flight < MIN_IN_FLIGHT ? o.max_in_flight : MIN_IN_FLIGHT;
    if (o.memory_ms == 0)
        o.memory_ms = MEMORY_MS;
    if (o.min_in_flight < 1 || o.max_in_flight < o.min_in_flight ||
        o.max_in_flight > MAX_IN_FLIGHT || o.memory_ms < 0)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "tkx_limiter_options: expected 1 <= min_in_flight <= "
                         "max_in_flight <= %d and memory_ms >= 0",
                         MAX_IN_FLIGHT);
    memset(l, 0, sizeof *l);
    l->options = o;
    l->window = o.max_in_flight;
    l->episode_end_ms = -1;
    atomic_init(&l->limit, o.max_in_flight);
    return TKX_OK;
}

static void set_window(tkx__limiter *l, double window)
{
    const tkx_limiter_options *o = &l->options;

    l->window = window < o->min_in_flight   ? o->min_in_flight
                : window > o->max_in_flight ? o->max_in_flight
                                            : window;
    atomic_store_explicit(&l->limit, (int)l->window, memory_order_relaxed);
}

void tkx__limiter_on_push_back(tkx__limiter *l, int64_t now_ms, int64_t until_ms,
                               int n_inside)
{
    bool is_new = l->episode_end_ms < 0 || now_ms >= l->episode_end_ms;
    bool is_again =
        l->episode_end_ms >= 0 && now_ms - l->episode_end_ms <= l->options.memory_ms;

    atomic_fetch_add_explicit(&l->n_push_backs, 1, memory_order_relaxed);
    /* Halved is what was really under way, if that is less than what might have been. */
    if (is_new && is_again && !l->options.is_off) {
        set_window(l, (n_inside < l->window ? n_inside : l->window) / 2);
        atomic_fetch_add_explicit(&l->n_cuts, 1, memory_order_relaxed);
    }
    if (until_ms > l->episode_end_ms)
        l->episode_end_ms = until_ms;
}

void tkx__limiter_on_other_push_back(tkx__limiter *l, int64_t now_ms)
{
    tkx__limiter_on_push_back(l, now_ms, now_ms + EPISODE_MS, INT_MAX);
}

/* One more for each window of accepted submits. */
void tkx__limiter_on_accepted(tkx__limiter *l, int64_t now_ms)
{
    if (l->window < l->options.max_in_flight && now_ms >= l->episode_end_ms)
        set_window(l, l->window + 1 / l->window);
}

void tkx__limiter_note_inside(tkx__limiter *l, int change)
{
    atomic_store_explicit(&l->n_in_flight,
                          atomic_load_explicit(&l->n_in_flight, memory_order_relaxed) +
                              change,
                          memory_order_relaxed);
}
