/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/reach.h - whether a service can be reached at all, as the calls on its site see it.
 *
 * Two sends that got no answer, the second begun after the first had failed, say so: one
 * connection may be cut by chance, and many requests with it.  Any HTTP answer, whatever
 * its status, says the opposite.  The judgement is forgotten after a while, so that
 * somebody tries again.  Loop thread only.
 */
#ifndef TKX_API_REACH_H
#define TKX_API_REACH_H

#include <stdbool.h>
#include <stdint.h>

#define TKX__REACH_FORGET_MS 30000

/* Told when the service is lost, or when one of its breakers is open: each time, not only
   at the first. */
typedef struct tkx__reach_watch tkx__reach_watch;
struct tkx__reach_watch {
    void (*lost)(void *arg, bool is_breaker);
    void *arg;
    tkx__reach_watch *next;
};

typedef struct tkx__reach {
    bool is_lost;
    bool has_failed;   /* since the last answer */
    int64_t failed_ms; /* when it last did */
    tkx__reach_watch *watches;
} tkx__reach;

/* A send begun at sent_ms got no answer; is_hopeless: nor would a repeat. */
void tkx__reach_unanswered(tkx__reach *reach, int64_t sent_ms, int64_t now_ms,
                           bool is_hopeless);
/* An endpoint failed so often that its breaker is open. */
void tkx__reach_opened(tkx__reach *reach);
static inline void tkx__reach_answered(tkx__reach *reach)
{
    reach->is_lost = reach->has_failed = false;
}
static inline bool tkx__reach_is_lost(const tkx__reach *reach, int64_t now_ms)
{
    return reach->is_lost && now_ms - reach->failed_ms < TKX__REACH_FORGET_MS;
}

void tkx__reach_add(tkx__reach *reach, tkx__reach_watch *watch);
void tkx__reach_remove(tkx__reach *reach, tkx__reach_watch *watch);

#endif
