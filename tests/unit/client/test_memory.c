/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_memory.c - the nth allocation fails, for every n, in every public constructor: a
 * clean error or a result, and nothing leaks.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tkx/chat.h>
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

#include "memory_run.h"
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

static tkx_status make_watched_context(tkx_error **err)
{
    tkx_context_options options = TKX_CONTEXT_OPTIONS_INIT;
    tkx_context *context = NULL;
    tkx_metrics *metrics = NULL;
    char *text = NULL;
    size_t size;

    options.base_url = "http://127.0.0.1:9";
    options.api_key = "tml-secret";
    watched_tune(&options);
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
    watched_open();
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
    watched_close();
    *strrchr(journal_path, '/') = '\0';
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", journal_path);
    ck_assert_int_eq(system(command), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("memory");
    TCase *tc = tcase_create("memory");

    tcase_add_loop_test(tc, constructors_fail_cleanly, 0, N_CONSTRUCTORS);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
