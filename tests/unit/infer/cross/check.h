/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cross/check.h - as much of Check as the kernel tests use, for a target that has no
 * Check: tests run in order in one process, the first failure ends it.
 */
#ifndef TESTS_UNIT_INFER_CROSS_CHECK_H
#define TESTS_UNIT_INFER_CROSS_CHECK_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ck_assert_msg(e, ...)                                                            \
    do {                                                                                 \
        if (!(e)) {                                                                      \
            fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #e);                      \
            fprintf(stderr, __VA_ARGS__);                                                \
            fputc('\n', stderr);                                                         \
            exit(1);                                                                     \
        }                                                                                \
    } while (0)
#define ck_assert(e) ck_assert_msg(e, "failed")
#define ck_assert_int_eq(a, b) ck_assert((a) == (b))
#define ck_assert_uint_eq(a, b) ck_assert((a) == (b))
#define ck_assert_uint_gt(a, b) ck_assert((a) > (b))
#define ck_assert_uint_ge(a, b) ck_assert((a) >= (b))
#define ck_assert_ptr_nonnull(a) ck_assert((a) != NULL)
#define ck_assert_ptr_null(a) ck_assert((a) == NULL)
#define ck_assert_mem_eq(a, b, n) ck_assert(memcmp(a, b, n) == 0)
#define ck_assert_double_lt(a, b) ck_assert((a) < (b))
#define ck_assert_double_eq_tol(a, b, tol) ck_assert(fabs((a) - (b)) <= (tol))

typedef void cross_test_fn(int _i);
typedef struct Suite {
    int n_run;
} Suite;
typedef Suite TCase;

#define START_TEST(name)                                                                 \
    static void name(int _i)                                                             \
    {                                                                                    \
        (void)_i;
#define END_TEST }

static Suite cross_suite;

static inline TCase *tcase_create(const char *name)
{
    (void)name;
    return &cross_suite;
}
static inline Suite *suite_create(const char *name)
{
    (void)name;
    return &cross_suite;
}
static inline void tcase_set_timeout(TCase *tc, int seconds)
{
    (void)tc;
    (void)seconds;
}
static inline void tcase_add_loop_test(TCase *tc, cross_test_fn *fn, int from, int to)
{
    for (int i = from; i < to; i++, tc->n_run++)
        fn(i);
}
static inline void tcase_add_test(TCase *tc, cross_test_fn *fn)
{
    tcase_add_loop_test(tc, fn, 0, 1);
}
static inline void suite_add_tcase(Suite *s, TCase *tc)
{
    (void)s;
    (void)tc;
}

static inline int cross_run_suite(Suite *s)
{
    printf("%d checks\n", s->n_run);
    return 0;
}
#define run_suite cross_run_suite

#endif
