/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/turns.h - in which order the operations of one model go out.
 *
 * An operation draws a block of ids in the calling thread, at the moment of the call; it
 * may submit when all smaller ids have passed.  Every block passes exactly once,
 * submitted or not, or the line is broken and everybody fails at once: nobody waits for
 * ever.
 *
 * Thread: tkx__turns_reserve() any; the rest the loop thread.
 */
#ifndef TKX_API_TURNS_H
#define TKX_API_TURNS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <tkx/error.h>

typedef struct tkx__turn_wait {
    struct tkx__turn_wait *next;
    uint64_t first;
    void (*fn)(
        void *arg); /* it is your turn, or the line broke: ask tkx__turns_check() */
    void *arg;
    bool is_waiting;
} tkx__turn_wait;

typedef struct tkx__turns {
    struct {
        pthread_mutex_t lock;
        uint64_t next_id;
        tkx_error *broken; /* as in loop, for other threads */
    } shared;
    struct {
        uint64_t turn;     /* the smallest id that has not passed */
        uint64_t n_unused; /* ids that passed and whose wire number the next one takes */
        tkx__turn_wait *waiters; /* by first id */
        tkx_error *broken;       /* why; NULL: whole */
        int64_t broken_at;       /* seq_id of the hole */
        bool is_waking;
    } loop;
} tkx__turns;

void tkx__turns_init(tkx__turns *turns);
void tkx__turns_clear(tkx__turns *turns);
/* Go on with this number on the wire; before any id is drawn. */
void tkx__turns_go_on(tkx__turns *turns, int64_t seq_id);

/*
 * Draw n ids as one block and hand them over, under one lock, so that blocks are handed
 * over in the order of their ids.  hand_over returning false gives the ids back.
 */
bool tkx__turns_reserve(tkx__turns *turns, uint64_t n,
                        bool (*hand_over)(void *arg, uint64_t first), void *arg);

/* True: it is the turn of `first` now.  False: fn runs inside a later pass or break. */
bool tkx__turns_take(tkx__turns *turns, tkx__turn_wait *wait, uint64_t first,
                     void (*fn)(void *arg), void *arg);
/* Leave the queue of waiters; the block must still pass (tkx__turns_skip). */
void tkx__turns_leave(tkx__turns *turns, tkx__turn_wait *wait);

/* The block [first, first + n) has ended its submits.  n_unused: how many numbers at its
   end the service refused for certain, so that they are used again. */
void tkx__turns_pass(tkx__turns *turns, uint64_t first, uint64_t n, uint64_t n_unused);

/* Leave a hole at seq_id: whoever waits, and whoever comes, fails with this cause
   (copied).  The first break stands. */
void tkx__turns_break(tkx__turns *turns, int64_t seq_id, const tkx_error *cause);

/* OK, or CLIENT_BROKEN with the cause. */
tkx_status tkx__turns_check(const tkx__turns *turns, tkx_error **err);
/* The same for any thread. */
tkx_status tkx__turns_look(tkx__turns *turns, tkx_error **err);

/* The number on the wire of an id whose turn it is. */
int64_t tkx__turns_seq(const tkx__turns *turns, uint64_t id);

#endif
