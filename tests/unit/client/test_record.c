/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_record.c - a run on a scripted server is recorded, then replayed without one; and
 * what a recording must not hold.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tkx/record.h>

#include "net/redact.h"
#include "scripted.h"
#include "support/suite.h"

#define JWT "eyJhbGciOiJub25lIn0.eyJpYXQiOjE3MDAwMDAwMDAsImV4cCI6MTcwMDAwMzYwMH0.c2ln"

static scripted s;
static char path[64];
static tkx_record_options record;

static void tune(tkx_context_options *options)
{
    options->record = &record;
    if (record.replay_path)
        options->api_key = NULL;
}

static void set_up(void)
{
    snprintf(path, sizeof path, "/tmp/tkx-record-XXXXXX");
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
    unsetenv("TINKER_API_KEY");
    unsetenv("TINKER_CREDENTIAL_CMD");
    s = (scripted){.tune = tune};
    record = (tkx_record_options)TKX_RECORD_OPTIONS_INIT;
}

static void tear_down(void)
{
    unlink(path);
}

/* --- work ------------------------------------------------------------------------ */

typedef struct results {
    double loss, grad_norm;
    int32_t token;
    float logprob;
} results;

static void end(tkx_future *future)
{
    fake_io_advance(s.io, 20000);
    scripted_expect(&s, future, TKX_OK);
}

static results work(double learning_rate)
{
    static tkx_datum data[1500];
    tkx_training *t = scripted_lora(&s);
    tkx_sampling *sampling = scripted_sampling(&s);
    tkx_sample_request request = TKX_SAMPLE_REQUEST_INIT;
    tkx_adam_params adam = TKX_ADAM_PARAMS_INIT;
    const tkx_optim_options with_adam = {.struct_size = sizeof with_adam, .adam = &adam};
    tkx_forward_backward_output *output;
    tkx_optim_step_result *step;
    tkx_sample_response *response;
    tkx_future *a, *b, *c;
    results r;

    for (size_t i = 0; i < 1500; i++)
        data[i] = scripted_datum;
    adam.learning_rate = learning_rate;
    request.prompt = (tkx_model_input){&scripted_chunk, 1};
    request.params.has_max_tokens = true;
    request.params.max_tokens = 4;
    ck_assert_int_eq(tkx_training_forward_backward(t, data, 1500, TKX_LOSS_CROSS_ENTROPY,
                                                   NULL, &a, NULL),
                     TKX_OK);
    ck_assert_int_eq(tkx_training_optim_step(t, &with_adam, &b, NULL), TKX_OK);
    ck_assert_int_eq(tkx_sampling_sample(sampling, &request, 0, &c, NULL), TKX_OK);
    end(a);
    end(b);
    end(c);
    ck_assert_int_eq(tkx_future_take_forward_backward(a, &output, NULL), TKX_OK);
    ck_assert_int_eq(tkx_future_take_optim_step(b, &step, NULL), TKX_OK);
    ck_assert_int_eq(tkx_future_take_sample(c, &response, NULL), TKX_OK);
    r = (results){.loss = output->metrics[0].value,
                  .grad_norm = step->metrics[0].value,
                  .token = response->sequences[0].tokens[1],
                  .logprob = response->sequences[0].logprobs[1]};
    tkx_forward_backward_output_free(output);
    tkx_optim_step_result_free(step);
    tkx_sample_response_free(response);
    tkx_future_unref(a);
    tkx_future_unref(b);
    tkx_future_unref(c);
    tkx_training_free(t);
    tkx_sampling_free(sampling);
    return r;
}

static results record_run(void)
{
    record.record_path = path;
    scripted_begin(&s);
    results r = work(1e-4);
    scripted_end(&s);
    return r;
}

/* From here on nobody answers but the recording. */
static void begin_replay(void)
{
    s = (scripted){.tune = tune};
    record = (tkx_record_options)TKX_RECORD_OPTIONS_INIT;
    record.replay_path = path;
    scripted_begin(&s);
}

static char *read_file(void)
{
    FILE *from = fopen(path, "r");
    char *text = calloc(1, 8 << 20);

    ck_assert_ptr_nonnull(from);
    ck_assert_uint_gt(fread(text, 1, (8 << 20) - 1, from), 0);
    fclose(from);
    return text;
}

START_TEST(a_replay_gives_the_same_results_and_sends_nothing)
{
    results r = record_run();
    tkx_replay_info info = TKX_REPLAY_INFO_INIT;

    begin_replay();
    results again = work(1e-4);
    ck_assert_int_eq(memcmp(&r, &again, sizeof r), 0);
    ck_assert_uint_eq(fake_io_n_sent(s.io), 0);
    ck_assert_int_eq(tkx_replay_look(s.context, &info, NULL), TKX_OK);
    ck_assert_uint_gt(info.n_recorded, 10);
    ck_assert_uint_eq(info.n_replayed, info.n_recorded);
    ck_assert_uint_eq(info.n_mismatched, 0);
    scripted_end(&s);
}
END_TEST

START_TEST(failures_are_replayed_too)
{
    record.record_path = path;
    scripted_begin(&s);
    tkx_sampling *sampling = scripted_sampling(&s);
    s.refused = "asample";
    tkx_sample_request request = TKX_SAMPLE_REQUEST_INIT;
    tkx_future *future;
    request.prompt = (tkx_model_input){&scripted_chunk, 1};
    ck_assert_int_eq(tkx_sampling_sample(sampling, &request, 0, &future, NULL), TKX_OK);
    scripted_expect(&s, future, TKX_ERR_HTTP);
    tkx_future_unref(future);
    tkx_sampling_free(sampling);
    scripted_end(&s);

    begin_replay();
    sampling = scripted_sampling(&s);
    ck_assert_int_eq(tkx_sampling_sample(sampling, &request, 0, &future, NULL), TKX_OK);
    scripted_expect(&s, future, TKX_ERR_HTTP);
    ck_assert_int_eq(tkx_error_http_status(tkx_future_error(future)), 422);
    tkx_future_unref(future);
    tkx_sampling_free(sampling);
    scripted_end(&s);
}
END_TEST

START_TEST(a_mismatch_says_what_was_expected)
{
    tkx_adam_params adam = TKX_ADAM_PARAMS_INIT;
    const tkx_optim_options with_adam = {.struct_size = sizeof with_adam, .adam = &adam};
    tkx_replay_info info = TKX_REPLAY_INFO_INIT;
    tkx_future *future;

    record_run();
    begin_replay();
    tkx_training *t = scripted_lora(&s);
    ck_assert_int_eq(tkx_training_optim_step(t, &with_adam, &future, NULL), TKX_OK);
    fake_io_turn(s.io); /* the recorded one is the third of its model */
    const char *why = tkx_error_message(tkx_future_error(future));
    scripted_expect(&s, future, TKX_ERR_PROTOCOL);
    ck_assert_ptr_nonnull(
        strstr(why, "POST /api/v1/optim_step is not what was recorded"));
    ck_assert_ptr_nonnull(strstr(why, "the bodies differ from byte"));
    ck_assert_ptr_nonnull(strstr(why, "\"seq_id\":3"));
    ck_assert_ptr_nonnull(strstr(why, "\"seq_id\":1"));
    ck_assert_int_eq(tkx_replay_look(s.context, &info, NULL), TKX_OK);
    ck_assert_uint_ge(info.n_mismatched, 1);
    tkx_future_unref(future);
    tkx_training_free(t);
    scripted_end(&s);
}
END_TEST

START_TEST(another_route_names_the_next_one)
{
    record_run();
    begin_replay();
    tkx_future *future;
    ck_assert_int_eq(tkx_service_get_capabilities(s.service, &future, NULL), TKX_OK);
    scripted_expect(&s, future, TKX_ERR_PROTOCOL);
    ck_assert_ptr_nonnull(strstr(tkx_error_message(tkx_future_error(future)),
                                 "the next recorded request is exchange"));
    tkx_future_unref(future);
    scripted_end(&s);
}
END_TEST

START_TEST(a_recording_holds_no_key)
{
    record_run();
    char *text = read_file();
    ck_assert_ptr_null(strstr(text, "tml-secret"));
    ck_assert_ptr_null(strstr(text, "x-api-key"));
    ck_assert_ptr_null(strstr(text, "X-API-Key"));
    ck_assert_ptr_nonnull(strstr(text, "\"url\":\"/api/v1/create_session\""));
    free(text);
}
END_TEST

static void serve_token(fake_io *io, size_t i, void *arg)
{
    const char *url = fake_io_sent(io, i)->url;

    (void)arg;
    if (strstr(url, "client/config"))
        fake_io_answer(io, i, 200, NULL, "{\"pjwt_auth_enabled\":true}");
    else if (strstr(url, "auth/token"))
        fake_io_answer(io, i, 200, "set-cookie: sid=s3cr3t-cookie",
                       "{\"jwt\":\"" JWT "\"}");
    else if (strstr(url, "create_session"))
        fake_io_answer(io, i, 200, NULL,
                       "{\"session_id\":\"S\",\"info_message\":\"see "
                       "https://h/x?sig=s3cr3t-sig&n=1\"}");
    else
        fake_io_answer(io, i, 200, NULL, "{}");
}

static void start_with_token(void)
{
    tkx_future *future;

    ck_assert_int_eq(tkx_service_start(s.service, &future, NULL), TKX_OK);
    scripted_expect(&s, future, TKX_OK);
    tkx_future_unref(future);
}

START_TEST(tokens_cookies_and_signatures_stay_out_and_a_replay_gets_a_token)
{
    record.record_path = path;
    scripted_begin(&s);
    fake_io_serve(s.io, serve_token, NULL);
    start_with_token();
    scripted_end(&s);
    char *text = read_file();
    ck_assert_ptr_null(strstr(text, "eyJ"));
    ck_assert_ptr_null(strstr(text, "s3cr3t"));
    ck_assert_ptr_nonnull(strstr(text, "sig=REDACTED&n=1"));
    free(text);
    begin_replay();
    start_with_token();
    ck_assert_uint_eq(fake_io_n_sent(s.io), 0);
    scripted_end(&s);
}
END_TEST

START_TEST(a_recording_cut_in_its_last_line_is_read)
{
    record_run();
    char *text = read_file();
    ck_assert_int_eq(truncate(path, (off_t)strlen(text) - 5), 0);
    free(text);
    begin_replay();
    tkx_training *t = scripted_lora(&s);
    tkx_training_free(t);
    scripted_end(&s);
}
END_TEST

typedef struct bad_file {
    const char *text, *why;
} bad_file;

static const bad_file bad_files[] = {
    {"", "is empty"},
    {"hello\n", "is not a recording"},
    {"{\"tkx_record\":2}\n", "is not a recording"},
    {"{\"tkx_record\":1}\n{\"n\":0}\n", "line 2"},
    {"{\"tkx_record\":1}\n{\"n\":0,\"method\":\"GET\",\"url\":\"/a\",\"status\":200,"
     "\"answer_base64\":\"!\"}\n",
     "line 2"},
    {"{\"tkx_record\":1}\n\n[]\n", "line 3"},
};

START_TEST(a_bad_recording_is_told)
{
    tkx_context_options options = TKX_CONTEXT_OPTIONS_INIT;
    tkx_context *context;
    tkx_error *err = NULL;
    FILE *to = fopen(path, "w");

    fputs(bad_files[_i].text, to);
    fclose(to);
    record.replay_path = path;
    options.base_url = "http://x";
    options.record = &record;
    ck_assert_int_eq(tkx_context_new(&options, &context, &err), TKX_ERR_PARSE);
    ck_assert_msg(strstr(tkx_error_message(err), bad_files[_i].why) != NULL, "%s",
                  tkx_error_message(err));
    tkx_error_free(err);
}
END_TEST

/* --- redaction ------------------------------------------------------------------- */

static const struct {
    const char *from, *to;
} redactions[] = {
    {"nothing to hide", "nothing to hide"},
    {"key=tml-abcdefgh1234 end", "key=REDACTED end"},
    {"xtml-abcdefgh1234", "xtml-abcdefgh1234"},
    {"\"" JWT "\"", "\"REDACTED-JWT\""},
    {"Authorization: Bearer abc.def", "Authorization: Bearer REDACTED"},
    {"{\"access_token\": \"x\\\"y\", \"n\": 1}",
     "{\"access_token\": \"REDACTED\", \"n\": 1}"},
    {"{\"max_tokens\":\"4\",\"tokens\":[1]}", "{\"max_tokens\":\"4\",\"tokens\":[1]}"},
    {"https://u:p@h/x", "https://REDACTED@h/x"},
    {"https://h/x?of=1&X-Amz-Signature=ab%2Fc&e=2",
     "https://h/x?of=1&X-Amz-Signature=REDACTED&e=2"},
    {"https://h/x?a=1\\u0026sig=zz\\u0026b=2",
     "https://h/x?a=1\\u0026sig=REDACTED\\u0026b=2"},
    {"/api?limit=20&offset=0", "/api?limit=20&offset=0"},
    {"is it so? sig=1", "is it so? sig=1"},
    {"my hunter22 word", "my REDACTED word"},
};

START_TEST(secrets_are_found)
{
    tkx__secrets secrets = {0};
    tkx__buf out;

    tkx__secrets_add(&secrets, "hunter22");
    tkx__secrets_add(&secrets, "abc"); /* too short to look for */
    tkx__buf_init(&out, 1 << 16);
    tkx__redact_text(&out, redactions[_i].from, strlen(redactions[_i].from), &secrets);
    ck_assert_str_eq(tkx__buf_text(&out), redactions[_i].to);
    tkx__buf_clear(&out);
    tkx__secrets_clear(&secrets);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("record");
    TCase *tc = tcase_create("record");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, a_replay_gives_the_same_results_and_sends_nothing);
    tcase_add_test(tc, failures_are_replayed_too);
    tcase_add_test(tc, a_mismatch_says_what_was_expected);
    tcase_add_test(tc, another_route_names_the_next_one);
    tcase_add_test(tc, a_recording_holds_no_key);
    tcase_add_test(tc, tokens_cookies_and_signatures_stay_out_and_a_replay_gets_a_token);
    tcase_add_test(tc, a_recording_cut_in_its_last_line_is_read);
    tcase_add_loop_test(tc, a_bad_recording_is_told, 0,
                        (int)(sizeof bad_files / sizeof *bad_files));
    tcase_add_loop_test(tc, secrets_are_found, 0,
                        (int)(sizeof redactions / sizeof *redactions));
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
