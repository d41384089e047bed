/* SPDX-License-Identifier: Apache-2.0 */
/* Finished futures come out in the order of finishing, with their tags. */
#include <tkx/queue.h>

#include <pthread.h>

#include "client/context.h"
#include "client/future.h"
#include "support/fail_alloc.h"
#include "support/fake_io.h"
#include "support/suite.h"

#define N 5

static const tkx__result_type nothing = {"nothing", NULL};
static fake_io *fake;
static tkx_context *context;
static tkx_queue *queue;
static tkx_future *futures[N];
static int tags[N];

static void open_world(void)
{
    tkx_context_options options = TKX_CONTEXT_OPTIONS_INIT;

    options.base_url = "http://h";
    fake = fake_io_new();
    ck_assert_int_eq(tkx__context_new_on(&options, fake_io_table(fake), &context, NULL),
                     TKX_OK);
    ck_assert_int_eq(tkx_queue_new(&queue, NULL), TKX_OK);
    for (int i = 0; i < N; i++) {
        futures[i] = tkx__future_new(context, &nothing, NULL, NULL, NULL);
        ck_assert_int_eq(tkx_queue_add(queue, futures[i], &tags[i], NULL), TKX_OK);
    }
}

static void close_world(void)
{
    tkx_queue_free(queue);
    tkx_context_free(context); /* what is pending ends with CLOSED */
    for (int i = 0; i < N; i++)
        tkx_future_unref(futures[i]);
    fake_io_free(fake);
}

static int next_tag(void)
{
    tkx_future *future;
    void *tag;

    ck_assert_int_eq(tkx_queue_next(queue, 0, &future, &tag, NULL), TKX_OK);
    ck_assert(tkx_future_is_done(future));
    tkx_future_unref(future);
    return (int)((int *)tag - tags);
}

START_TEST(comes_in_order_of_finishing)
{
    tkx_future *future;
    tkx_error *err = NULL;

    ck_assert_int_eq(tkx_queue_next(queue, 0, &future, NULL, &err), TKX_ERR_TIMEOUT);
    tkx__future_succeed(futures[3], NULL);
    tkx__future_succeed(futures[0], NULL);
    ck_assert_uint_eq(tkx_queue_size(queue), N);
    ck_assert_int_eq(next_tag(), 3);
    ck_assert_int_eq(next_tag(), 0);
    ck_assert_uint_eq(tkx_queue_size(queue), N - 2);
    ck_assert_int_eq(tkx_queue_next(queue, -1, &future, NULL, &err), TKX_ERR_WOULD_BLOCK);
    for (int i = 0; i < N; i++)
        tkx__future_succeed(futures[i], NULL);
    for (int i = 0; i < N - 2; i++)
        next_tag();
    ck_assert_int_eq(tkx_queue_next(queue, -1, &future, NULL, &err), TKX_ERR_NOT_FOUND);
    tkx_error_free(err);
}
END_TEST

START_TEST(takes_a_future_that_has_completed)
{
    tkx__future_succeed(futures[1], NULL);
    next_tag();
    ck_assert_int_eq(tkx_queue_add(queue, futures[1], &tags[4], NULL), TKX_OK);
    ck_assert_int_eq(next_tag(), 4);
}
END_TEST

START_TEST(may_be_freed_before_its_futures_complete)
{
    tkx__future_succeed(futures[2], NULL);
    tkx_queue_free(queue);
    tkx__future_succeed(futures[1], NULL);
    tkx__future_succeed(futures[0], NULL);
    queue = NULL;
}
END_TEST

static void *drain(void *arg)
{
    int n = 0;
    tkx_future *future;

    (void)arg;
    while (tkx_queue_next(queue, -1, &future, NULL, NULL) == TKX_OK) {
        tkx_future_unref(future);
        n++;
    }
    return (void *)(intptr_t)n;
}

START_TEST(several_threads_share_what_comes)
{
    pthread_t threads[3];
    intptr_t sum = 0;
    void *n;

    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, drain, NULL), 0);
    for (int i = 0; i < N; i++)
        tkx__future_succeed(futures[i], NULL);
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], &n);
        sum += (intptr_t)n;
    }
    ck_assert_int_eq((int)sum, N);
}
END_TEST

START_TEST(short_memory_is_a_clean_error)
{
    tkx_queue *q = NULL;

    fail_alloc_begin(1);
    ck_assert_int_eq(tkx_queue_new(&q, NULL), TKX_ERR_NO_MEMORY);
    ck_assert_int_eq(fail_alloc_end(), 0);
    fail_alloc_begin(1);
    ck_assert_int_eq(tkx_queue_add(queue, futures[0], NULL, NULL), TKX_ERR_NO_MEMORY);
    ck_assert_int_eq(fail_alloc_end(), 0);
    ck_assert_uint_eq(tkx_queue_size(queue), N);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("queue");
    TCase *tc = tcase_create("queue");

    tcase_add_checked_fixture(tc, open_world, close_world);
    tcase_add_test(tc, comes_in_order_of_finishing);
    tcase_add_test(tc, takes_a_future_that_has_completed);
    tcase_add_test(tc, may_be_freed_before_its_futures_complete);
    tcase_add_test(tc, several_threads_share_what_comes);
    tcase_add_test(tc, short_memory_is_a_clean_error);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
