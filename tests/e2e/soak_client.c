/* SPDX-License-Identifier: Apache-2.0 */
/*
 * soak_client.c - a client and a server live on, session after session, and neither
 * grows.
 *
 * usage: soak_client [SECONDS]      20 in the tests, an hour in scripts/soak
 *
 * Each round opens a session, trains, samples, saves, fails on purpose, and closes all of
 * it.  Resident memory is printed once a minute and noted after each round.  What ended
 * sessions used is freed in batches, so what counts is the least value: when all is over,
 * memory falls back to a few MiB above its least in the second quarter of the time (caches
 * are full by then), however long it went on.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <tkx/sampling.h>
#include <tkx/training.h>

#include "support/mock_process.h"

enum { N_STEPS = 10, N_SAMPLES = 50, ALLOWED_KB = 4096, SETTLE_MS = 60000 };

static mock_process server;
static tkx_context *context;

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

static void must(tkx_status status, tkx_error *error, const char *what)
{
    ck_assert_msg(status == TKX_OK, "%s: %s", what, tkx_error_message(error));
}

/* Resident kilobytes of a process; 0: this one. */
static long resident_kb(pid_t pid)
{
    char path[64], line[256];
    long kb = 0;
    FILE *file;

    snprintf(path, sizeof path, pid ? "/proc/%d/status" : "/proc/self/status", (int)pid);
    file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "VmRSS: %ld", &kb) == 1)
            break;
    if (file)
        fclose(file);
    return kb;
}

static void await(tkx_future *future, const char *what, int expects_failure)
{
    tkx_error *err = NULL;

    must(tkx_future_wait(future, 600000, &err), err, what);
    ck_assert_msg(!tkx_future_error(future) == !expects_failure, "%s: %s", what,
                  tkx_error_message(tkx_future_error(future)));
}

/* What a pass borrows until it is done. */
typedef struct text {
    int32_t tokens[4];
    int64_t targets[4];
    float weights[4];
    tkx_chunk chunk;
    tkx_named_tensor inputs[2];
    tkx_datum datum;
} text;

/* A short text; with a target outside of the vocabulary its pass fails. */
static void set_text(text *t, int64_t last_target)
{
    *t = (text){.tokens = {'h', 'e', 'l', 'l'},
                .targets = {'e', 'l', 'l', last_target},
                .weights = {1, 1, 1, 1}};
    t->chunk = tkx_chunk_text(t->tokens, 4);
    t->inputs[0] = (tkx_named_tensor){"target_tokens", tkx_tensor_i64(t->targets, 4)};
    t->inputs[1] = (tkx_named_tensor){"weights", tkx_tensor_f32(t->weights, 4)};
    t->datum = (tkx_datum){.model_input = {&t->chunk, 1},
                           .loss_fn_inputs = t->inputs,
                           .n_loss_fn_inputs = 2};
}

static tkx_future *start_pass(tkx_training *training, const text *t)
{
    tkx_future *future = NULL;
    tkx_error *err = NULL;

    must(tkx_training_forward_backward(training, &t->datum, 1, TKX_LOSS_CROSS_ENTROPY,
                                       NULL, &future, &err),
         err, "forward_backward");
    return future;
}

static void train(tkx_training *t)
{
    tkx_adam_params adam = TKX_ADAM_PARAMS_INIT;
    const tkx_optim_options with_adam = {.struct_size = sizeof with_adam, .adam = &adam};
    tkx_future *passes[N_STEPS], *steps[N_STEPS], *bad;
    tkx_error *err = NULL;
    text good, wrong;

    set_text(&good, 'o');
    set_text(&wrong, 100000);
    for (int i = 0; i < N_STEPS; i++) {
        passes[i] = start_pass(t, &good);
        must(tkx_training_optim_step(t, &with_adam, &steps[i], &err), err, "optim_step");
    }
    for (int i = 0; i < N_STEPS; i++) {
        await(passes[i], "forward_backward", 0);
        await(steps[i], "optim_step", 0);
        tkx_future_unref(passes[i]);
        tkx_future_unref(steps[i]);
    }
    bad = start_pass(t, &wrong);
    await(bad, "a pass with a wrong token", 1);
    tkx_future_unref(bad);
}

static void sample(tkx_training *t)
{
    static const int32_t prompt[] = {'h', 'e'};
    const tkx_chunk chunk = tkx_chunk_text(prompt, 2);
    tkx_sample_request request = TKX_SAMPLE_REQUEST_INIT;
    tkx_future *futures[N_SAMPLES], *future;
    tkx_sampling *sampling;
    tkx_error *err = NULL;

    must(tkx_training_save_weights_and_get_sampling_client(t, NULL, &future, &err), err,
         "save_weights_and_get_sampling_client");
    await(future, "save_weights_and_get_sampling_client", 0);
    must(tkx_future_take_sampling(future, &sampling, &err), err, "sampling client");
    tkx_future_unref(future);
    request.prompt = (tkx_model_input){&chunk, 1};
    request.params.has_max_tokens = true;
    request.params.max_tokens = 8;
    for (int i = 0; i < N_SAMPLES; i++)
        must(tkx_sampling_sample(sampling, &request, 0, &futures[i], &err), err,
             "sample");
    for (int i = 0; i < N_SAMPLES; i++) {
        await(futures[i], "sample", 0);
        tkx_future_unref(futures[i]);
    }
    tkx_sampling_free(sampling);
}

/* One context for all rounds, one session for each. */
static void run_round(void)
{
    tkx_lora_options options = TKX_LORA_OPTIONS_INIT;
    tkx_service *service = NULL;
    tkx_training *training;
    tkx_future *future;
    tkx_error *err = NULL;

    must(tkx_service_new(context, NULL, &service, &err), err, "service");
    options.base_model = "tkx/bytes";
    options.lora.rank = 4;
    must(tkx_service_create_lora(service, &options, &future, &err), err, "create_lora");
    await(future, "create_lora", 0);
    must(tkx_future_take_training(future, &training, &err), err, "training client");
    tkx_future_unref(future);
    train(training);
    sample(training);
    must(tkx_training_save_state(training, "kept", NULL, &future, &err), err,
         "save_state");
    await(future, "save_state", 0);
    tkx_future_unref(future);
    tkx_training_free(training);
    tkx_service_free(service);
}

static int64_t seconds = 10, started_ms, n_rounds;
static long early_client_kb, early_server_kb; /* 0: not looked at yet */

static void note_least(long *least_kb, long kb)
{
    if (*least_kb == 0 || kb < *least_kb)
        *least_kb = kb;
}

/* From the second quarter on, until it ends; a round longer than that counts as well. */
static void note(int64_t passed_ms)
{
    const int64_t quarter = passed_ms * 4 / (seconds * 1000);

    if (quarter == 1 || (quarter > 1 && early_server_kb == 0)) {
        note_least(&early_client_kb, resident_kb(0));
        note_least(&early_server_kb, resident_kb(server.pid));
    }
}

/* Waits for the server to free what it keeps for those who ask again. */
static void check_growth(const char *name, pid_t pid, long early_kb)
{
    const int64_t end_ms = now_ms() + SETTLE_MS;
    const struct timespec pause = {.tv_nsec = 20000000};
    long kb = resident_kb(pid);

    while (kb > early_kb + ALLOWED_KB && now_ms() < end_ms) {
        nanosleep(&pause, NULL);
        kb = resident_kb(pid);
    }
    printf("%s: %ld KiB, at the end %ld KiB (%+ld)\n", name, early_kb, kb, kb - early_kb);
    fflush(stdout);
    ck_assert_msg(kb <= early_kb + ALLOWED_KB, "%s grew by %ld KiB", name, kb - early_kb);
}

/* A server whose malloc gives freed memory back at once: resident is what is in use. */
static void keep_no_free_memory(void)
{
    setenv("MALLOC_ARENA_MAX", "1", 1);
    setenv("MALLOC_MMAP_THRESHOLD_", "65536", 1);
    setenv("MALLOC_TRIM_THRESHOLD_", "65536", 1);
    setenv("MALLOC_TOP_PAD_", "0", 1);
}

static void begin(void)
{
    /* So that an hour's results do not pile up; longer than a busy machine stands still,
       since what is forgotten before the client has read it is lost. */
    static const char *const flags[] = {"--retain-s", "600", NULL};
    tkx_context_options options = TKX_CONTEXT_OPTIONS_INIT;
    tkx_error *err = NULL;

    keep_no_free_memory();
    mock_process_start(&server, flags);
    options.base_url = server.url;
    options.api_key = "tml-test";
    must(tkx_context_new(&options, &context, &err), err, "context");
    started_ms = now_ms();
}

/* Loop: the minute. */
START_TEST(a_minute)
{
    int64_t end_ms = (_i + 1) * INT64_C(60000), passed_ms;

    if (end_ms > seconds * 1000)
        end_ms = seconds * 1000;
    do {
        run_round();
        n_rounds++;
        passed_ms = now_ms() - started_ms;
        note(passed_ms);
    } while (passed_ms < end_ms);
    printf("%lld s, %lld rounds: client %ld KiB, server %ld KiB\n",
           (long long)(passed_ms / 1000), (long long)n_rounds, resident_kb(0),
           resident_kb(server.pid));
    fflush(stdout);
}
END_TEST

START_TEST(neither_has_grown)
{
    check_growth("client", 0, early_client_kb);
    check_growth("server", server.pid, early_server_kb);
}
END_TEST

static void finish(void)
{
    tkx_context_close(context, 0, 5000, NULL);
    tkx_context_free(context);
    ck_assert_int_eq(mock_process_stop(&server), 0);
    mock_process_remove(&server);
}

/* Minutes that follow each other in one process: a test of Check may take 35 at most,
   whose microseconds it keeps in an int. */
int main(int argc, char **argv)
{
    Suite *s = suite_create("soak_client");
    TCase *tc = tcase_create("all");
    SRunner *runner = srunner_create(s);
    int n_failed;

    if (argc > 1 && atoll(argv[1]) > 0)
        seconds = atoll(argv[1]);
    tcase_add_unchecked_fixture(tc, begin, finish);
    tcase_add_loop_test(tc, a_minute, 0, (int)((seconds + 59) / 60));
    tcase_add_test(tc, neither_has_grown);
    suite_add_tcase(s, tc);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
