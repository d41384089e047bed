/* SPDX-License-Identifier: Apache-2.0 */
/* reach.c - see reach.h. */
#include "api/reach.h"

#include <stddef.h>

static void tell(tkx__reach *reach, bool is_breaker)
{
    tkx__reach_watch *next;

    for (tkx__reach_watch *w = reach->watches; w; w = next) {
        next = w->next; /* a watch may remove itself */
        w->lost(w->arg, is_breaker);
    }
}

void tkx__reach_unanswered(tkx__reach *reach, int64_t sent_ms, int64_t now_ms,
                           bool is_hopeless)
{
    bool is_second = reach->has_failed && sent_ms >= reach->failed_ms;

    if (reach->has_failed && !is_second && !is_hopeless)
        return; /* one of many that failed together */
    reach->has_failed = true;
    reach->failed_ms = now_ms;
    if (!is_second && !is_hopeless)
        return;
    reach->is_lost = true;
    tell(reach, false);
}

void tkx__reach_opened(tkx__reach *reach)
{
    tell(reach, true);
}

void tkx__reach_add(tkx__reach *reach, tkx__reach_watch *watch)
{
    watch->next = reach->watches;
    reach->watches = watch;
}

void tkx__reach_remove(tkx__reach *reach, tkx__reach_watch *watch)
{
    tkx__reach_watch **at = &reach->watches;

    while (*at && *at != watch)
        at = &(*at)->next;
    if (*at)
        *at = watch->next;
}
