/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_memory.c - the nth allocation fails, for every n: in every public constructor, and
 * anywhere in a training run from the first request to the last.  Each call then gives a
 * clean error or a result, every future completes, and nothing leaks.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tkx/chat.h>
#include <tkx/custom_loss.h>
#include <tkx/journal.h>
#include <tkx/local.h>
#include <tkx/metrics.h>
#include <tkx/queue.h>
#include <tkx/record.h>
#include <tkx/rest.h>
#include <tkx/sampler.h>
#include <tkx/spending.h>
#include <tkx/tokenizer.h>
#include <tkx/trace.h>

#include "scripted.h"
#include "support/fail_alloc.h"
#include "support/suite.h"

#define LLAMA TKX_TEST_DATA "/models/llama"

/* --- constructors ---------------------------------------------------------------- */

static tkx_status make_context(tkx_error **err)
{
    tkx_context_options options = TKX_CONTEXT_OPTIONS_INIT;
    tkx_context *context = NULL;

    options.base_url = "http://127.0.0.1:9";
    options.api_key = "tml-secret";
    tkx_status st = tkx_context_new(&options, &context, err);
    tkx_context_free(context);
    return st;
}

static tkx_status make_service(tkx_error **err)
{
    static const char *const tags[] = {"a", "b"};
    static const tkx_pair metadata[] = {{"who", "me"}};
    tkx_context_options options = TKX_CONTEXT_OPTIONS_INIT;
    tkx_service_options service_options = TKX_SERVICE_OPTIONS_INIT;
    tkx_context *context = NULL;
    tkx_service *service = NULL;
    tkx_rest *rest = NULL;

    options.base_url = "http://127.0.0.1:9";
    options.api_key = "tml-secret";
    service_options.tags = tags;
    service_options.n_tags = 2;
    service_options.user_metadata = metadata;
    service_options.n_user_metadata = 1;
    service_options.project_id = "p";
    tkx_status st = tkx_context_new(&options, &context, err);
    if (st == TKX_OK)
        st = tkx_service_new(context, &service_options, &service, err);
    if (st == TKX_OK)
        st = tkx_rest_new(context, NULL, &rest, err);
    tkx_rest_free(rest);
    tkx_service_free(service);
    tkx_context_free(context);
    return st;
}

/* Everything that may look at a context, or stand between it and the network. */
static char watched[64]; /* a folder */
static char watched_paths[4][96];
static const char *const watched_names[] = {"trace", "metrics", "record", "prices"};

static void make_watched_folder(void)
{
    strcpy(watched, "/tmp/tkx-watched-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(watched));
    for (size_t i = 0; i < 4; i++)
        snprintf(watched_paths[i], sizeof watched_paths[i], "%s/%s", watched,
                 watched_names[i]);
    FILE *to = fopen(watched_paths[3], "w");
    fputs("{\"currency\":\"EUR\",\"models\":{\"*\":{\"train\":1,\"sample\":1,"
          "\"prefill\":1,\"forward\":1}}}",
          to);
    fclose(to);
    to = fopen(watched_paths[2], "w");
    fputs("{\"tkx_record\":1}\n{\"n\":0,\"method\":\"POST\",\"url\":\"/a?b\","
          "\"body\":\"x\",\"status\":200,\"headers\":{\"a\":\"b\"},"
          "\"answer_base64\":\"eA==\"}\n",
          to);
    fclose(to);
}

static void remove_watched_folder(void)
{
    for (size_t i = 0; i < 4; i++)
        unlink(watched_paths[i]);
    rmdir(watched);
}

static void watch(tkx_context_options *options)
{
    static tkx_metrics_options metrics;
    static tkx_trace_options trace;
    static tkx_record_options record;
    static tkx_spending_options spending;

    metrics = (tkx_metrics_options)TKX_METRICS_OPTIONS_INIT;
    trace = (tkx_trace_options)TKX_TRACE_OPTIONS_INIT;
    record = (tkx_record_options)TKX_RECORD_OPTIONS_INIT;
    spending = (tkx_spending_options)TKX_SPENDING_OPTIONS_INIT;
    trace.path = watched_paths[0];
    trace.generates_context = 1;
    metrics.path = watched_paths[1];
    record.record_path = watched_paths[2];
    spending.prices_path = watched_paths[3];
    spending.max_cost = 1000;
    options->metrics = &metrics;
    options->trace = &trace;
    options->record = &record;
    options->spending = &spending;
}

static tkx_status make_watched_context(tkx_error **err)
{
    tkx_context_options options = TKX_CONTEXT_OPTIONS_INIT;
    tkx_context *context = NULL;
    tkx_metrics *metrics = NULL;
    char *text = NULL;
    size_t size;

    options.base_url = "http://127.0.0.1:9";
    options.api_key = "tml-secret";
    watch(&options);
    tkx_status st = tkx_context_new(&options, &context, err);
    if (st == TKX_OK)
        st = tkx_metrics_snapshot(context, TKX_METRICS_RESET, &metrics, err);
    if (st == TKX_OK)
        st = tkx_metrics_prometheus(context, &text, &size, err);
    if (st == TKX_OK)
        st = tkx_trace_set_parent(
            context, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", NULL,
            err);
    tkx_metrics_free(metrics);
    tkx_metrics_text_free(text);
    tkx_context_free(context);
    return st;
}

static tkx_status make_replay(tkx_error **err)
{
    tkx_context_options options = TKX_CONTEXT_OPTIONS_INIT;
    tkx_record_options record = TKX_RECORD_OPTIONS_INIT;
    tkx_context *context = NULL;

    record.replay_path = watched_paths[2];
    options.base_url = "http://127.0.0.1:9";
    options.record = &record;
    tkx_status st = tkx_context_new(&options, &context, err);
    tkx_context_free(context);
    return st;
}

static tkx_status make_queue(tkx_error **err)
{
    tkx_queue *queue = NULL;
    tkx_status st = tkx_queue_new(&queue, err);

    tkx_queue_free(queue);
    return st;
}

static tkx_status make_tokenizer(tkx_error **err)
{
    tkx_tokenizer *tokenizer = NULL;
    tkx_text_stream *stream = NULL;
    tkx_status st = tkx_tokenizer_open(LLAMA, &tokenizer, err);

    if (st == TKX_OK)
        st = tkx_text_stream_new(tokenizer, 0, &stream, err);
    tkx_text_stream_free(stream);
    tkx_tokenizer_unref(tokenizer);
    return st;
}

static tkx_status make_chat(tkx_error **err)
{
    const tkx_chat_message messages[] = {{.role = "user", .content = "hello"}};
    tkx_chat_format format;
    char *text = NULL;
    size_t size;
    tkx_status st = tkx_chat_format_find("llama3", &format, err);

    if (st == TKX_OK)
        st = tkx_chat_render_text(format, messages, 1, NULL, &text, &size, err);
    tkx_tokenizer_free_result(text);
    return st;
}

static tkx_status make_local(tkx_error **err)
{
    tkx_local_options options = TKX_LOCAL_OPTIONS_INIT;
    tkx_sampler_options sampler_options = TKX_SAMPLER_OPTIONS_INIT;
    tkx_sampler *sampler = NULL;
    tkx_local *local = NULL;

    options.compute = TKX_LOCAL_COMPUTE_F32;
    options.n_threads = 1;
    tkx_status st = tkx_local_open(LLAMA, &options, &local, err);
    if (st == TKX_OK) {
        sampler_options.mode = TKX_SAMPLER_LOCAL;
        sampler_options.local = local;
        st = tkx_sampler_new(&sampler_options, &sampler, err);
    }
    tkx_sampler_free(sampler);
    tkx_local_free(local);
    return st;
}

static char journal_path[64];

static tkx_status make_journal(tkx_error **err)
{
    tkx_journal *journal = NULL;
    tkx_status st = tkx_journal_open(journal_path, NULL, &journal, err);

    tkx_journal_close(journal);
    return st;
}

static const struct {
    const char *name;
    tkx_status (*make)(tkx_error **err);
} constructors[] = {
    {"context", make_context}, {"service and rest", make_service},
    {"queue", make_queue},     {"tokenizer", make_tokenizer},
    {"chat", make_chat},       {"local model and sampler", make_local},
    {"journal", make_journal}, {"watched context", make_watched_context},
    {"replay", make_replay},
};
enum { N_CONSTRUCTORS = sizeof constructors / sizeof *constructors };

/* Some do without what they could not get: then OK is right, too. */
START_TEST(constructors_fail_cleanly)
{
    strcpy(journal_path, "/tmp/tkx-memory-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(journal_path));
    strcat(journal_path, "/run.journal");
    make_watched_folder();
    for (size_t n = 1, is_over = 0; !is_over; n++) {
        tkx_error *err = NULL;

        fail_alloc_begin(n);
        tkx_status st = constructors[_i].make(&err);
        is_over = !fail_alloc_hit();
        ck_assert_msg(st == TKX_OK || err, "%s, allocation %zu: no error",
                      constructors[_i].name, n);
        ck_assert_msg(!is_over || st == TKX_OK, "%s: %s", constructors[_i].name,
                      tkx_error_message(err));
        tkx_error_free(err);
        long n_left = fail_alloc_end();
        ck_assert_msg(n_left == 0, "%s, allocation %zu: %ld blocks left",
                      constructors[_i].name, n, n_left);
        ck_assert_uint_lt(n, 100000);
    }
    remove_watched_folder();
    *strrchr(journal_path, '/') = '\0';
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", journal_path);
    ck_assert_int_eq(system(command), 0);
}
END_TEST

/* --- a training run -------------------------------------------------------------- */

static scripted s;
static const int32_t tokens[] = {1};
static const int64_t targets[] = {2};
static const float weights[] = {1};
static const tkx_named_tensor inputs[] = {
    {"target_tokens", {.dtype = TKX_DTYPE_INT64, .n_values = 1, .values.i64 = targets}},
    {"weights", {.dtype = TKX_DTYPE_FLOAT32, .n_values = 1, .values.f32 = weights}},
};
static const tkx_chunk chunk = {.kind = TKX_CHUNK_TEXT, .tokens = tokens, .n_tokens = 1};
static const tkx_datum datum = {
    .model_input = {&chunk, 1}, .loss_fn_inputs = inputs, .n_loss_fn_inputs = 2};

static int loss(tkx_custom_item *items, size_t n_items, tkx_custom_report *report,
                void *user_data)
{
    (void)user_data;
    for (size_t i = 0; i < n_items; i++)
        items[i].gradient[0] = -1;
    tkx_custom_report_loss(report, 1);
    return tkx_custom_report_metric(report, "a:sum", 1) != TKX_OK;
}

/* Whatever becomes of it, within its limits. */
static bool ends_well(tkx_future *future)
{
    fake_io_turn(s.io);
    if (!tkx_future_is_done(future))
        fake_io_advance(s.io, 1000000);
    ck_assert_msg(tkx_future_is_done(future), "a future hangs");
    ck_assert_msg(tkx_error_status(tkx_future_error(future)) != TKX_ERR_TIMEOUT,
                  "nothing ended it but its limit: %s",
                  tkx_error_message(tkx_future_error(future)));
    return !tkx_future_error(future);
}

static tkx_training *create(void)
{
    tkx_lora_options options = TKX_LORA_OPTIONS_INIT;
    tkx_training *training = NULL;
    tkx_future *future = NULL;

    options.base_model = "acme/tiny";
    if (tkx_service_create_lora(s.service, &options, &future, NULL) != TKX_OK)
        return NULL;
    if (ends_well(future))
        tkx_future_take_training(future, &training, NULL);
    tkx_future_unref(future);
    return training;
}

static void sample(void)
{
    tkx_sampling_options options = TKX_SAMPLING_OPTIONS_INIT;
    tkx_sample_request request = TKX_SAMPLE_REQUEST_INIT;
    tkx_sampling *sampling = NULL;
    tkx_future *future = NULL;

    options.base_model = "acme/tiny";
    if (tkx_service_create_sampling(s.service, &options, &future, NULL) != TKX_OK)
        return;
    if (ends_well(future))
        tkx_future_take_sampling(future, &sampling, NULL);
    tkx_future_unref(future);
    if (!sampling)
        return;
    request.prompt = (tkx_model_input){&chunk, 1};
    if (tkx_sampling_sample(sampling, &request, 60000, &future, NULL) == TKX_OK) {
        ends_well(future);
        tkx_future_unref(future);
    }
    tkx_sampling_free(sampling);
}

/* One step with all that may go with it, all in flight at once. */
static void step(tkx_training *t)
{
    const tkx_datum data[] = {datum, datum};
    tkx_future *f[6] = {NULL};
    size_t n = 0;

    n += tkx_training_forward_backward(t, data, 2, "cross_entropy", NULL, &f[n], NULL) ==
         TKX_OK;
    n += tkx_training_forward_backward_custom(t, data, 2, loss, NULL, NULL, &f[n],
                                              NULL) == TKX_OK;
    n += tkx_training_optim_step(t, NULL, &f[n], NULL) == TKX_OK;
    n += tkx_training_save_state(t, "x", NULL, &f[n], NULL) == TKX_OK;
    n += tkx_training_save_weights_and_get_sampling_client(t, 0, &f[n], NULL) == TKX_OK;
    n += tkx_training_get_info(t, &f[n], NULL) == TKX_OK;
    if (n > 0)
        tkx_future_set_deadline(f[0], 900000, NULL);
    for (size_t i = 0; i < n; i++) {
        ends_well(f[i]);
        tkx_future_unref(f[i]);
    }
}

static void run(void (*tune)(tkx_context_options *options))
{
    memset(&s, 0, sizeof s);
    s.tune = tune;
    s.config = "{\"fwdbwd_max_chunk_len\":1}";
    if (scripted_try_begin(&s)) {
        tkx_training *t = create();
        if (t)
            step(t);
        tkx_training_free(t);
        sample();
    }
    scripted_end(&s);
}

/* Loop: a slice of the allocations, so that the slices may run side by side. */
enum { N_SLICES = 8 };

START_TEST(a_run_survives_any_failed_allocation)
{
    for (size_t n = (size_t)_i + 1, is_over = 0; !is_over; n += N_SLICES) {
        fail_alloc_begin(n);
        run(NULL);
        is_over = !fail_alloc_hit();
        long n_left = fail_alloc_end();
        ck_assert_msg(n_left == 0, "allocation %zu: %ld blocks left", n, n_left);
        ck_assert_uint_lt(n, 100000);
    }
}
END_TEST

START_TEST(so_does_a_watched_run)
{
    make_watched_folder();
    for (size_t n = (size_t)_i + 1, is_over = 0; !is_over; n += N_SLICES) {
        fail_alloc_begin(n);
        run(watch);
        is_over = !fail_alloc_hit();
        long n_left = fail_alloc_end();
        ck_assert_msg(n_left == 0, "allocation %zu: %ld blocks left", n, n_left);
        ck_assert_uint_lt(n, 100000);
    }
    remove_watched_folder();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("memory");
    TCase *tc = tcase_create("memory");

    tcase_set_timeout(tc, 100);
    tcase_add_loop_test(tc, constructors_fail_cleanly, 0, N_CONSTRUCTORS);
    tcase_add_loop_test(tc, a_run_survives_any_failed_allocation, 0, N_SLICES);
    tcase_add_loop_test(tc, so_does_a_watched_run, 0, N_SLICES);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
