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
    tcase_add_test(tc, no_pieces_is_no_work);
    tcase_add_test(tc, zero_means_all_usable);
    suite_add_tcase(s, tc);
    return run_suite(s);
}
