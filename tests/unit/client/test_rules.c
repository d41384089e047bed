/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_rules.c - rules that hold across the whole client: start with a token, numbers
 * under two threads, nothing left after a close, no blocking on the loop, the last
 * acknowledgement (behaviour checks 1, 17, 25 and 32).
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/service.h"
#include "scripted.h"
#include "support/proc.h"
#include "support/suite.h"

static scripted s;
static const tkx_datum data[] = {SCRIPTED_DATUM, SCRIPTED_DATUM, SCRIPTED_DATUM};

static void set_up(void)
{
    s = (scripted){0};
}

/* --- the start ------------------------------------------------------------------- */

/* {"alg":"none"} . {"iat":0,"exp":4000000000} . x */
#define TOKEN "eyJhbGciOiJub25lIn0.eyJpYXQiOjAsImV4cCI6NDAwMDAwMDAwMH0.eA"

static bool give_token(fake_io *io, size_t i, const char *route)
{
    if (strcmp(route, "auth/token") != 0)
        return false;
    fake_io_answer(io, i, 200, NULL, "{\"jwt\":\"" TOKEN "\"}");
    return true;
}

START_TEST(the_start_is_in_order_with_a_token_in_between)
{
    static const char *const order[] = {"client/config", "auth/token",
                                        "client/dynamic_config", "create_session"};
    tkx_future *future;

    s.config = "{\"pjwt_auth_enabled\":true}";
    s.serve = give_token;
    scripted_begin(&s);
    ck_assert_int_eq(tkx_service_start(s.service, &future, NULL), TKX_OK);
    scripted_expect(&s, future, TKX_OK);
    for (size_t i = 0; i < 4; i++)
        ck_assert_ptr_nonnull(strstr(fake_io_sent(s.io, i)->url, order[i]));
    ck_assert_str_eq(fake_io_header(s.io, 1, "x-api-key"), "tml-secret");
    ck_assert_str_eq(fake_io_header(s.io, 3, "x-api-key"), TOKEN);
    tkx_future_unref(future);
    scripted_end(&s);
}
END_TEST

/* --- two threads ----------------------------------------------------------------- */

enum { N_CALLS = 300 };

typedef struct caller {
    tkx_training *training;
    tkx_future *futures[N_CALLS];
} caller;

/* Chunked calls and single ones by turns. */
static void *call_many(void *arg)
{
    caller *c = arg;

    for (int i = 0; i < N_CALLS; i++) {
        tkx_status st =
            i % 2 ? tkx_training_optim_step(c->training, NULL, &c->futures[i], NULL)
                  : tkx_training_forward_backward(c->training, data, 3, "cross_entropy",
                                                  NULL, &c->futures[i], NULL);
        if (st != TKX_OK)
            abort();
    }
    return NULL;
}

static int seq_of(size_t i)
{
    const char *at = strstr(fake_io_sent(s.io, i)->body, "\"seq_id\":");

    return at ? atoi(at + 9) : 0;
}

START_TEST(chunks_of_a_call_stay_together_under_two_threads)
{
    enum { N_NUMBERS = 2 * (N_CALLS / 2 * 3 + N_CALLS / 2) };
    static caller c[2];
    static char kind[N_NUMBERS + 1];
    pthread_t threads[2];

    s.config = "{\"fwdbwd_max_chunk_len\":1}";
    scripted_begin(&s);
    tkx_training *t = scripted_lora(&s);
    s.service->site->no_protobuf = true;
    for (int i = 0; i < 2; i++) {
        c[i].training = t;
        pthread_create(&threads[i], NULL, call_many, &c[i]);
    }
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    fake_io_turn(s.io);
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < N_CALLS; k++) {
            scripted_expect(&s, c[i].futures[k], TKX_OK);
            tkx_future_unref(c[i].futures[k]);
        }
    for (size_t i = 0; i < fake_io_n_sent(s.io); i++) {
        int seq = seq_of(i);
        if (seq <= 0)
            continue;
        ck_assert_int_le(seq, N_NUMBERS);
        ck_assert_msg(!kind[seq], "seq_id %d twice", seq);
        kind[seq] = strstr(fake_io_sent(s.io, i)->url, "optim_step") ? 'o' : 'f';
    }
    for (int seq = 1; seq <= N_NUMBERS;) { /* an o, or three f */
        ck_assert_msg(kind[seq], "seq_id %d is missing", seq);
        int n = kind[seq] == 'f' ? 3 : 1;
        for (int k = 1; k < n; k++)
            ck_assert_int_eq(kind[seq + k], 'f');
        seq += n;
    }
    tkx_training_free(t);
    scripted_end(&s);
}
END_TEST

/* --- the loop must not block ----------------------------------------------------- */

static tkx_status refused[2];
static tkx_future *other;

static void block_on_other(tkx_future *future, void *user_data)
{
    (void)future, (void)user_data;
    refused[0] = tkx_future_wait(other, -1, NULL);
    refused[1] = tkx_future_wait(other, 1000, NULL);
}

START_TEST(a_callback_that_blocks_gets_an_error_at_once)
{
    tkx_future *done;

    scripted_begin(&s);
    tkx_training *t = scripted_lora(&s);
    ck_assert_int_eq(tkx_training_optim_step(t, NULL, &done, NULL), TKX_OK);
    ck_assert_int_eq(tkx_future_on_complete(done, block_on_other, NULL, NULL), TKX_OK);
    s.held = "save_weights";
    ck_assert_int_eq(tkx_training_save_state(t, "x", NULL, &other, NULL), TKX_OK);
    fake_io_turn(s.io);
    ck_assert(tkx_future_is_done(done));
    ck_assert(!tkx_future_is_done(other));
    ck_assert_int_eq(refused[0], TKX_ERR_WOULD_BLOCK);
    ck_assert_int_eq(refused[1], TKX_ERR_WOULD_BLOCK);
    tkx_future_unref(done);
    tkx_future_unref(other);
    tkx_training_free(t);
    scripted_end(&s);
}
END_TEST

/* --- nothing is left ------------------------------------------------------------- */

/* On the real loop, against a port where nobody listens: connections, retries, timers and
   workers are all under way. */
START_TEST(a_close_leaves_no_thread_and_no_descriptor)
{
    int port, held = proc_hold_port(&port);
    int n_files = proc_n_files();
    char url[64];

    snprintf(url, sizeof url, "http://127.0.0.1:%d", port);
    for (int round = 0; round < 3; round++) {
        tkx_context_options options = TKX_CONTEXT_OPTIONS_INIT;
        tkx_context *context;
        tkx_service *service;
        tkx_future *futures[2];

        options.base_url = url;
        options.api_key = "tml-secret";
        ck_assert_int_eq(tkx_context_new(&options, &context, NULL), TKX_OK);
        ck_assert_int_eq(tkx_service_new(context, NULL, &service, NULL), TKX_OK);
        ck_assert_int_eq(tkx_service_start(service, &futures[0], NULL), TKX_OK);
        ck_assert_int_eq(tkx_service_get_capabilities(service, &futures[1], NULL),
                         TKX_OK);
        tkx_service_free(service);
        ck_assert_int_eq(tkx_context_close(context, 0, 0, NULL), TKX_OK);
        for (int i = 0; i < 2; i++) {
            ck_assert(tkx_future_is_done(futures[i]));
            ck_assert_int_eq(tkx_error_status(tkx_future_error(futures[i])),
                             TKX_ERR_CLOSED);
            tkx_future_unref(futures[i]);
        }
        tkx_context_free(context);
        proc_await_alone();
        ck_assert_int_eq(proc_n_files(), n_files);
    }
    close(held);
}
END_TEST

/* --- the last word of a sampling client ------------------------------------------ */

START_TEST(what_was_read_is_acknowledged_when_the_client_goes)
{
    tkx_sample_request request = TKX_SAMPLE_REQUEST_INIT;
    tkx_future *future;

    s.config = "{\"sample_use_retrieve_futures\":true}";
    s.held = "retrieve_futures";
    scripted_begin(&s);
    tkx_sampling *sampling = scripted_sampling(&s);
    request.prompt = (tkx_model_input){&scripted_chunk, 1};
    ck_assert_int_eq(tkx_sampling_sample(sampling, &request, 0, &future, NULL), TKX_OK);
    fake_io_turn(s.io);
    fake_io_answer(s.io, scripted_last(&s, "retrieve_futures"), 200, NULL,
                   "{\"completions\":[{\"state\":\"finished\",\"request_id\":"
                   "\"asample-0\"}],\"cursor\":1}");
    scripted_expect(&s, future, TKX_OK);
    tkx_future_unref(future);
    size_t n = fake_io_count(s.io, "retrieve_futures");
    tkx_sampling_free(sampling); /* its acknowledgement has had no answer */
    fake_io_turn(s.io);
    ck_assert_uint_eq(fake_io_count(s.io, "retrieve_futures"), n + 1);
    size_t last = scripted_last(&s, "retrieve_futures");
    ck_assert_ptr_nonnull(
        strstr(fake_io_sent(s.io, last)->body,
               "\"timeout\":0.0,\"retrieved_request_ids\":[\"asample-0\"]"));
    fake_io_answer(s.io, last, 200, NULL, "{\"completions\":[],\"cursor\":1}");
    ck_assert_uint_eq(fake_io_count(s.io, "retrieve_futures"), n + 1);
    scripted_end(&s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rules");
    TCase *tc = tcase_create("rules");

    tcase_add_checked_fixture(tc, set_up, NULL);
    tcase_add_test(tc, the_start_is_in_order_with_a_token_in_between);
    tcase_add_test(tc, chunks_of_a_call_stay_together_under_two_threads);
    tcase_add_test(tc, a_callback_that_blocks_gets_an_error_at_once);
    tcase_add_test(tc, a_close_leaves_no_thread_and_no_descriptor);
    tcase_add_test(tc, what_was_read_is_acknowledged_when_the_client_goes);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
