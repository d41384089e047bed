/* SPDX-License-Identifier: Apache-2.0 */
/* test_threads.c - every piece once, seen by the caller, run after run. */
#include <stdatomic.h>

#include <check.h>

#include "infer/threads.h"
#include "support/suite.h"

typedef struct tally {
    size_t n_times[300]; /* plain: only the pool orders these writes */
    _Atomic size_t n_threads_over;
    size_t n_threads;
} tally;

static void count(void *ctx, size_t piece, size_t thread)
{
    tally *t = ctx;

    t->n_times[piece]++;
    if (thread >= t->n_threads)
        atomic_fetch_add(&t->n_threads_over, 1);
}

START_TEST(each_piece_once)
{
    tkx__threads *pool = NULL;
    tally t = {.n_threads = (size_t)_i};
    size_t want = 0;

    ck_assert_int_eq(tkx__threads_new((size_t)_i, &pool, NULL), TKX_OK);
    ck_assert_uint_eq(tkx__threads_count(pool), (size_t)_i);
    for (size_t run = 0; run < 2000; run++) {
        size_t n = run % 7 == 0 ? 300 : 1 + run % 5;

        tkx__threads_run(pool, n, count, &t);
        want++;
        ck_assert_uint_eq(t.n_times[0], want); /* visible at once */
    }
    ck_assert_uint_eq(t.n_times[299], 286);
    ck_assert_uint_eq(atomic_load(&t.n_threads_over), 0);
    tkx__threads_free(pool);
}
END_TEST

#define N_PHASES 40

typedef struct relay {
    struct relay *before; /* NULL: the first phase */
    size_t n_pieces;
    size_t value[64]; /* plain, as above */
    _Atomic size_t n_wrong;
} relay;

/* One more than all of the phase before. */
static void hand_on(void *ctx, size_t piece, size_t thread)
{
    relay *r = ctx;
    size_t most = 0;

    (void)thread;
    for (size_t i = 0; r->before && i < r->before->n_pieces; i++) {
        if (r->before->value[i] != r->before->value[0])
            atomic_fetch_add(&r->n_wrong, 1);
        most = r->before->value[i];
    }
    r->value[piece] = most + 1;
}

START_TEST(phases_follow_each_other)
{
    static relay relays[N_PHASES];
    tkx__threads *pool = NULL;
    tkx__phase phases[N_PHASES];
    size_t n_open = 0;

    ck_assert_int_eq(tkx__threads_new((size_t)_i, &pool, NULL), TKX_OK);
    for (size_t run = 0; run < 300; run++) {
        relay *last = NULL;
        size_t n = 1 + run % N_PHASES;

        n_open = 0;
        for (size_t i = 0; i < n; i++) {
            relays[i].before = last;
            relays[i].n_pieces = (i * 7 + run) % 5 == 0   ? 0
                                 : (i * 7 + run) % 3 == 0 ? 1
                                                          : 2 + (i * 5 + run) % 60;
            phases[i] = (tkx__phase){hand_on, &relays[i], relays[i].n_pieces};
            if (relays[i].n_pieces) {
                last = &relays[i];
                n_open++;
            }
        }
        tkx__threads_run_phases(pool, phases, n);
        if (last)
            ck_assert_uint_eq(last->value[last->n_pieces - 1], n_open);
    }
    for (size_t i = 0; i < N_PHASES; i++)
        ck_assert_uint_eq(atomic_load(&relays[i].n_wrong), 0);
    tkx__threads_free(pool);
}
END_TEST

START_TEST(no_pieces_is_no_work)
{
    tkx__threads *pool = NULL;
    tally t = {.n_threads = 2};

    ck_assert_int_eq(tkx__threads_new(2, &pool, NULL), TKX_OK);
    tkx__threads_run(pool, 0, count, &t);
    ck_assert_uint_eq(t.n_times[0], 0);
    tkx__threads_free(pool);
    tkx__threads_free(NULL);
}
END_TEST

typedef struct need {
    tkx__ahead ahead;
    size_t made[7];    /* plain, as above */
    size_t n_times[7]; /* likewise */
    _Atomic size_t n_wrong;
} need;

static void make(void *ctx, size_t piece, size_t thread)
{
    need *n = ctx;

    (void)thread;
    n->n_times[piece]++;
    n->made[piece] = piece + 1;
}

static void use(void *ctx, size_t piece, size_t thread)
{
    need *n = ctx;

    (void)piece;
    tkx__ahead_work(&n->ahead, thread);
    tkx__ahead_wait(&n->ahead);
    for (size_t i = 0; i < n->ahead.n_pieces; i++)
        if (n->made[i] != i + 1)
            atomic_fetch_add(&n->n_wrong, 1);
}

/* Each once, and all seen by every piece that waited, with fewer pieces than threads,
   too. */
START_TEST(pieces_ahead)
{
    tkx__threads *pool = NULL;

    ck_assert_int_eq(tkx__threads_new((size_t)_i, &pool, NULL), TKX_OK);
    for (size_t run = 0; run < 500; run++) {
        need n = {.n_wrong = 0};

        tkx__ahead_set(&n.ahead, run % 8, make, &n);
        tkx__threads_run(pool, 1 + run % 20, use, &n);
        ck_assert_uint_eq(atomic_load(&n.n_wrong), 0);
        for (size_t i = 0; i < 7; i++)
            ck_assert_uint_eq(n.n_times[i], i < run % 8);
    }
    tkx__threads_free(pool);
}
END_TEST

START_TEST(zero_means_all_usable)
{
    tkx__threads *pool = NULL;

    ck_assert_int_eq(tkx__threads_new(0, &pool, NULL), TKX_OK);
    ck_assert_uint_ge(tkx__threads_count(pool), 1);
    tkx__threads_free(pool);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("threads");
    Suite *s = suite_create("threads");

    tcase_add_loop_test(tc, each_piece_once, 1, 6);
    tcase_add_loop_test(tc, phases_follow_each_other, 1, 6);
    tcase_add_loop_test(tc, pieces_ahead, 1, 6);
    tcase_add_test(tc, no_pieces_is_no_work);
    tcase_add_test(tc, zero_means_all_usable);
    suite_add_tcase(s, tc);
    return run_suite(s);
}
