/* SPDX-License-Identifier: Apache-2.0 */
/* reach.c - see reach.h. */
#include "api/reach.h"

#include <stddef.h>

void tkx__reach_lost(tkx__reach *reach, int64_t now_ms)
{
    tkx__reach_watch *next;

    reach->is_lost = true;
    reach->lost_ms = now_ms;
    for (tkx__reach_watch *w = reach->watches; w; w = next) {
        next = w->next; /* a watch may remove itself */
        w->lost(w->arg);
    }
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
