/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_training.c - the training client on a scripted server (behaviour checks 12, 13,
 * 15, 22, 27, 30 from the public side).
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "scripted.h"
#include "support/suite.h"

static scripted s;

static void set_up(void)
{
    s = (scripted){0};
}

static tkx_future *forward_backward(tkx_training *t, size_t n)
{
    static tkx_datum data[3000];
    tkx_future *future = NULL;

    for (size_t i = 0; i < n; i++)
        data[i] = scripted_datum;
    ck_assert_int_eq(tkx_training_forward_backward(t, data, n, TKX_LOSS_CROSS_ENTROPY,
                                                   NULL, &future, NULL),
                     TKX_OK);
    return future;
}

static tkx_future *optim_step(tkx_training *t)
{
    tkx_future *future = NULL;
    ck_assert_int_eq(tkx_training_optim_step(t, NULL, &future, NULL), TKX_OK);
    return future;
}

START_TEST(one_step_goes_through)
{
    tkx_forward_backward_output *output;
    tkx_optim_step_result *step;

    scripted_begin(&s);
    tkx_training *t = scripted_lora(&s);
    ck_assert_str_eq(tkx_training_model_id(t), "M");
    ck_assert_int_eq(tkx_training_info(t)->lora_rank, 8);
    tkx_future *a = forward_backward(t, 1);
    tkx_future *b = optim_step(t);
    scripted_expect(&s, a, TKX_OK);
    scripted_expect(&s, b, TKX_OK);
    ck_assert_int_eq(tkx_future_take_forward_backward(a, &output, NULL), TKX_OK);
    ck_assert_uint_eq(output->n_outputs, 1);
    ck_assert_int_eq(tkx_future_take_optim_step(b, &step, NULL), TKX_OK);
    ck_assert_uint_eq(step->n_metrics, 1);
    ck_assert_ptr_nonnull(strstr(
        fake_io_sent(s.io, scripted_last(&s, "optim_step"))->body, "\"seq_id\":2"));
    tkx_forward_backward_output_free(output);
    tkx_optim_step_result_free(step);
    tkx_future_unref(a);
    tkx_future_unref(b);
    tkx_training_free(t);
    scripted_end(&s);
}
END_TEST

START_TEST(many_datums_go_out_in_chunks)
{
    tkx_forward_backward_output *output;

    scripted_begin(&s);
    tkx_training *t = scripted_lora(&s);
    tkx_future *a = forward_backward(t, 2500);
    tkx_future *b = optim_step(t);
    scripted_expect(&s, b, TKX_OK);
    scripted_expect(&s, a, TKX_OK);
    ck_assert_uint_eq(fake_io_count(s.io, "forward_backward"), 3);
    ck_assert_ptr_nonnull(strstr(
        fake_io_sent(s.io, scripted_last(&s, "optim_step"))->body, "\"seq_id\":4"));
    ck_assert_int_eq(tkx_future_take_forward_backward(a, &output, NULL), TKX_OK);
    ck_assert_uint_eq(output->n_outputs, 3); /* one of each scripted answer */
    tkx_forward_backward_output_free(output);
    tkx_future_unref(a);
    tkx_future_unref(b);
    tkx_training_free(t);
    scripted_end(&s);
}
END_TEST

START_TEST(bad_input_takes_no_number)
{
    tkx_future *future = NULL;
    tkx_error *err = NULL;
    const int64_t shape[] = {2};
    tkx_named_tensor bad_shape = scripted_inputs[0];
    tkx_datum bad = scripted_datum;

    scripted_begin(&s);
    tkx_training *t = scripted_lora(&s);
    ck_assert_int_eq(
        tkx_training_forward_backward(t, NULL, 0, "cross_entropy", NULL, &future, &err),
        TKX_ERR_INVALID_ARGUMENT);
    tkx_error_free(err);
    err = NULL;
    bad_shape.tensor.has_shape = true;
    bad_shape.tensor.n_dims = 1;
    bad_shape.tensor.shape = shape;
    bad.loss_fn_inputs = &bad_shape;
    bad.n_loss_fn_inputs = 1;
    ck_assert_int_eq(
        tkx_training_forward_backward(t, &bad, 1, "cross_entropy", NULL, &future, &err),
        TKX_ERR_INVALID_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(tkx_error_message(err), "target_tokens"));
    tkx_error_free(err);
    future = optim_step(t);
    scripted_expect(&s, future, TKX_OK);
    ck_assert_ptr_nonnull(strstr(
        fake_io_sent(s.io, scripted_last(&s, "optim_step"))->body, "\"seq_id\":1"));
    tkx_future_unref(future);
    tkx_training_free(t);
    scripted_end(&s);
}
END_TEST

START_TEST(a_refused_chunk_fails_the_call_and_what_follows)
{
    size_t n;

    s.refused = "forward_backward";
    scripted_begin(&s);
    tkx_training *t = scripted_lora(&s);
    tkx_future *a = forward_backward(t, 2500);
    tkx_future *b = optim_step(t);
    scripted_expect(&s, a, TKX_ERR_HTTP);
    scripted_expect(&s, b, TKX_ERR_CLIENT_BROKEN);
    const tkx_chunk_report *chunks = tkx_error_chunks(tkx_future_error(a), &n);
    ck_assert_uint_eq(n, 3);
    ck_assert_int_eq(chunks[0].state, TKX_CHUNK_NOT_SENT);
    ck_assert_uint_eq(chunks[1].first_datum, 1024);
    ck_assert_uint_eq(chunks[1].n_datums, 1024);
    ck_assert_int_eq(chunks[1].seq_id, 2);
    ck_assert_int_eq(chunks[1].state, TKX_CHUNK_REFUSED);
    ck_assert_int_eq(tkx_error_http_status(chunks[1].error), 422);
    ck_assert_ptr_nonnull(
        strstr(tkx_error_message(tkx_future_error(a)), "datums 1024 to 2047"));
    tkx_future_unref(a);
    tkx_future_unref(b);
    tkx_training_free(t);
    scripted_end(&s);
}
END_TEST

START_TEST(a_server_without_protobuf_gets_json)
{
    s.refused = "forward_backward"; /* protobuf and JSON alike */
    scripted_begin(&s);
    tkx_training *t = scripted_lora(&s);
    tkx_future *a = forward_backward(t, 1);
    scripted_expect(&s, a, TKX_ERR_HTTP);
    ck_assert_uint_eq(fake_io_count(s.io, "forward_backward"), 2);
    ck_assert_str_eq(
        fake_io_header(s.io, scripted_nth(&s, "forward_backward", 0), "content-type"),
        "application/x-protobuf");
    ck_assert_str_eq(
        fake_io_header(s.io, scripted_nth(&s, "forward_backward", 1), "content-type"),
        "application/json");
    tkx_future_unref(a);
    tkx_training_free(t);
    scripted_end(&s);
}
END_TEST

START_TEST(saves_and_loads_go_out_with_their_numbers)
{
    tkx_save_weights_result *saved;
    tkx_load_weights_result *loaded;
    tkx_load_options load = TKX_LOAD_OPTIONS_INIT;
    tkx_future *f[3];

    load.with_optimizer = 1;
    scripted_begin(&s);
    tkx_training *t = scripted_lora(&s);
    ck_assert_int_eq(
        tkx_training_load_state(t, "tinker://M/weights/x", &load, &f[0], NULL), TKX_OK);
    ck_assert_int_eq(tkx_training_save_state(t, "x", NULL, &f[1], NULL), TKX_OK);
    ck_assert_int_eq(tkx_training_save_weights_for_sampler(t, "y", NULL, &f[2], NULL),
                     TKX_OK);
    for (int i = 0; i < 3; i++)
        scripted_expect(&s, f[i], TKX_OK);
    ck_assert_int_eq(tkx_future_take_load_weights(f[0], &loaded, NULL), TKX_OK);
    ck_assert_int_eq(tkx_future_take_save_weights(f[1], &saved, NULL), TKX_OK);
    ck_assert_str_eq(saved->path, "tinker://M/weights/x");
    ck_assert_ptr_nonnull(strstr(
        fake_io_sent(s.io, scripted_last(&s, "save_weights_for"))->body, "\"seq_id\":3"));
    tkx_save_weights_result_free(saved);
    tkx_load_weights_result_free(loaded);
    for (int i = 0; i < 3; i++)
        tkx_future_unref(f[i]);
    tkx_training_free(t);
    scripted_end(&s);
}
END_TEST

START_TEST(unnamed_save_makes_a_sampling_client_at_once)
{
    tkx_future *future;
    tkx_sampling *sampling;

    scripted_begin(&s);
    tkx_training *t = scripted_lora(&s);
    ck_assert_int_eq(
        tkx_training_save_weights_and_get_sampling_client(t, NULL, &future, NULL),
        TKX_OK);
    scripted_expect(&s, future, TKX_OK);
    ck_assert_int_eq(tkx_future_take_sampling(future, &sampling, NULL), TKX_OK);
    ck_assert_str_eq(tkx_sampling_id(sampling), "S:sample:7");
    ck_assert_uint_eq(fake_io_count(s.io, "create_sampling_session"), 0);
    tkx_future_unref(future);
    tkx_sampling_free(sampling);
    tkx_training_free(t);
    scripted_end(&s);
}
END_TEST

START_TEST(a_failed_get_info_loses_no_model)
{
    s.missing = "get_info";
    scripted_begin(&s);
    tkx_training *t = scripted_lora(&s);
    ck_assert_str_eq(tkx_training_model_id(t), "M");
    ck_assert_ptr_null(tkx_training_info(t));
    tkx_training_free(t);
    scripted_end(&s);
}
END_TEST

static tkx_training *from_checkpoint(void)
{
    tkx_checkpoint_options options = TKX_CHECKPOINT_OPTIONS_INIT;
    tkx_training *training;
    tkx_future *future;

    options.path = "tinker://M/weights/x";
    ck_assert_int_eq(
        tkx_service_create_from_checkpoint(s.service, &options, &future, NULL), TKX_OK);
    scripted_expect(&s, future, TKX_OK);
    ck_assert_int_eq(tkx_future_take_training(future, &training, NULL), TKX_OK);
    tkx_future_unref(future);
    return training;
}

START_TEST(a_checkpoint_loads_in_one_request)
{
    scripted_begin(&s);
    tkx_training *t = from_checkpoint();
    ck_assert_str_eq(tkx_training_model_id(t), "S:train:0");
    ck_assert_uint_eq(fake_io_count(s.io, "create_model"), 0);
    tkx_future *f = optim_step(t);
    scripted_expect(&s, f, TKX_OK);
    ck_assert_ptr_nonnull(strstr(
        fake_io_sent(s.io, scripted_last(&s, "optim_step"))->body, "\"seq_id\":1"));
    tkx_future_unref(f);
    tkx_training_free(t);
    scripted_end(&s);
}
END_TEST

START_TEST(an_older_service_loads_step_by_step)
{
    scripted_begin(&s);
    s.held = "load_weights";
    tkx_checkpoint_options options = TKX_CHECKPOINT_OPTIONS_INIT;
    tkx_future *future;
    tkx_training *training;
    options.path = "tinker://M/weights/x";
    ck_assert_int_eq(
        tkx_service_create_from_checkpoint(s.service, &options, &future, NULL), TKX_OK);
    fake_io_turn(s.io);
    s.held = NULL;
    fake_io_answer(
        s.io, scripted_last(&s, "load_weights"), 422, NULL,
        "{\"detail\":[{\"loc\":[\"body\",\"model_id\"],\"msg\":\"missing\"}]}");
    scripted_expect(&s, future, TKX_OK);
    ck_assert_int_eq(tkx_future_take_training(future, &training, NULL), TKX_OK);
    ck_assert_uint_eq(fake_io_count(s.io, "weights_info"), 1);
    ck_assert_uint_eq(fake_io_count(s.io, "create_model"), 1);
    ck_assert_uint_eq(fake_io_count(s.io, "load_weights"), 2);
    ck_assert_ptr_nonnull(strstr(
        fake_io_sent(s.io, scripted_last(&s, "load_weights"))->body, "\"seq_id\":1"));
    tkx_training *second = from_checkpoint(); /* goes that way at once */
    ck_assert_uint_eq(fake_io_count(s.io, "load_weights"), 3);
    tkx_future *f = optim_step(training);
    scripted_expect(&s, f, TKX_OK);
    ck_assert_ptr_nonnull(strstr(
        fake_io_sent(s.io, scripted_last(&s, "optim_step"))->body, "\"seq_id\":2"));
    tkx_future_unref(f);
    tkx_future_unref(future);
    tkx_training_free(training);
    tkx_training_free(second);
    scripted_end(&s);
}
END_TEST

START_TEST(a_cancelled_step_is_submitted_all_the_same)
{
    scripted_begin(&s);
    tkx_training *t = scripted_lora(&s);
    s.held = "forward_backward";
    tkx_future *a = forward_backward(t, 1);
    tkx_future *b = optim_step(t);
    tkx_future *c = optim_step(t);
    fake_io_turn(s.io);
    ck_assert_int_eq(tkx_future_cancel(b), TKX_CANCEL_DETACHED);
    fake_io_turn(s.io);
    ck_assert_int_eq(tkx_error_status(tkx_future_error(b)), TKX_ERR_CANCELLED);
    s.held = NULL;
    fake_io_answer(s.io, scripted_last(&s, "forward_backward"), 200, NULL,
                   "{\"request_id\":\"forward-x\"}");
    scripted_expect(&s, a, TKX_OK);
    scripted_expect(&s, c, TKX_OK);
    ck_assert_uint_eq(fake_io_count(s.io, "optim_step"), 2);
    tkx_future_unref(a);
    tkx_future_unref(b);
    tkx_future_unref(c);
    tkx_training_free(t);
    scripted_end(&s);
}
END_TEST

START_TEST(closing_ends_what_is_in_flight)
{
    s.held = _i == 0   ? "forward_backward"
             : _i == 1 ? "retrieve_future"
                       : "create_session";
    scripted_begin(&s);
    tkx_future *f[2];
    tkx_training *t = NULL;
    if (_i == 2) {
        ck_assert_int_eq(tkx_service_start(s.service, &f[0], NULL), TKX_OK);
        ck_assert_int_eq(tkx_service_start(s.service, &f[1], NULL), TKX_OK);
    } else {
        s.held = NULL;
        t = scripted_lora(&s);
        s.held = _i == 0 ? "forward_backward" : "retrieve_future";
        f[0] = forward_backward(t, 2500);
        f[1] = optim_step(t);
    }
    fake_io_turn(s.io);
    tkx_context_close(s.context, 0, 0, NULL);
    for (int i = 0; i < 2; i++) {
        ck_assert(tkx_future_is_done(f[i]));
        ck_assert_int_eq(tkx_error_status(tkx_future_error(f[i])), TKX_ERR_CLOSED);
        tkx_future_unref(f[i]);
    }
    tkx_training_free(t);
    scripted_end(&s);
}
END_TEST

/* The last reference goes, and the context closes before the loop has looked at that. */
START_TEST(closing_overtakes_the_last_reference)
{
    scripted_begin(&s);
    tkx_training_free(scripted_lora(&s));
    fake_io_turn(s.io);
    s.held = "/finish";
    tkx_service_free(s.service);
    if (_i == 1)
        fake_io_turn(s.io); /* the finish request is under way */
    tkx_context_close(s.context, 0, 0, NULL);
    tkx_context_free(s.context);
    fake_io_free(s.io);
}
END_TEST

START_TEST(a_dead_session_fails_new_calls_at_once)
{
    scripted_begin(&s);
    tkx_training *t = scripted_lora(&s);
    s.missing = "session_heartbeat";
    fake_io_advance(s.io, 10000);
    tkx_future *f = optim_step(t);
    scripted_expect(&s, f, TKX_ERR_SESSION_DEAD);
    tkx_future_unref(f);
    tkx_training_free(t);
    scripted_end(&s);
}
END_TEST

/* Two threads, 1,000 calls each: all numbers once, each thread's own order kept. */
typedef struct caller {
    tkx_training *training;
    tkx_future *futures[1000];
} caller;

static void *call_many(void *arg)
{
    caller *c = arg;

    for (int i = 0; i < 1000; i++)
        if (tkx_training_optim_step(c->training, NULL, &c->futures[i], NULL) != TKX_OK)
            abort();
    return NULL;
}

START_TEST(two_threads_share_the_numbers)
{
    static caller c[2];
    pthread_t threads[2];
    bool seen[2001] = {false};

    scripted_begin(&s);
    tkx_training *t = scripted_lora(&s);
    for (int i = 0; i < 2; i++) {
        c[i].training = t;
        pthread_create(&threads[i], NULL, call_many, &c[i]);
    }
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    fake_io_turn(s.io);
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < 1000; k++) {
            scripted_expect(&s, c[i].futures[k], TKX_OK);
            tkx_future_unref(c[i].futures[k]);
        }
    int expected = 1;
    for (size_t i = 0; i < fake_io_n_sent(s.io); i++) {
        if (!strstr(fake_io_sent(s.io, i)->url, "optim_step"))
            continue;
        int seq = atoi(strstr(fake_io_sent(s.io, i)->body, "\"seq_id\":") + 9);
        ck_assert_int_eq(seq, expected++);
        ck_assert(!seen[seq]);
        seen[seq] = true;
    }
    ck_assert_int_eq(expected, 2001);
    tkx_training_free(t);
    scripted_end(&s);
}
END_TEST

static bool clash_once(fake_io *io, size_t i, const char *route)
{
    if ((strcmp(route, "save_weights") != 0 && strcmp(route, "optim_step") != 0) ||
        fake_io_count(io, route) != 1)
        return false;
    fake_io_answer(io, i, 409, NULL, "{\"detail\":\"there is one\"}");
    return true;
}

/* A name clash does not pass by waiting; elsewhere a 409 is asked again. */
START_TEST(a_clash_of_names_is_told_at_once)
{
    tkx_future *future;

    s.serve = clash_once;
    scripted_begin(&s);
    tkx_training *t = scripted_lora(&s);
    ck_assert_int_eq(tkx_training_save_state(t, "x", NULL, &future, NULL), TKX_OK);
    scripted_expect(&s, future, TKX_ERR_HTTP);
    ck_assert_int_eq(tkx_error_http_status(tkx_future_error(future)), 409);
    ck_assert_uint_eq(fake_io_count(s.io, "save_weights"), 1);
    tkx_future_unref(future);
    ck_assert_int_eq(tkx_training_optim_step(t, NULL, &future, NULL), TKX_OK);
    fake_io_turn(s.io);
    fake_io_advance(s.io, 1000);
    scripted_expect(&s, future, TKX_OK);
    ck_assert_uint_eq(fake_io_count(s.io, "optim_step"), 2);
    tkx_future_unref(future);
    tkx_training_free(t);
    scripted_end(&s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("training");
    TCase *tc = tcase_create("training");

    tcase_add_checked_fixture(tc, set_up, NULL);
    tcase_add_test(tc, one_step_goes_through);
    tcase_add_test(tc, many_datums_go_out_in_chunks);
    tcase_add_test(tc, bad_input_takes_no_number);
    tcase_add_test(tc, a_refused_chunk_fails_the_call_and_what_follows);
    tcase_add_test(tc, a_server_without_protobuf_gets_json);
    tcase_add_test(tc, saves_and_loads_go_out_with_their_numbers);
    tcase_add_test(tc, unnamed_save_makes_a_sampling_client_at_once);
    tcase_add_test(tc, a_failed_get_info_loses_no_model);
    tcase_add_test(tc, a_checkpoint_loads_in_one_request);
    tcase_add_test(tc, an_older_service_loads_step_by_step);
    tcase_add_test(tc, a_cancelled_step_is_submitted_all_the_same);
    tcase_add_loop_test(tc, closing_ends_what_is_in_flight, 0, 3);
    tcase_add_loop_test(tc, closing_overtakes_the_last_reference, 0, 2);
    tcase_add_test(tc, a_dead_session_fails_new_calls_at_once);
    tcase_add_test(tc, a_clash_of_names_is_told_at_once);
    tcase_add_test(tc, two_threads_share_the_numbers);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
