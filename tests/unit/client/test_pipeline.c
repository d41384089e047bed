/* SPDX-License-Identifier: Apache-2.0 */
/* test_pipeline.c - steps in flight, their outcomes in order, and what a failure
   stops. */
#include <string.h>

#include <tkx/pipeline.h>

#include "scripted.h"
#include "support/suite.h"

static scripted s;
static tkx_training *training;
static tkx_pipeline *pipeline;

static void begin(void)
{
    scripted_begin(&s);
    training = scripted_lora(&s);
    ck_assert_int_eq(tkx_pipeline_new(training, NULL, &pipeline, NULL), TKX_OK);
}

static void set_up(void)
{
    s = (scripted){0};
}

static void finish(void)
{
    tkx_pipeline_free(pipeline);
    tkx_training_free(training);
    scripted_end(&s);
}

/* The fake io's only thread is its loop thread: nothing here may block. */
static tkx_status submit(uint64_t *number, tkx_error **err)
{
    tkx_pipeline_step step = TKX_PIPELINE_STEP_INIT;

    step.data = &scripted_datum;
    step.n_data = 1;
    step.tag = number;
    return tkx_pipeline_submit(pipeline, &step, 0, number, err);
}

static tkx_status take(tkx_pipeline_outcome *outcome)
{
    *outcome = (tkx_pipeline_outcome)TKX_PIPELINE_OUTCOME_INIT;
    return tkx_pipeline_next(pipeline, 0, outcome, NULL);
}

START_TEST(outcomes_come_in_the_order_of_the_steps)
{
    tkx_pipeline_outcome o;
    uint64_t number[3];

    begin();
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(submit(&number[i], NULL), TKX_OK);
        ck_assert_uint_eq(number[i], (unsigned)i + 1);
        fake_io_turn(s.io);
    }
    ck_assert_uint_eq(tkx_pipeline_size(pipeline), 3);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(take(&o), TKX_OK);
        ck_assert_uint_eq(o.number, (unsigned)i + 1);
        ck_assert_ptr_eq(o.tag, &number[i]);
        ck_assert_ptr_nonnull(o.forward);
        ck_assert_ptr_nonnull(o.optim);
        ck_assert_ptr_null(o.error);
        tkx_pipeline_outcome_clear(&o);
    }
    ck_assert_int_eq(take(&o), TKX_ERR_NOT_FOUND);
    finish();
}
END_TEST

START_TEST(no_more_than_depth_are_in_flight)
{
    uint64_t number;

    begin();
    s.held = "retrieve_future";
    ck_assert_int_eq(submit(&number, NULL), TKX_OK);
    ck_assert_int_eq(submit(&number, NULL), TKX_OK);
    fake_io_turn(s.io);
    ck_assert_int_eq(submit(&number, NULL), TKX_ERR_TIMEOUT);
    ck_assert_uint_eq(tkx_pipeline_size(pipeline), 2);
    ck_assert_uint_eq(fake_io_count(s.io, "optim_step"), 2);
    s.held = NULL;
    fake_io_advance(s.io, 60000); /* the long polls are asked again */
    ck_assert_int_eq(submit(&number, NULL), TKX_OK);
    fake_io_turn(s.io);
    finish();
}
END_TEST

START_TEST(a_snapshot_has_its_place_behind_the_latest_step)
{
    tkx_sampling *sampling;
    tkx_future *future;
    uint64_t number;

    begin();
    ck_assert_int_eq(submit(&number, NULL), TKX_OK);
    ck_assert_int_eq(tkx_pipeline_snapshot(pipeline, &number, &future, NULL), TKX_OK);
    ck_assert_uint_eq(number, 1);
    ck_assert_int_eq(submit(&number, NULL), TKX_OK);
    scripted_expect(&s, future, TKX_OK);
    ck_assert_ptr_nonnull(
        strstr(fake_io_sent(s.io, scripted_last(&s, "save_weights_for_sampler"))->body,
               "\"seq_id\":3"));
    ck_assert_int_eq(tkx_future_take_sampling(future, &sampling, NULL), TKX_OK);
    tkx_sampling_free(sampling);
    tkx_future_unref(future);
    finish();
}
END_TEST

/* Loop: refused for certain, after which the client is whole; or lost, then it is not. */
START_TEST(nothing_follows_a_failed_step_before_it_was_looked_at)
{
    tkx_pipeline_outcome o;
    tkx_error *err = NULL;
    uint64_t number;

    begin();
    s.refused = _i == 0 ? "forward_backward" : NULL;
    s.garbled = _i == 1 ? "forward_backward" : NULL;
    ck_assert_int_eq(submit(&number, NULL), TKX_OK);
    fake_io_turn(s.io);
    s.refused = s.garbled = NULL;
    ck_assert_int_eq(submit(&number, &err), TKX_ERR_CLIENT_BROKEN);
    ck_assert_ptr_nonnull(tkx_error_cause(err));
    tkx_error_free(err);
    err = NULL;
    ck_assert_int_eq(take(&o), TKX_OK);
    ck_assert_ptr_nonnull(o.error);
    ck_assert_ptr_null(o.forward);
    tkx_pipeline_outcome_clear(&o);
    tkx_pipeline_outcome_clear(NULL); /* harmless */
    ck_assert_int_eq(submit(&number, &err), _i == 0 ? TKX_OK : TKX_ERR_CLIENT_BROKEN);
    ck_assert_int_eq(tkx_training_check(training, NULL),
                     _i == 0 ? TKX_OK : TKX_ERR_CLIENT_BROKEN);
    tkx_error_free(err);
    fake_io_turn(s.io);
    finish();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pipeline");
    TCase *tc = tcase_create("pipeline");

    tcase_add_checked_fixture(tc, set_up, NULL);
    tcase_add_test(tc, outcomes_come_in_the_order_of_the_steps);
    tcase_add_test(tc, no_more_than_depth_are_in_flight);
    tcase_add_test(tc, a_snapshot_has_its_place_behind_the_latest_step);
    tcase_add_loop_test(tc, nothing_follows_a_failed_step_before_it_was_looked_at, 0, 2);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
