/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_push_back.c - a 429 of whatever request teaches the limiter, and nothing but
 * samples is throttled by one.
 */
#include <string.h>

#include <tkx/limiter.h>

#include "scripted.h"
#include "support/suite.h"

static scripted s;
static const char *pushed; /* the route that is pushed back */
static int n_left;         /* as often */

static bool push_back(fake_io *io, size_t i, const char *route)
{
    if (strcmp(route, pushed) != 0 || n_left == 0)
        return false;
    n_left--;
    fake_io_answer(io, i, 429, "retry-after-ms: 100", "{\"detail\":\"slow down\"}");
    return true;
}

static tkx_limiter_info look(void)
{
    tkx_limiter_info info = TKX_LIMITER_INFO_INIT;

    ck_assert_int_eq(tkx_limiter_look(s.context, &info, NULL), TKX_OK);
    return info;
}

static void step(tkx_training *t)
{
    tkx_future *future;

    n_left = 1;
    ck_assert_int_eq(tkx_training_optim_step(t, NULL, &future, NULL), TKX_OK);
    fake_io_turn(s.io);
    fake_io_advance(s.io, 5000); /* the submit or the poll again */
    scripted_expect(&s, future, TKX_OK);
    ck_assert_int_eq(n_left, 0);
    tkx_future_unref(future);
}

static const char *const routes[] = {"optim_step", "retrieve_future"};

/* Loop: the submit, the poll.  The first episode changes nothing. */
START_TEST(training_and_its_polls_teach_the_limiter)
{
    s = (scripted){.serve = push_back};
    pushed = routes[_i];
    n_left = 0;
    scripted_begin(&s);
    tkx_training *t = scripted_lora(&s);
    step(t);
    ck_assert_uint_eq(look().n_push_backs, 1);
    ck_assert_int_eq(look().max_in_flight, 400);
    fake_io_advance(s.io, 15000);
    step(t);
    ck_assert_uint_eq(look().n_push_backs, 2);
    ck_assert_uint_eq(look().n_cuts, 1);
    ck_assert_int_eq(look().max_in_flight, 200);
    tkx_training_free(t);
    scripted_end(&s);
}
END_TEST

/* The ten slots of a throttled time are the protocol's, and for samples alone. */
START_TEST(samples_are_not_throttled_by_the_push_back_of_a_step)
{
    enum { N = 30 };
    static const int32_t tokens[] = {1};
    const tkx_chunk chunk = tkx_chunk_text(tokens, 1);
    tkx_sample_request request = TKX_SAMPLE_REQUEST_INIT;
    tkx_future *futures[N];

    s = (scripted){.serve = push_back};
    pushed = "optim_step";
    n_left = 0;
    scripted_begin(&s);
    tkx_training *t = scripted_lora(&s);
    tkx_sampling *sampling = scripted_sampling(&s);
    step(t);
    s.held = "asample";
    request.prompt = (tkx_model_input){&chunk, 1};
    for (int i = 0; i < N; i++)
        ck_assert_int_eq(tkx_sampling_sample(sampling, &request, 0, &futures[i], NULL),
                         TKX_OK);
    fake_io_turn(s.io);
    ck_assert_uint_eq(fake_io_count(s.io, "asample"), N);
    ck_assert_int_eq(look().n_in_flight, N);
    for (int i = 0; i < N; i++)
        tkx_future_unref(futures[i]);
    tkx_sampling_free(sampling);
    tkx_training_free(t);
    scripted_end(&s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("push_back");
    TCase *tc = tcase_create("push_back");

    tcase_add_loop_test(tc, training_and_its_polls_teach_the_limiter, 0, 2);
    tcase_add_test(tc, samples_are_not_throttled_by_the_push_back_of_a_step);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
