/* SPDX-License-Identifier: Apache-2.0 */
/* Requests and replies over real sockets: what arrives, and what every failure says. */
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/loop.h"
#include "support/http_server.h"
#include "support/proc.h"
#include "support/suite.h"

typedef struct got {
    int n_calls, status;
    tkx_status error;
    int is_retryable;
    char message[1024];
    char *body;
    size_t size, n_headers;
    char test[16];
} got;

static http_server *server;
static struct event_base *base;
static tkx__loop *loop;
static const tkx__io *io;

static void open_loop(tkx__loop_config config)
{
    base = event_base_new();
    config.base = base;
    config.n_workers = -1;
    ck_assert_int_eq(tkx__loop_new(&config, &loop, NULL), TKX_OK);
    ck_assert_int_eq(tkx__loop_start(loop, NULL), TKX_OK);
    io = tkx__loop_io(loop);
}

static void open_world(void)
{
    server = http_server_start();
    open_loop((tkx__loop_config){0});
}

static void close_world(void)
{
    ck_assert_uint_eq(tkx__loop_get_stats(loop).n_transfers, 0);
    tkx__loop_free(loop);
    ck_assert_int_eq(event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED), 0);
    event_base_free(base);
    http_server_stop(server);
}

static void on_reply(tkx__reply *reply, void *arg)
{
    got *g = arg;
    const char *test = tkx__reply_header(reply, "x-test");

    g->n_calls++;
    g->status = reply->http_status;
    g->error = tkx_error_status(reply->error);
    g->is_retryable = tkx_error_is_retryable(reply->error);
    snprintf(g->message, sizeof g->message, "%s", tkx_error_message(reply->error));
    snprintf(g->test, sizeof g->test, "%s", test ? test : "");
    g->n_headers = reply->n_headers;
    g->size = reply->body_size;
    if (reply->body) {
        ck_assert_int_eq(reply->body[reply->body_size], '\0');
        g->body = reply->body;
        reply->body = NULL;
    }
}

static bool is_told(void *arg)
{
    return ((got *)arg)->n_calls > 0;
}

/* Send and run the loop until the reply. */
static got fetch(tkx__request request)
{
    got g = {0};

    ck_assert_ptr_nonnull(io->ops->send(io->ctx, &request, on_reply, &g));
    ck_assert_int_eq(g.n_calls, 0);
    ck_assert(tkx__loop_run_until(loop, is_told, &g));
    ck_assert_int_eq(g.n_calls, 1);
    return g;
}

static got get(const char *path)
{
    return fetch((tkx__request){.method = "GET", .url = http_server_url(server, path)});
}

START_TEST(headers_and_body_arrive_as_given)
{
    const tkx__header shared[] = {{"X-API-Key", "tml-1"}, {"Content-Type", "a/b"}};
    const tkx__header own[] = {{"X-Own", "1"}, {"X-Empty", ""}};
    const tkx__body body = {.bytes = "hello", .size_bytes = 5};
    tkx__request request = {.method = "POST",
                            .url = http_server_url(server, "/head"),
                            .headers = own,
                            .n_headers = 2,
                            .body = &body};
    got g;

    request.common = tkx__header_set_new(shared, 2);
    g = fetch(request);
    ck_assert_int_eq(g.status, 200);
    ck_assert_str_eq(g.test, "Yes");
    ck_assert_ptr_nonnull(strstr(g.body, "POST /head HTTP/1.1\r\n"));
    ck_assert_ptr_nonnull(strstr(g.body, "\r\nX-Own: 1\r\n"));
    ck_assert_ptr_nonnull(strstr(g.body, "\r\nX-Empty:\r\n"));
    ck_assert_ptr_nonnull(strstr(g.body, "\r\nX-API-Key: tml-1\r\n"));
    ck_assert_ptr_nonnull(strstr(g.body, "\r\nContent-Type: a/b\r\n"));
    ck_assert_ptr_nonnull(strstr(g.body, "\r\nContent-Length: 5\r\n"));
    ck_assert_ptr_nonnull(strstr(g.body, "\r\nAccept-Encoding: "));
    ck_assert_ptr_null(strstr(g.body, "Expect"));
    tkx__free(g.body);
    request.url = http_server_url(server, "/echo");
    g = fetch(request);
    ck_assert_str_eq(g.body, "hello");
    tkx__free(g.body);
    tkx__header_set_unref(request.common);
}
END_TEST

START_TEST(methods_come_as_named_on_a_handle_used_again)
{
    static const char *const methods[] = {"DELETE", "GET", "PUT", "POST",
                                          "PATCH",  "GET", "POST"};

    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        got g = fetch((tkx__request){.method = methods[i],
                                     .url = http_server_url(server, "/head")});

        ck_assert_int_eq(strncmp(g.body, methods[i], strlen(methods[i])), 0);
        ck_assert_ptr_null(strstr(g.body, "x-www-form-urlencoded"));
        tkx__free(g.body);
    }
    ck_assert_uint_eq(http_server_connections(server), 1);
}
END_TEST

static ssize_t read_pattern(void *ctx, uint64_t offset, char *to, size_t n)
{
    size_t *limit = ctx;

    if (offset >= *limit)
        return -1;
    if (n > 777)
        n = 777;
    for (size_t i = 0; i < n; i++)
        to[i] = (char)('a' + (offset + i) % 23);
    return (ssize_t)n;
}

START_TEST(streamed_body_arrives_whole)
{
    const size_t size = 3000000;
    size_t limit = SIZE_MAX;
    const tkx__body body = {.size_bytes = size, .read = read_pattern, .ctx = &limit};
    got g = fetch((tkx__request){.lane = TKX__LANE_TRAIN,
                                 .method = "POST",
                                 .url = http_server_url(server, "/echo"),
                                 .body = &body});

    ck_assert_uint_eq(g.size, size);
    for (size_t i = 0; i < size; i++)
        if (g.body[i] != (char)('a' + i % 23))
            ck_abort_msg("byte %zu differs", i); /* a check for each would take long */
    tkx__free(g.body);
    limit = 100000;
    g = fetch((tkx__request){
        .method = "POST", .url = http_server_url(server, "/echo"), .body = &body});
    ck_assert_int_eq(g.error, TKX_ERR_IO);
}
END_TEST

/* They begin one by one, and those given up before are never begun. */
START_TEST(large_uploads_at_once_arrive_whole)
{
    const size_t size = 300000;
    size_t limit = SIZE_MAX;
    const tkx__body body = {.size_bytes = size, .read = read_pattern, .ctx = &limit};
    tkx__request request = {.lane = TKX__LANE_TRAIN, .method = "POST", .body = &body};
    tkx__transfer *sent[8];
    got replies[8] = {{0}};

    request.url = http_server_url(server, "/echo");
    for (int i = 0; i < 8; i++)
        sent[i] = io->ops->send(io->ctx, &request, on_reply, &replies[i]);
    io->ops->cancel(io->ctx, sent[0]);
    io->ops->cancel(io->ctx, sent[4]);
    io->ops->cancel(io->ctx, sent[7]);
    for (int i = 0; i < 8; i++) {
        if (i == 0 || i == 4 || i == 7)
            continue;
        ck_assert(tkx__loop_run_until(loop, is_told, &replies[i]));
        ck_assert_uint_eq(replies[i].size, size);
        ck_assert_int_eq(replies[i].body[size - 1], (char)('a' + (size - 1) % 23));
        tkx__free(replies[i].body);
    }
    ck_assert_uint_eq(http_server_requests(server), 5);
    ck_assert_int_eq(replies[4].n_calls, 0);
}
END_TEST

START_TEST(small_body_in_slices_goes_out_whole)
{
    size_t limit = SIZE_MAX;
    const tkx__body body = {.size_bytes = 5000, .read = read_pattern, .ctx = &limit};
    tkx__request request = {.method = "POST", .body = &body};
    got g;

    request.url = http_server_url(server, "/echo");
    g = fetch(request);
    ck_assert_uint_eq(g.size, 5000);
    ck_assert_int_eq(g.body[4999], (char)('a' + 4999 % 23));
    tkx__free(g.body);
    limit = 1000;
    g = fetch(request);
    ck_assert_int_eq(g.error, TKX_ERR_IO);
}
END_TEST

/* The server closes a connection that it had kept: libcurl sends again on a new one, and
   the body starts over. */
START_TEST(streamed_body_is_replayed_on_a_dead_connection)
{
    size_t limit = SIZE_MAX;
    const tkx__body body = {.size_bytes = 50, .read = read_pattern, .ctx = &limit};
    tkx__request request = {
        .method = "POST", .url = http_server_url(server, "/once"), .body = &body};
    got g = get("/status/200");

    tkx__free(g.body);
    g = fetch(request);
    ck_assert_int_eq(g.status, 200);
    ck_assert_str_eq(g.body, "ok");
    ck_assert_uint_eq(http_server_connections(server), 2);
    tkx__free(g.body);
}
END_TEST

START_TEST(every_status_is_an_answer)
{
    static const int statuses[] = {200, 201, 204, 400, 401, 404, 429, 500, 503};
    char path[32];

    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        got g;

        snprintf(path, sizeof path, "/status/%d", statuses[i]);
        g = get(path);
        ck_assert_int_eq(g.status, statuses[i]);
        ck_assert_int_eq(g.error, TKX_OK);
        ck_assert_uint_eq(g.size, statuses[i] == 204 ? 0 : 1);
        tkx__free(g.body);
    }
}
END_TEST

START_TEST(many_headers_are_all_there)
{
    ck_assert_uint_eq(get("/many/300").n_headers, 301);
}
END_TEST

/* ---- failures ---- */

static void expect(const got *g, tkx_status status, const char *text)
{
    ck_assert_int_eq(g->status, 0);
    ck_assert_msg(g->error == status, "%s: %s", tkx_status_name(g->error), g->message);
    ck_assert_msg(strstr(g->message, text) != NULL, "no '%s' in: %s", text, g->message);
    ck_assert_ptr_null(g->body);
}

START_TEST(broken_answers_are_connection_errors)
{
    got g = get("/cut");

    expect(&g, TKX_ERR_CONNECTION, "10 bytes of the answer had come");
    ck_assert(g.is_retryable);
    g = get("/close");
    expect(&g, TKX_ERR_CONNECTION, "without an answer");
    g = get("/garbage");
    ck_assert_int_ne(g.error, TKX_OK);
}
END_TEST

START_TEST(silence_ends_at_the_time_limit)
{
    static const char *const paths[] = {"/stall", "/silent"};

    for (size_t i = 0; i < 2; i++) {
        got g = fetch((tkx__request){
            .method = "GET", .url = http_server_url(server, paths[i]), .timeout_ms = 60});

        expect(&g, TKX_ERR_TIMEOUT, paths[i]);
        ck_assert(g.is_retryable);
    }
}
END_TEST

START_TEST(long_answers_are_cut_at_the_cap)
{
    static const char *const paths[] = {"/big/1001", "/chunked/1001", "/big/1000"};

    for (size_t i = 0; i < 3; i++) {
        got g = fetch((tkx__request){.method = "GET",
                                     .url = http_server_url(server, paths[i]),
                                     .max_reply_bytes = 1000});

        if (i < 2)
            expect(&g, TKX_ERR_LIMIT, "longer than the 1000 bytes");
        else
            ck_assert_uint_eq(g.size, 1000);
        tkx__free(g.body);
    }
}
END_TEST

START_TEST(nobody_there_says_where_and_what_to_do)
{
    /* A label of 64 letters: refused by the resolver without asking anybody. */
    static const char too_long[] =
        "http://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/x";
    char url[128];
    int port, held = proc_hold_port(&port);
    got g;

    snprintf(url, sizeof url, "http://127.0.0.1:%d/p?sig=secret", port);
    g = fetch((tkx__request){.method = "GET", .url = url});
    expect(&g, TKX_ERR_CONNECTION, "check that the server runs");
    ck_assert_ptr_nonnull(strstr(g.message, "GET http://127.0.0.1:"));
    ck_assert_ptr_null(strstr(g.message, "secret"));
    g = fetch((tkx__request){.method = "GET", .url = too_long});
    expect(&g, TKX_ERR_CONNECTION, "check the host name");
    g = fetch((tkx__request){.method = "GET", .url = "gopher://127.0.0.1/x"});
    ck_assert_int_eq(g.error, TKX_ERR_INVALID_ARGUMENT);
    close(held);
}
END_TEST

START_TEST(tls_to_a_plain_port_is_named_as_such)
{
    char url[128];
    got g;

    snprintf(url, sizeof url, "https://127.0.0.1:%d/garbage", http_server_port(server));
    g = fetch((tkx__request){.method = "GET", .url = url, .timeout_ms = 500});
    ck_assert(g.error == TKX_ERR_CONNECTION || g.error == TKX_ERR_TIMEOUT);
}
END_TEST

/* ---- redirects ---- */

static got post_to(const char *url, http_server *at)
{
    static const tkx__header own[] = {{"X-Own", "secret"}, {"Content-Type", "a/b"}};
    static const tkx__header shared[] = {{"X-API-Key", "tml-1"}, {"Accept", "c/d"}};
    static const tkx__body body = {.bytes = "hello", .size_bytes = 5};
    tkx__request request = {
        .method = "POST", .headers = own, .n_headers = 2, .body = &body};
    got g;

    request.url = http_server_url(at, url);
    request.common = tkx__header_set_new(shared, 2);
    g = fetch(request);
    tkx__header_set_unref(request.common);
    return g;
}

START_TEST(redirects_keep_or_change_the_method)
{
    got g = post_to("/to/307//head", server);

    ck_assert_ptr_nonnull(strstr(g.body, "POST /head"));
    ck_assert_ptr_nonnull(strstr(g.body, "X-API-Key: tml-1"));
    ck_assert_ptr_nonnull(strstr(g.body, "Content-Length: 5"));
    tkx__free(g.body);
    g = post_to("/to/308//echo", server);
    ck_assert_str_eq(g.body, "hello");
    tkx__free(g.body);
    for (int status = 301; status <= 303; status++) {
        char path[32];

        snprintf(path, sizeof path, "/to/%d//head", status);
        g = post_to(path, server);
        ck_assert_ptr_nonnull(strstr(g.body, "GET /head"));
        ck_assert_ptr_null(strstr(g.body, "Content-"));
        ck_assert_ptr_nonnull(strstr(g.body, "X-Own: secret"));
        tkx__free(g.body);
    }
}
END_TEST

START_TEST(credentials_stay_with_their_host)
{
    http_server *other = http_server_start();
    char path[300];
    got g;

    snprintf(path, sizeof path, "/to/307/%s", http_server_url(other, "/head"));
    g = post_to(path, server);
    ck_assert_ptr_nonnull(strstr(g.body, "POST /head"));
    ck_assert_ptr_nonnull(strstr(g.body, "Accept: c/d"));
    ck_assert_ptr_nonnull(strstr(g.body, "Content-Type: a/b"));
    ck_assert_ptr_null(strstr(g.body, "tml-1"));
    ck_assert_ptr_null(strstr(g.body, "secret"));
    tkx__free(g.body);
    http_server_stop(other);
}
END_TEST

START_TEST(redirects_that_lead_nowhere)
{
    tkx__request plain = {.method = "GET", .no_redirects = true};
    got g = get("/to/302//to/302//to/302//to/302//echo");

    ck_assert_int_eq(g.status, 200);
    plain.url = http_server_url(server, "/to/302//echo");
    g = fetch(plain);
    ck_assert_int_eq(g.status, 302);
    ck_assert_str_eq(g.body, "move");
    tkx__free(g.body);
    g = get("/to/302/ftp://h/x");
    expect(&g, TKX_ERR_PROTOCOL, "only http and https");
    g = get("/to/302//to/302//to/302//to/302//to/302//to/302//to/302//to/302//to/302//to/"
            "302//"
            "to/302//to/302//echo");
    expect(&g, TKX_ERR_PROTOCOL, "in a row");
}
END_TEST

/* ---- connections ---- */

START_TEST(lanes_do_not_wait_for_each_other)
{
    got polls[20] = {{0}};
    tkx__transfer *held[20];
    tkx__request poll = {.lane = TKX__LANE_RETRIEVE, .method = "GET"};
    got g;

    poll.url = http_server_url(server, "/silent");
    for (int i = 0; i < 20; i++)
        held[i] = io->ops->send(io->ctx, &poll, on_reply, &polls[i]);
    g = fetch((tkx__request){.lane = TKX__LANE_SESSION,
                             .method = "GET",
                             .url = http_server_url(server, "/status/200")});
    ck_assert_int_eq(g.status, 200);
    tkx__free(g.body);
    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(polls[i].n_calls, 0);
        io->ops->cancel(io->ctx, held[i]);
    }
    tkx__free(get("/status/200").body);
    ck_assert_int_eq(polls[0].n_calls, 0);
}
END_TEST

START_TEST(fresh_connection_is_a_new_one)
{
    tkx__request request = {.method = "GET", .fresh_connection = true};

    tkx__free(get("/status/200").body);
    tkx__free(get("/status/200").body);
    ck_assert_uint_eq(http_server_connections(server), 1);
    request.url = http_server_url(server, "/status/200");
    tkx__free(fetch(request).body);
    ck_assert_uint_eq(http_server_connections(server), 2);
}
END_TEST

START_TEST(more_requests_than_connections_wait_their_turn)
{
    got replies[40] = {{0}};
    tkx__request request = {.lane = TKX__LANE_TRAIN, .method = "GET"};

    request.url = http_server_url(server, "/status/200");
    for (int i = 0; i < 40; i++)
        ck_assert_ptr_nonnull(io->ops->send(io->ctx, &request, on_reply, &replies[i]));
    for (int i = 0; i < 40; i++) {
        tkx__loop_run_until(loop, is_told, &replies[i]);
        ck_assert_int_eq(replies[i].status, 200);
        tkx__free(replies[i].body);
    }
    ck_assert_uint_le(http_server_connections(server), 16);
    ck_assert_uint_eq(http_server_requests(server), 40);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("transfer");
    TCase *tc = tcase_create("transfer");

    tcase_add_checked_fixture(tc, open_world, close_world);
    tcase_add_test(tc, headers_and_body_arrive_as_given);
    tcase_add_test(tc, methods_come_as_named_on_a_handle_used_again);
    tcase_add_test(tc, streamed_body_arrives_whole);
    tcase_add_test(tc, large_uploads_at_once_arrive_whole);
    tcase_add_test(tc, small_body_in_slices_goes_out_whole);
    tcase_add_test(tc, streamed_body_is_replayed_on_a_dead_connection);
    tcase_add_test(tc, every_status_is_an_answer);
    tcase_add_test(tc, many_headers_are_all_there);
    tcase_add_test(tc, broken_answers_are_connection_errors);
    tcase_add_test(tc, silence_ends_at_the_time_limit);
    tcase_add_test(tc, long_answers_are_cut_at_the_cap);
    tcase_add_test(tc, nobody_there_says_where_and_what_to_do);
    tcase_add_test(tc, tls_to_a_plain_port_is_named_as_such);
    tcase_add_test(tc, redirects_keep_or_change_the_method);
    tcase_add_test(tc, credentials_stay_with_their_host);
    tcase_add_test(tc, redirects_that_lead_nowhere);
    tcase_add_test(tc, lanes_do_not_wait_for_each_other);
    tcase_add_test(tc, fresh_connection_is_a_new_one);
    tcase_add_test(tc, more_requests_than_connections_wait_their_turn);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
