/* SPDX-License-Identifier: Apache-2.0 */
/*
 * e2e_client_rest.c - the REST client against the mock server, on what a training run
 * left there.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tkx/checkpoint_download.h>
#include <tkx/training.h>

#include "support/mock_process.h"
#include "support/suite.h"

static mock_process server;
static tkx_context *context;
static tkx_service *service;
static tkx_rest *rest;
static char run_id[256], state[512], sampler[512];

/* Wait for it; its failure must have that HTTP status, 0: none. */
static tkx_future *await_status(tkx_status st, tkx_future *future, int http_status)
{
    ck_assert_int_eq(st, TKX_OK);
    ck_assert_int_eq(tkx_future_wait(future, -1, NULL), TKX_OK);
    const tkx_error *error = tkx_future_error(future);
    ck_assert_msg(!error == !http_status && tkx_error_http_status(error) == http_status,
                  "%s", tkx_error_message(error));
    return future;
}

static tkx_future *future;
#define AWAIT(call, http_status)                                                         \
    do {                                                                                 \
        tkx_status st_ = (call);                                                         \
        await_status(st_, future, http_status);                                          \
    } while (0)
/* Take a record out of the future and be done with that. */
#define TAKE(noun, out)                                                                  \
    do {                                                                                 \
        ck_assert_int_eq(tkx_future_take_##noun(future, out, NULL), TKX_OK);             \
        tkx_future_unref(future);                                                        \
    } while (0)

static void keep_path(char to[512])
{
    tkx_save_weights_result *saved;

    TAKE(save_weights, &saved);
    snprintf(to, 512, "%s", saved->path);
    tkx_save_weights_result_free(saved);
}

static void set_up(void)
{
    tkx_context_options options = TKX_CONTEXT_OPTIONS_INIT;
    tkx_lora_options lora = TKX_LORA_OPTIONS_INIT;
    tkx_service_options rest_options = TKX_SERVICE_OPTIONS_INIT;
    tkx_training *training;

    memset(&server, 0, sizeof server);
    mock_process_start(&server, NULL);
    options.base_url = server.url;
    options.api_key = "tml-test";
    ck_assert_int_eq(tkx_context_new(&options, &context, NULL), TKX_OK);
    ck_assert_int_eq(tkx_service_new(context, NULL, &service, NULL), TKX_OK);
    rest_options.has_preview_routes = 1;
    ck_assert_int_eq(tkx_rest_new(context, &rest_options, &rest, NULL), TKX_OK);
    lora.base_model = "tkx/bytes";
    AWAIT(tkx_service_create_lora(service, &lora, &future, NULL), 0);
    TAKE(training, &training);
    AWAIT(tkx_training_save_state(training, "t", NULL, &future, NULL), 0);
    keep_path(state);
    AWAIT(tkx_training_save_weights_for_sampler(training, "s", NULL, &future, NULL), 0);
    keep_path(sampler);
    tkx_training_free(training);
    snprintf(run_id, sizeof run_id, "%.*s",
             (int)strcspn(state + strlen("tinker://"), "/"), state + strlen("tinker://"));
}

static void tear_down(void)
{
    tkx_rest_free(rest);
    tkx_service_free(service);
    ck_assert_int_eq(tkx_context_close(context, 0, 5000, NULL), TKX_OK);
    tkx_context_free(context);
    mock_process_remove(&server);
}

START_TEST(runs_and_checkpoints)
{
    tkx_training_run_list *runs;
    tkx_training_run *run;
    tkx_checkpoint_list *list;
    tkx_weights_info *info;

    AWAIT(tkx_rest_list_training_runs(rest, NULL, &future, NULL), 0);
    TAKE(training_run_list, &runs);
    ck_assert_uint_eq(runs->count, 1);
    ck_assert_str_eq(runs->items[0].training_run_id, run_id);
    tkx_training_run_list_free(runs);
    AWAIT(tkx_rest_get_training_run(rest, run_id, NULL, &future, NULL), 0);
    TAKE(training_run, &run);
    ck_assert_str_eq(run->base_model, "tkx/bytes");
    tkx_training_run_free(run);
    AWAIT(tkx_rest_list_run_checkpoints(rest, run_id, &future, NULL), 0);
    TAKE(checkpoint_list, &list);
    ck_assert_uint_eq(list->count, 2);
    tkx_checkpoint_list_free(list);
    AWAIT(tkx_rest_get_weights_info(rest, state, NULL, &future, NULL), 0);
    TAKE(weights_info, &info);
    ck_assert_str_eq(info->base_model, "tkx/bytes");
    tkx_weights_info_free(info);
    AWAIT(tkx_rest_publish_checkpoint(rest, state, &future, NULL), 0);
    tkx_future_unref(future);
    AWAIT(tkx_rest_publish_checkpoint(rest, state, &future, NULL), 409);
    tkx_future_unref(future);
    AWAIT(tkx_rest_unpublish_checkpoint(rest, state, &future, NULL), 0);
    tkx_future_unref(future);
    AWAIT(tkx_rest_set_checkpoint_ttl(rest, state, 3600, &future, NULL), 0);
    tkx_future_unref(future);
    AWAIT(tkx_rest_set_checkpoint_ttl(rest, state, 3599, &future, NULL), 400);
    tkx_future_unref(future);
    AWAIT(tkx_rest_delete_checkpoint(rest, state, &future, NULL), 0);
    tkx_future_unref(future);
    AWAIT(tkx_rest_get_weights_info(rest, state, NULL, &future, NULL), 404);
    tkx_future_unref(future);
    AWAIT(tkx_rest_list_checkpoints(rest, NULL, &future, NULL), 0);
    TAKE(checkpoint_list, &list);
    ck_assert_uint_eq(list->count, 1);
    ck_assert_str_eq(list->items[0].tinker_path, sampler);
    tkx_checkpoint_list_free(list);
}
END_TEST

/* The files go elsewhere, past the client: see e2e_mock_rest. */
START_TEST(an_upload_without_files_gives_no_checkpoint)
{
    tkx_external_upload_request request = {.base_model = "tkx/bytes",
                                           .lora_config = TKX_LORA_CONFIG_INIT};
    tkx_external_upload *upload;

    AWAIT(tkx_rest_start_external_upload(rest, &request, &future, NULL), 0);
    TAKE(external_upload, &upload);
    ck_assert_uint_eq(upload->urls.count, 2);
    AWAIT(tkx_rest_finish_external_upload(rest, upload->upload_id, &future, NULL), 400);
    tkx_future_unref(future);
    tkx_external_upload_free(upload);
    AWAIT(tkx_rest_finish_external_upload(rest, "nothing", &future, NULL), 404);
    tkx_future_unref(future);
}
END_TEST

START_TEST(sessions_and_the_account)
{
    const char *id = tkx_service_session_id(service);
    tkx_session_search search = TKX_SESSION_SEARCH_INIT;
    tkx_checkpoint_search checkpoints = TKX_CHECKPOINT_SEARCH_INIT;
    tkx_checkpoint_search_result *hits;
    tkx_session_list *list;
    tkx_session_info *info;
    tkx_session_search_result *found;
    tkx_trace_export *trace;
    tkx_audit_log *log;
    tkx_checkpoint_storage *storage;

    AWAIT(tkx_rest_list_sessions(rest, NULL, &future, NULL), 0);
    TAKE(session_list, &list);
    ck_assert_uint_eq(list->sessions.count, 1); /* ours made none */
    ck_assert_str_eq(list->sessions.items[0], id);
    tkx_session_list_free(list);
    AWAIT(tkx_rest_get_session(rest, id, NULL, &future, NULL), 0);
    TAKE(session_info, &info);
    ck_assert_uint_eq(info->training_run_ids.count, 1);
    tkx_session_info_free(info);
    checkpoints.checkpoint_type = "training";
    AWAIT(tkx_rest_search_sessions(rest, &search, &future, NULL), 0);
    TAKE(session_search_result, &found);
    ck_assert_uint_eq(found->count, 1);
    tkx_session_search_result_free(found);
    AWAIT(tkx_rest_search_checkpoints(rest, &checkpoints, &future, NULL), 0);
    TAKE(checkpoint_search_result, &hits);
    ck_assert_uint_eq(hits->count, 1);
    ck_assert_str_eq(hits->items[0].tinker_path, state);
    tkx_checkpoint_search_result_free(hits);
    AWAIT(tkx_rest_set_session_project(rest, id, "p", &future, NULL), 0);
    tkx_future_unref(future);
    AWAIT(tkx_rest_export_trace(rest, id, &future, NULL), 0);
    TAKE(trace_export, &trace);
    ck_assert_str_eq(trace->status, "ready");
    tkx_trace_export_free(trace);
    AWAIT(tkx_rest_get_audit_log(rest, "all", "2026-01-31", &future, NULL), 0);
    TAKE(audit_log, &log);
    tkx_audit_log_free(log);
    AWAIT(tkx_rest_get_checkpoint_storage(rest, NULL, &future, NULL), 0);
    TAKE(checkpoint_storage, &storage);
    tkx_checkpoint_storage_free(storage);
    AWAIT(tkx_rest_get_sampler(rest, "nobody", &future, NULL), 404);
    tkx_future_unref(future);
}
END_TEST

/* This server has no links for a training checkpoint, but an archive. */
START_TEST(a_training_checkpoint_is_downloaded)
{
    tkx_checkpoint_download_options options = TKX_CHECKPOINT_DOWNLOAD_OPTIONS_INIT;
    tkx_checkpoint_download_result *result;
    char file[800];

    options.tinker_path = state;
    options.directory = server.state_dir;
    AWAIT(tkx_checkpoint_download(rest, &options, &future, NULL), 0);
    TAKE(checkpoint_download, &result);
    ck_assert_uint_eq(result->n_files, 3);
    snprintf(file, sizeof file, "%s/checkpoint_complete", result->path);
    ck_assert_int_eq(access(file, F_OK), 0);
    tkx_checkpoint_download_result_free(result);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("client_rest");
    TCase *tc = tcase_create("client_rest");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, runs_and_checkpoints);
    tcase_add_test(tc, an_upload_without_files_gives_no_checkpoint);
    tcase_add_test(tc, sessions_and_the_account);
    tcase_add_test(tc, a_training_checkpoint_is_downloaded);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
