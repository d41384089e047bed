/* SPDX-License-Identifier: Apache-2.0 */
/*
 * e2e_client_secrets.c - a session whose every log line, error and freed block is
 * searched for the key and for the tokens that it was exchanged for.
 *
 * The allocator of the library looks at each block before it goes: a key in one was not
 * wiped.  The server echoes the key in error bodies, as badly made ones do.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tkx/memory.h>
#include <tkx/sampling.h>
#include <tkx/training.h>

#include "support/mock_process.h"
#include "support/suite.h"

#define KEY "tml-SECRET-0123456789"
#define PART "SECRET-012"
#define TOKEN "eyJ" /* what every token begins with */

static atomic_int n_lines, n_shown, n_unwiped;
static char shown[512];

static bool has_secret(const char *text)
{
    return strstr(text, PART) || strstr(text, TOKEN);
}

static void look_at(const char *text)
{
    if (has_secret(text) && atomic_fetch_add(&n_shown, 1) == 0)
        snprintf(shown, sizeof shown, "%.*s", (int)sizeof shown - 1, text);
}

static void on_log(tkx_log_level level, const char *subject, const char *message,
                   void *user_data)
{
    (void)level;
    (void)user_data;
    atomic_fetch_add(&n_lines, 1);
    look_at(subject);
    look_at(message);
}

static void look_at_error(const tkx_error *error)
{
    for (; error; error = tkx_error_cause(error))
        look_at(tkx_error_message(error));
}

/* --- the allocator: a size before each block ------------------------------------- */

enum { HEAD = 16 };

/* A block is no text: bytes are compared one place after another. */
static void search(const char *bytes, size_t size)
{
    for (size_t i = 0; i + sizeof PART - 1 <= size; i++)
        if (memcmp(bytes + i, PART, sizeof PART - 1) == 0) {
            atomic_fetch_add(&n_unwiped, 1);
            return;
        }
}

static void *checking_malloc(size_t size, void *user_data)
{
    char *block = malloc(size + HEAD);

    (void)user_data;
    if (!block)
        return NULL;
    memcpy(block, &size, sizeof size);
    return block + HEAD;
}

static void checking_free(void *ptr, void *user_data)
{
    char *block = ptr;
    size_t size;

    (void)user_data;
    if (!block)
        return;
    memcpy(&size, block - HEAD, sizeof size);
    search(block, size);
    free(block - HEAD);
}

/* Always moves, so that what a growing buffer leaves behind is seen. */
static void *checking_realloc(void *ptr, size_t size, void *user_data)
{
    char *block = checking_malloc(size, user_data);
    size_t old = 0;

    if (!block)
        return NULL;
    if (ptr) {
        memcpy(&old, (char *)ptr - HEAD, sizeof old);
        memcpy(block, ptr, old < size ? old : size);
        checking_free(ptr, user_data);
    }
    return block;
}

/* --- the session ----------------------------------------------------------------- */

static mock_process server;
static tkx_context *context;
static tkx_service *service;

static void open_client(const char *key)
{
    tkx_context_options options = TKX_CONTEXT_OPTIONS_INIT;

    options.base_url = server.url;
    options.api_key = key;
    options.log_fn = on_log;
    options.max_log_level = TKX_LOG_TRACE;
    ck_assert_int_eq(tkx_context_new(&options, &context, NULL), TKX_OK);
    ck_assert_int_eq(tkx_service_new(context, NULL, &service, NULL), TKX_OK);
}

static void close_client(void)
{
    tkx_service_free(service);
    tkx_context_close(context, 0, 5000, NULL);
    tkx_context_free(context);
}

static void set_allocator(void)
{
    const tkx_allocator allocator = {.struct_size = sizeof allocator,
                                     .malloc_fn = checking_malloc,
                                     .realloc_fn = checking_realloc,
                                     .free_fn = checking_free};
    ck_assert_int_eq(tkx_set_allocator(&allocator), TKX_OK);
}

/* The future's outcome, whatever it is, and what a watcher sees of it. */
static tkx_status end(tkx_future *future)
{
    char text[4096];
    tkx_status st;

    tkx_future_describe(future, text, sizeof text);
    look_at(text);
    ck_assert_int_eq(tkx_future_wait(future, -1, NULL), TKX_OK);
    look_at_error(tkx_future_error(future));
    tkx_future_describe(future, text, sizeof text);
    look_at(text);
    st = tkx_error_status(tkx_future_error(future));
    return st;
}

static tkx_training *create(void)
{
    tkx_lora_options options = TKX_LORA_OPTIONS_INIT;
    tkx_training *training = NULL;
    tkx_future *future;

    options.base_model = "tkx/bytes";
    options.lora.rank = 2;
    ck_assert_int_eq(tkx_service_create_lora(service, &options, &future, NULL), TKX_OK);
    if (end(future) == TKX_OK)
        ck_assert_int_eq(tkx_future_take_training(future, &training, NULL), TKX_OK);
    tkx_future_unref(future);
    return training;
}

static void nothing_was_shown(void)
{
    ck_assert_msg(atomic_load(&n_shown) == 0, "%d times shown, first: %s",
                  atomic_load(&n_shown), shown);
}

static void nothing_was_left(void)
{
    nothing_was_shown();
    ck_assert_msg(atomic_load(&n_unwiped) == 0, "%d blocks with the key were not wiped",
                  atomic_load(&n_unwiped));
}

static tkx_status step(tkx_training *training)
{
    tkx_adam_params adam = TKX_ADAM_PARAMS_INIT;
    const tkx_optim_options with_adam = {.struct_size = sizeof with_adam, .adam = &adam};
    tkx_future *future;
    tkx_status st;

    ck_assert_int_eq(tkx_training_optim_step(training, &with_adam, &future, NULL),
                     TKX_OK);
    st = end(future);
    tkx_future_unref(future);
    return st;
}

/* From now on the answers of a route repeat the key. */
static void echo_key(const char *route)
{
    mock_answer a = mock_post(&server, "/mock/scenario",
                              "{\"rules\":[{\"route\":\"POST %s\",\"nth\":\"all\","
                              "\"phase\":\"before\",\"fault\":\"status\","
                              "\"status\":403,\"body\":\"{\\\"detail\\\":\\\""
                              "not yours: " KEY "\\\"}\"}]}",
                              route);
    ck_assert_int_eq(a.status, 200);
    mock_answer_free(&a);
}

/* A session that does its work, and then one in which the server echoes the key. */
static void run_sessions(const char *const *flags)
{
    static const char *const routes[] = {"/retrieve_future", "/optim_step"};
    tkx_training *training;

    set_allocator();
    memset(&server, 0, sizeof server);
    mock_process_start(&server, flags);
    open_client(KEY);
    training = create();
    ck_assert_ptr_nonnull(training);
    ck_assert_int_eq(step(training), TKX_OK);
    tkx_training_free(training);
    close_client();
    nothing_was_left();
    open_client(KEY);
    training = create();
    for (size_t i = 0; i < 2; i++) {
        echo_key(routes[i]);
        ck_assert_int_eq(step(training), TKX_ERR_PERMISSION);
    }
    tkx_training_free(training);
    close_client();
    nothing_was_shown();
    mock_process_remove(&server);
}

START_TEST(a_plain_key_is_not_shown_and_wiped)
{
    static const char *const flags[] = {"--api-key", KEY, NULL};
    run_sessions(flags);
}
END_TEST

START_TEST(a_token_is_not_shown_and_its_key_wiped)
{
    static const char *const flags[] = {"--api-key", KEY, "--jwt", "100", NULL};
    run_sessions(flags);
}
END_TEST

START_TEST(a_refused_key_is_not_shown)
{
    static const char *const flags[] = {"--api-key", "tml-another", NULL};
    set_allocator();
    memset(&server, 0, sizeof server);
    mock_process_start(&server, flags);
    open_client(KEY);
    ck_assert_ptr_null(create());
    close_client();
    mock_process_remove(&server);
    nothing_was_left();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("client_secrets");
    TCase *tc = tcase_create("all");
    tcase_add_test(tc, a_plain_key_is_not_shown_and_wiped);
    tcase_add_test(tc, a_token_is_not_shown_and_its_key_wiped);
    tcase_add_test(tc, a_refused_key_is_not_shown);
    suite_add_tcase(s, tc);
    return run_suite(s);
}
