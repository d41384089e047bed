/* SPDX-License-Identifier: Apache-2.0 */
/* resume_run.c - the run that is cut off: its losses, steps and the journal beside it. */
#include "e2e/resume_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "support/suite.h"

enum { LENGTH = 8 };

mock_process server;
char journal_path[128];
tkx_journal *journal;
tkx_context *context;
tkx_service *service;
tkx_training *training;
tkx_resume_report *report;
static char final_path[256];

/* --- a client, and its sudden end ------------------------------------------------ */

void run_open_client(void)
{
    tkx_context_options options = TKX_CONTEXT_OPTIONS_INIT;

    options.base_url = server.url;
    options.api_key = "tml-test";
    ck_assert_int_eq(tkx_context_new(&options, &context, NULL), TKX_OK);
    ck_assert_int_eq(tkx_service_new(context, NULL, &service, NULL), TKX_OK);
}

/* Without patience nobody is told anything: the context goes first. */
void run_close_client(int64_t patience_ms)
{
    if (patience_ms == 0)
        ck_assert_int_eq(tkx_context_close(context, 0, 0, NULL), TKX_OK);
    tkx_training_free(training);
    tkx_resume_report_free(report);
    training = NULL;
    report = NULL;
    tkx_service_free(service);
    ck_assert_int_eq(tkx_context_close(context, 0, patience_ms, NULL), TKX_OK);
    tkx_context_free(context);
    tkx_journal_close(journal);
    journal = NULL;
}

void run_setup(void)
{
    memset(&server, 0, sizeof server);
    mock_process_start(&server, NULL);
    snprintf(journal_path, sizeof journal_path, "%s/run.sqlite", server.state_dir);
}

void run_teardown(void)
{
    mock_process_remove(&server);
}

void run_await(tkx_future *future)
{
    ck_assert_int_eq(tkx_future_wait(future, -1, NULL), TKX_OK);
    ck_assert_msg(!tkx_future_error(future), "%s",
                  tkx_error_message(tkx_future_error(future)));
}

void run_open_journal(size_t n_kept_states)
{
    tkx_journal_options options = TKX_JOURNAL_OPTIONS_INIT;
    tkx_error *err = NULL;

    options.n_kept_states = n_kept_states;
    options.sync = TKX_JOURNAL_SYNC_NORMAL;
    ck_assert_msg(tkx_journal_open(journal_path, &options, &journal, &err) == TKX_OK,
                  "%s", tkx_error_message(err));
}

void run_create(int64_t seed)
{
    tkx_lora_options options = TKX_LORA_OPTIONS_INIT;
    tkx_future *future;

    options.base_model = "tkx/bytes";
    options.lora.rank = 4;
    options.lora.seed = tkx_seed_i64(seed);
    options.journal = journal;
    ck_assert_int_eq(tkx_service_create_lora(service, &options, &future, NULL), TKX_OK);
    run_await(future);
    ck_assert_int_eq(tkx_future_take_training(future, &training, NULL), TKX_OK);
    tkx_future_unref(future);
}

tkx_future *run_begin_resume(tkx_resume_mode mode)
{
    tkx_resume_options options = TKX_RESUME_OPTIONS_INIT;
    tkx_future *future;

    options.mode = mode;
    ck_assert_int_eq(tkx_training_resume(service, journal, &options, &future, NULL),
                     TKX_OK);
    return future;
}

void run_resume(tkx_resume_mode mode)
{
    tkx_future *future;

    run_open_client();
    run_open_journal(1);
    future = run_begin_resume(mode);
    run_await(future);
    ck_assert_int_eq(tkx_future_take_resumed(future, &training, &report, NULL), TKX_OK);
    tkx_future_unref(future);
}

/* --- the run --------------------------------------------------------------------- */

/* Call k of the run: passes, steps, and saves where they hurt most: behind a pass that no
   step has used. */
tkx_future *run_call(size_t k)
{
    static const char plan[N_CALLS + 1] = "pspspSsppspsps";
    static int32_t tokens[N_CALLS][LENGTH];
    static int64_t targets[N_CALLS][LENGTH];
    static const float weights[LENGTH] = {1, 1, 1, 1, 1, 1, 1, 1};
    static tkx_chunk chunks[N_CALLS];
    static tkx_named_tensor inputs[N_CALLS][2];
    static tkx_datum data[N_CALLS];
    tkx_adam_params adam = TKX_ADAM_PARAMS_INIT;
    const tkx_optim_options with_adam = {.struct_size = sizeof with_adam, .adam = &adam};
    tkx_future *future = NULL;
    char name[16];

    if (plan[k] == 's') {
        adam.learning_rate = 0.003;
        ck_assert_int_eq(tkx_training_optim_step(training, &with_adam, &future, NULL),
                         TKX_OK);
        return future;
    }
    if (plan[k] == 'S') {
        snprintf(name, sizeof name, "call-%zu", k);
        ck_assert_int_eq(tkx_training_save_state(training, name, NULL, &future, NULL),
                         TKX_OK);
        return future;
    }
    for (int i = 0; i < LENGTH; i++) {
        tokens[k][i] = 'a' + (int)((k * 7 + (size_t)i) % 26);
        targets[k][i] = 'a' + (int)((k * 7 + (size_t)i + 1) % 26);
    }
    chunks[k] = tkx_chunk_text(tokens[k], LENGTH);
    inputs[k][0] =
        (tkx_named_tensor){"target_tokens", tkx_tensor_i64(targets[k], LENGTH)};
    inputs[k][1] = (tkx_named_tensor){"weights", tkx_tensor_f32(weights, LENGTH)};
    data[k] = (tkx_datum){.model_input = {&chunks[k], 1},
                          .loss_fn_inputs = inputs[k],
                          .n_loss_fn_inputs = 2};
    ck_assert_int_eq(tkx_training_forward_backward(training, &data[k], 1,
                                                   TKX_LOSS_CROSS_ENTROPY, NULL, &future,
                                                   NULL),
                     TKX_OK);
    return future;
}

/* Calls [from, to), each waited for. */
void run_go(size_t from, size_t to)
{
    for (size_t k = from; k < to; k++) {
        tkx_future *future = run_call(k);
        run_await(future);
        tkx_future_unref(future);
    }
}

static void save_final(void)
{
    tkx_save_weights_result *result;
    tkx_future *future;

    ck_assert_int_eq(
        tkx_training_save_weights_for_sampler(training, "final", NULL, &future, NULL),
        TKX_OK);
    run_await(future);
    ck_assert_int_eq(tkx_future_take_save_weights(future, &result, NULL), TKX_OK);
    tkx_future_unref(future);
    snprintf(final_path, sizeof final_path, "%s", result->path);
    tkx_save_weights_result_free(result);
}

/* The tensors of the checkpoint at final_path, the test's.  The head of the file tells
   the seed, which a model made from a state does not have. */
static char *final_bytes(long *size)
{
    char name[512];
    sqlite3 *db;
    sqlite3_stmt *row;
    FILE *file;
    uint64_t head;

    snprintf(name, sizeof name, "%s/records.sqlite", server.state_dir);
    ck_assert_int_eq(sqlite3_open(name, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 10000);
    ck_assert_int_eq(
        sqlite3_prepare_v2(db, "SELECT file FROM checkpoints WHERE tinker_path=?", -1,
                           &row, NULL),
        SQLITE_OK);
    sqlite3_bind_text(row, 1, final_path, -1, SQLITE_STATIC);
    ck_assert_int_eq(sqlite3_step(row), SQLITE_ROW);
    snprintf(name, sizeof name, "%s/%s", server.state_dir, sqlite3_column_text(row, 0));
    sqlite3_finalize(row);
    sqlite3_close(db);
    file = fopen(name, "rb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fread(&head, sizeof head, 1, file), 1);
    fseek(file, 0, SEEK_END);
    *size = ftell(file) - (long)(8 + head);
    fseek(file, (long)(8 + head), SEEK_SET);
    char *bytes = malloc((size_t)*size);
    ck_assert_uint_eq(fread(bytes, 1, (size_t)*size, file), (size_t)*size);
    fclose(file);
    return bytes;
}

/* Finish the run in hand and compare with one that nobody cut. */
void run_finish_and_compare(size_t from)
{
    long n_cut, n_calm;
    char *cut, *calm;

    run_go(from, N_CALLS);
    save_final();
    cut = final_bytes(&n_cut);
    run_close_client(5000);
    run_open_client();
    run_create(1);
    run_go(0, N_CALLS);
    save_final();
    calm = final_bytes(&n_calm);
    run_close_client(5000);
    ck_assert_int_eq(n_cut, n_calm);
    ck_assert_mem_eq(cut, calm, (size_t)n_cut);
    free(cut);
    free(calm);
}

/* The run up to a call, the last ones not waited for, then the end. */
void run_and_die(size_t n_waited, size_t n_open, size_t n_kept_states)
{
    tkx_future *futures[N_CALLS];

    run_open_client();
    run_open_journal(n_kept_states);
    run_create(1);
    run_go(0, n_waited);
    for (size_t i = 0; i < n_open; i++)
        futures[i] = run_call(n_waited + i);
    run_close_client(0);
    for (size_t i = 0; i < n_open; i++)
        tkx_future_unref(futures[i]);
}

static void sql(const char *file, const char *text)
{
    char *problem = NULL;
    sqlite3 *db;

    ck_assert_int_eq(sqlite3_open(file, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 10000);
    ck_assert_msg(sqlite3_exec(db, text, NULL, NULL, &problem) == SQLITE_OK, "%s",
                  problem);
    sqlite3_close(db);
}

void run_server_sql(const char *text)
{
    char name[128];

    snprintf(name, sizeof name, "%s/records.sqlite", server.state_dir);
    ck_assert_int_eq(mock_process_stop(&server), 0);
    sql(name, text);
    mock_process_start(&server, NULL);
}

int run_count_applied(void)
{
    mock_answer a = mock_get(&server, "/mock/journal");
    int n = 0;

    for (const char *p = a.body; (p = strstr(p, "\"op\"")) != NULL; p++)
        n++;
    mock_answer_free(&a);
    return n;
}
