/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_auth.c - where a credential comes from, and the exchange for a token (behaviour
 * check 24).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/auth.h"
#include "api/call.h"
#include "base/str.h"
#include "support/fake_io.h"
#include "support/suite.h"

enum { MANY = 50 };

static fake_io *io;
static tkx__site *site;
static tkx__auth *auth;
static int n_done, n_ok;

static void set_up(void)
{
    n_done = n_ok = 0;
    unsetenv("TINKER_API_KEY");
    unsetenv("TINKER_CREDENTIAL_CMD");
    setenv("HOME", "/nonexistent", 1);
    io = fake_io_new();
    fake_io_set_wall(io, 1700000000000);
    tkx__site_options options = {.io = *fake_io_table(io), .base_url = "http://x"};
    ck_assert_int_eq(tkx__site_new(&options, &site, NULL), TKX_OK);
    auth = NULL;
}

static void tear_down(void)
{
    tkx__auth_free(auth);
    tkx__site_free(site);
    fake_io_free(io);
}

static void use_key(const char *key, bool use_jwt)
{
    tkx__auth_options options = {.api_key = key};
    ck_assert_int_eq(tkx__auth_new(site, &options, &auth, NULL), TKX_OK);
    tkx__auth_configure(auth, use_jwt, false);
}

static void done(void *arg, tkx__outcome *outcome)
{
    tkx__call **call = arg;

    *call = NULL;
    n_done++;
    n_ok += !outcome->error;
    tkx_error_free(outcome->error);
}

static void call(tkx__call **out)
{
    static const tkx__body body = {.bytes = "{}", .size_bytes = 2};
    const tkx__call_spec spec = {
        .what = "thing", .route = "thing", .body = &body, .seq_id = -1};

    ck_assert_int_eq(tkx__call_start(site, &spec, done, out, out, NULL), TKX_OK);
    fake_io_turn(io);
}

/* {"jwt": ...} of a token with these times, in seconds after the test's begin. */
static void answer_token(size_t i, const char *mark, int iat, int exp)
{
    char claims[200], payload[400] = "", body[600];

    snprintf(claims, sizeof claims, "{\"sub\":\"%s\",\"iat\":%d,\"exp\":%d}", mark,
             1700000000 + iat, 1700000000 + exp);
    tkx__base64_encode(claims, strlen(claims), payload);
    snprintf(body, sizeof body, "{\"jwt\":\"eyJhbGciOiJub25lIn0.%s.c2ln\"}", payload);
    fake_io_answer(io, i, 200, NULL, body);
}

START_TEST(a_missing_or_foreign_key_is_refused)
{
    tkx__auth_options options = {0};
    tkx_error *err = NULL;

    ck_assert_int_eq(tkx__auth_new(site, &options, &auth, &err), TKX_ERR_AUTH);
    ck_assert_ptr_nonnull(strstr(tkx_error_message(err), "TINKER_API_KEY"));
    tkx_error_free(err);
    err = NULL;
    options.api_key = "sk-something";
    ck_assert_int_eq(tkx__auth_new(site, &options, &auth, &err), TKX_ERR_AUTH);
    ck_assert_ptr_null(strstr(tkx_error_message(err), "something")); /* never quoted */
    tkx_error_free(err);
    err = NULL;
    options.api_key = "tml-a\nb";
    ck_assert_int_eq(tkx__auth_new(site, &options, &auth, &err), TKX_ERR_AUTH);
    tkx_error_free(err);
}
END_TEST

START_TEST(the_stored_file_is_the_last_resort)
{
    char path[] = "/tmp/tkx-cred-XXXXXX";
    int fd = mkstemp(path);
    static const char text[] =
        "{\"version\":1,\"default\":\"7\",\"keys\":{\"7\":{\"type\":"
        "\"manual\",\"key\":\"tml-file\",\"name\":\"n\"}}}";
    tkx__auth_options options = {.credentials_file = path};

    ck_assert_int_eq(write(fd, text, sizeof text - 1), sizeof text - 1);
    close(fd);
    ck_assert_int_eq(tkx__auth_new(site, &options, &auth, NULL), TKX_OK);
    tkx__secret *key = tkx__auth_get(auth);
    ck_assert_str_eq(key->text, "tml-file");
    tkx__secret_unref(key);
    unlink(path);
}
END_TEST

START_TEST(the_command_is_run_for_the_key)
{
    tkx__call *c;
    tkx__auth_options options = {0};

    setenv("TINKER_CREDENTIAL_CMD", _i ? "exit 3" : "echo '  tml-cmd '", 1);
    ck_assert_int_eq(tkx__auth_new(site, &options, &auth, NULL), TKX_OK);
    call(&c);
    if (_i) {
        ck_assert_int_eq(n_done, 1);
        ck_assert_int_eq(n_ok, 0);
        return;
    }
    ck_assert_str_eq(fake_io_header(io, 0, "x-api-key"), "tml-cmd");
    fake_io_answer(io, 0, 200, NULL, "{}");
    ck_assert_int_eq(n_ok, 1);
}
END_TEST

START_TEST(many_requests_make_one_exchange)
{
    static tkx__call *c[MANY];

    use_key("tml-key", true);
    for (int i = 0; i < MANY; i++)
        call(&c[i]);
    ck_assert_uint_eq(fake_io_n_sent(io), 1);
    ck_assert_str_eq(fake_io_header(io, 0, "x-api-key"), "tml-key");
    answer_token(0, "one", 0, 3600);
    ck_assert_uint_eq(fake_io_n_sent(io), 1 + MANY);
    ck_assert_ptr_nonnull(strstr(fake_io_header(io, 1, "x-api-key"), "eyJ"));
    for (size_t i = 1; i <= MANY; i++)
        fake_io_answer(io, i, 200, NULL, "{}");
    ck_assert_int_eq(n_ok, MANY);
}
END_TEST

/* 30 s are left: everybody asks for a new one; a failing service leaves the old one. */
START_TEST(a_dying_token_is_renewed_or_used_up)
{
    static tkx__call *c[MANY];
    tkx__call *first;

    use_key("tml-key", true);
    call(&first);
    answer_token(0, "one", -100000, 100); /* renewal in the background is far away */
    fake_io_answer(io, 1, 200, NULL, "{}");
    fake_io_advance(io, 70000);
    for (int i = 0; i < MANY; i++)
        call(&c[i]);
    for (size_t i = fake_io_find_open(io, 2, "auth/token"); i != FAKE_NONE;
         i = fake_io_find_open(io, 2, "auth/token")) {
        fake_io_answer(io, i, _i ? 401 : 503, NULL, "{}");
        fake_io_advance(io, 1000);
    }
    for (size_t i = 0; i < fake_io_n_sent(io); i++)
        if (fake_io_sent(io, i)->state == FAKE_OPEN)
            fake_io_answer(io, i, 200, NULL, "{}");
    ck_assert_int_eq(n_done, MANY + 1);
    ck_assert_int_eq(n_ok, _i ? 1 : MANY + 1);
    ck_assert_uint_le(fake_io_count(io, "auth/token"), _i ? 2 : 4);
}
END_TEST

START_TEST(refused_tokens_are_replaced_by_one_exchange)
{
    static tkx__call *c[8];

    use_key("tml-key", true);
    for (int i = 0; i < 8; i++)
        call(&c[i]);
    answer_token(0, "one", 0, 3600);
    for (size_t i = 1; i <= 8; i++)
        fake_io_answer(io, i, 401, "www-authenticate: Bearer error=\"invalid_token\"",
                       "{}");
    ck_assert_uint_eq(fake_io_count(io, "auth/token"), 2);
    answer_token(fake_io_find_open(io, 0, "auth/token"), "two", 0, 3600);
    ck_assert_uint_eq(fake_io_count(io, "thing"), 16);
    for (size_t i = 10; i < 17; i++)
        fake_io_answer(io, i, 200, NULL, "{}");
    fake_io_answer(io, 17, 401, "www-authenticate: Bearer error=\"invalid_token\"", "{}");
    ck_assert_int_eq(n_done, 8);
    ck_assert_int_eq(n_ok, 7); /* a second refusal is final */
    ck_assert_str_eq(fake_io_header(io, 17, "x-stainless-retry-count"), "0");
}
END_TEST

START_TEST(the_background_renews_at_half_life)
{
    tkx__call *c;

    use_key("tml-key", true);
    call(&c);
    answer_token(0, "one", 0, 3600);
    fake_io_answer(io, 1, 200, NULL, "{}");
    fake_io_advance(io, 1619000);
    ck_assert_uint_eq(fake_io_count(io, "auth/token"), 1);
    fake_io_advance(io, 370000);
    ck_assert_uint_eq(fake_io_count(io, "auth/token"), 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("auth");
    TCase *tc = tcase_create("auth");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, a_missing_or_foreign_key_is_refused);
    tcase_add_test(tc, the_stored_file_is_the_last_resort);
    tcase_add_loop_test(tc, the_command_is_run_for_the_key, 0, 2);
    tcase_add_test(tc, many_requests_make_one_exchange);
    tcase_add_loop_test(tc, a_dying_token_is_renewed_or_used_up, 0, 2);
    tcase_add_test(tc, refused_tokens_are_replaced_by_one_exchange);
    tcase_add_test(tc, the_background_renews_at_half_life);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
