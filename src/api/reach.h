/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/reach.h - whether a service can be reached at all, as the calls on its site see it.
 *
 * A call that got no answer twice in a row, or gave up without one, says so; any HTTP
 * answer, whatever its status, says the opposite.  The judgement is forgotten after a
 * while, so that somebody tries again.  Loop thread only.
 */
#ifndef TKX_API_REACH_H
#define TKX_API_REACH_H

#include <stdbool.h>
#include <stdint.h>

#define TKX__REACH_FORGET_MS 30000

/* Told when the service is lost: each time, not only at the first. */
typedef struct tkx__reach_watch tkx__reach_watch;
struct tkx__reach_watch {
    void (*lost)(void *arg);
    void *arg;
    tkx__reach_watch *next;
};

typedef struct tkx__reach {
    bool is_lost;
    int64_t lost_ms; /* when it was last said */
    tkx__reach_watch *watches;
} tkx__reach;

void tkx__reach_lost(tkx__reach *reach, int64_t now_ms);
static inline void tkx__reach_answered(tkx__reach *reach)
{
    reach->is_lost = false;
}
static inline bool tkx__reach_is_lost(const tkx__reach *reach, int64_t now_ms)
{
    return reach->is_lost && now_ms - reach->lost_ms < TKX__REACH_FORGET_MS;
}

void tkx__reach_add(tkx__reach *reach, tkx__reach_watch *watch);
void tkx__reach_remove(tkx__reach *reach, tkx__reach_watch *watch);

#endif
