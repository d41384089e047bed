/* SPDX-License-Identifier: Apache-2.0 */
/* test_recovery.c - the watch over a run, on a virtual clock. */
#include <stdio.h>
#include <string.h>

#include <tkx/recovery.h>

#include "scripted.h"
#include "support/suite.h"

static scripted s;
static tkx_training *training, *recovered;
static tkx_recovery *watch;
static bool is_corrupted, has_checkpoint, stops_inside;
static int n_corrupted, n_recovered, n_failed, n_last;
static char from[64];

/* The run as the service shows it. */
static bool serve_run(fake_io *io, size_t i, const char *route)
{
    char body[512];

    if (strncmp(route, "training_runs/", 14) != 0)
        return false;
    snprintf(
        body, sizeof body,
        "{\"training_run_id\":\"M\",\"base_model\":\"acme/tiny\",\"model_owner\":\"o\","
        "\"is_lora\":true,\"corrupted\":%s,\"lora_rank\":8,\"last_request_time\":"
        "\"2026-01-01T00:00:00Z\",\"last_checkpoint\":%s}",
        is_corrupted ? "true" : "false",
        has_checkpoint
            ? "{\"checkpoint_id\":\"weights/a\",\"checkpoint_type\":\"training\","
              "\"time\":\"2026-01-01T00:00:00Z\",\"tinker_path\":"
              "\"tinker://M/weights/a\"}"
            : "null");
    fake_io_answer(io, i, 200, NULL, body);
    return true;
}

static void on_corrupted(const tkx_training_run *run, void *user_data)
{
    ck_assert_ptr_eq(user_data, &s);
    ck_assert_str_eq(run->training_run_id, "M");
    n_corrupted++;
}

static void on_recovered(tkx_training *new_training, const char *path, void *user_data)
{
    (void)user_data;
    tkx_training_free(recovered);
    recovered = new_training;
    snprintf(from, sizeof from, "%s", path);
    n_recovered++;
    is_corrupted = false;
    if (stops_inside) {
        tkx_recovery_stop(watch);
        watch = NULL;
    }
}

static void on_failed(const tkx_error *error, unsigned attempt, int is_last,
                      void *user_data)
{
    (void)user_data;
    ck_assert_ptr_nonnull(error);
    n_failed++;
    ck_assert_uint_eq(attempt, has_checkpoint ? (unsigned)n_failed : 0);
    n_last += is_last;
}

static void begin(const char *checkpoint)
{
    tkx_recovery_options options = TKX_RECOVERY_OPTIONS_INIT;

    s = (scripted){.serve = serve_run};
    is_corrupted = stops_inside = false;
    has_checkpoint = true;
    n_corrupted = n_recovered = n_failed = n_last = 0;
    recovered = NULL;
    scripted_begin(&s);
    training = scripted_lora(&s);
    options.checkpoint = checkpoint;
    options.events = (tkx_recovery_events){on_corrupted, on_recovered, on_failed};
    options.user_data = &s;
    ck_assert_int_eq(tkx_recovery_start(training, &options, &watch, NULL), TKX_OK);
}

static void finish(void)
{
    tkx_recovery_stop(watch);
    watch = NULL;
    tkx_training_free(training);
    tkx_training_free(recovered);
    scripted_end(&s);
}

START_TEST(a_sound_run_is_asked_for_every_half_minute)
{
    begin(NULL);
    fake_io_advance(s.io, 29999);
    ck_assert_uint_eq(fake_io_count(s.io, "training_runs/M"), 0);
    fake_io_advance(s.io, 1);
    ck_assert_uint_eq(fake_io_count(s.io, "training_runs/M"), 1);
    fake_io_advance(s.io, 60000);
    ck_assert_uint_eq(fake_io_count(s.io, "training_runs/M"), 3);
    ck_assert_int_eq(n_corrupted + n_recovered + n_failed, 0);
    finish();
}
END_TEST

START_TEST(a_corrupted_run_is_restored_from_its_newest_state)
{
    begin(NULL);
    is_corrupted = true;
    fake_io_advance(s.io, 31000);
    ck_assert_int_eq(n_corrupted, 1);
    ck_assert_int_eq(n_recovered, 1);
    ck_assert_str_eq(from, "tinker://M/weights/a");
    const char *body = fake_io_sent(s.io, scripted_last(&s, "load_weights"))->body;
    ck_assert_ptr_nonnull(strstr(body, "\"optimizer\":true"));
    ck_assert_ptr_nonnull(strstr(body, "tinker://M/weights/a"));
    /* From now on the new run is watched. */
    fake_io_advance(s.io, 31000);
    ck_assert_uint_eq(fake_io_count(s.io, "training_runs/M"), 1);
    ck_assert_uint_eq(fake_io_count(s.io, "training_runs/S"), 1);
    finish();
}
END_TEST

START_TEST(a_given_checkpoint_is_restored)
{
    begin("tinker://other/weights/b");
    is_corrupted = true;
    has_checkpoint = false;
    fake_io_advance(s.io, 31000);
    ck_assert_str_eq(from, "tinker://other/weights/b");
    finish();
}
END_TEST

START_TEST(attempts_are_few_and_far_between)
{
    begin(NULL);
    is_corrupted = true;
    s.refused = "load_weights";
    s.missing = "weights_info";
    fake_io_advance(s.io, 30000);
    ck_assert_int_eq(n_failed, 1);
    fake_io_advance(s.io, 4999);
    ck_assert_int_eq(n_failed, 1);
    fake_io_advance(s.io, 1);
    ck_assert_int_eq(n_failed, 2);
    fake_io_advance(s.io, 9999);
    ck_assert_int_eq(n_failed, 2);
    fake_io_advance(s.io, 1);
    ck_assert_int_eq(n_failed, 3);
    ck_assert_int_eq(n_last, 1);
    fake_io_advance(s.io, 600000);
    ck_assert_int_eq(n_failed, 3);
    ck_assert_uint_eq(fake_io_count(s.io, "training_runs/M"), 1);
    finish();
}
END_TEST

START_TEST(nothing_to_restore_ends_the_watch)
{
    begin(NULL);
    is_corrupted = true;
    has_checkpoint = false;
    fake_io_advance(s.io, 120000);
    ck_assert_int_eq(n_corrupted, 1);
    ck_assert_int_eq(n_failed, 1);
    ck_assert_int_eq(n_last, 1);
    finish();
}
END_TEST

START_TEST(no_answer_is_no_corruption)
{
    begin(NULL);
    s.serve = NULL;
    s.missing = "training_runs/M";
    fake_io_advance(s.io, 95000);
    ck_assert_uint_eq(fake_io_count(s.io, "training_runs/M"), 3);
    ck_assert_int_eq(n_corrupted + n_failed, 0);
    finish();
}
END_TEST

START_TEST(it_can_be_stopped_from_inside)
{
    begin(NULL);
    is_corrupted = stops_inside = true;
    fake_io_advance(s.io, 31000);
    ck_assert_int_eq(n_recovered, 1);
    size_t n = fake_io_count(s.io, "training_runs/");
    fake_io_advance(s.io, 120000);
    ck_assert_uint_eq(fake_io_count(s.io, "training_runs/"), n);
    finish();
}
END_TEST

START_TEST(it_can_be_stopped_while_it_restores)
{
    begin(NULL);
    is_corrupted = true;
    s.held = "load_weights";
    fake_io_advance(s.io, 31000);
    tkx_recovery_stop(watch);
    watch = NULL;
    s.held = NULL;
    fake_io_answer(s.io, scripted_last(&s, "load_weights"), 200, NULL,
                   "{\"request_id\":\"load_weights-9\"}");
    fake_io_advance(s.io, 1000);
    ck_assert_int_eq(n_recovered, 0); /* and the client that nobody took is freed */
    finish();
}
END_TEST

START_TEST(wrong_options_are_refused)
{
    tkx_recovery_options options = TKX_RECOVERY_OPTIONS_INIT;
    tkx_recovery *other;

    begin(NULL);
    ck_assert_int_eq(tkx_recovery_start(training, &options, &other, NULL),
                     TKX_ERR_INVALID_ARGUMENT);
    options.events.on_recovered = on_recovered;
    options.poll_ms = 0;
    ck_assert_int_eq(tkx_recovery_start(training, &options, &other, NULL),
                     TKX_ERR_INVALID_ARGUMENT);
    finish();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("recovery");
    TCase *tc = tcase_create("all");

    tcase_add_test(tc, a_sound_run_is_asked_for_every_half_minute);
    tcase_add_test(tc, a_corrupted_run_is_restored_from_its_newest_state);
    tcase_add_test(tc, a_given_checkpoint_is_restored);
    tcase_add_test(tc, attempts_are_few_and_far_between);
    tcase_add_test(tc, nothing_to_restore_ends_the_watch);
    tcase_add_test(tc, no_answer_is_no_corruption);
    tcase_add_test(tc, it_can_be_stopped_from_inside);
    tcase_add_test(tc, it_can_be_stopped_while_it_restores);
    tcase_add_test(tc, wrong_options_are_refused);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
