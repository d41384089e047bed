/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS and HTTP/2 through nghttpx, with an authority made here by openssl(1).
 *
 * Skipped, with a word, when either program is absent.
 */
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/loop.h"
#include "support/http_server.h"
#include "support/proc.h"
#include "support/suite.h"

#define N_STREAMS 60

static char dir[] = "/tmp/tkx-tls-XXXXXX";
static http_server *backend;
static pid_t proxy;
static int port, held; /* of the proxy; see proc.h */
static struct event_base *base;
static tkx__loop *loop;
static const tkx__io *io;

static const char make_certificates[] =
    "set -e; cd \"$1\"; exec >log 2>&1; "
    "key='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'; "
    "for ca in ca other; do openssl req -x509 $key -keyout $ca.key -out $ca.pem -days 2 "
    "-subj \"/CN=test $ca\"; done; "
    "openssl req $key -keyout srv.key -out srv.csr -subj /CN=localhost; "
    "echo 'subjectAltName=DNS:localhost,IP:127.0.0.1' >ext; "
    "for days in 2 -1; do openssl x509 -req -in srv.csr -CA ca.pem -CAkey ca.key "
    "-CAcreateserial -out srv$days.pem -days $days -extfile ext; done";

static bool has_program(const char *name)
{
    char command[128];

    snprintf(command, sizeof command, "command -v %s >/dev/null", name);
    return system(command) == 0;
}

static void run_script(const char *script)
{
    char command[2048];

    ck_assert_int_lt(snprintf(command, sizeof command, "set -- %s; %s", dir, script),
                     (int)sizeof command);
    ck_assert_int_eq(system(command), 0);
}

/* True when it listens: it says so on its log. */
static bool start_proxy(const char *certificate)
{
    char front[64], back[64], key[64], cert[64], line[512];
    int log[2];
    FILE *lines;
    bool is_up = false;

    held = proc_hold_port(&port);
    snprintf(front, sizeof front, "-f127.0.0.1,%d", port);
    snprintf(back, sizeof back, "-b127.0.0.1,%d", http_server_port(backend));
    snprintf(key, sizeof key, "%s/srv.key", dir);
    snprintf(cert, sizeof cert, "%s/%s", dir, certificate);
    ck_assert_int_eq(pipe(log), 0);
    proxy = fork();
    if (proxy == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(log[1], STDERR_FILENO);
        close(log[0]);
        close(log[1]);
        execlp("nghttpx", "nghttpx", "--conf=/dev/null", front, back, "-n1", "--no-ocsp",
               "--single-process", "-LNOTICE", "--errorlog-file=/dev/stderr", key, cert,
               (char *)NULL);
        _exit(127);
    }
    close(log[1]);
    lines = fdopen(log[0], "r");
    while (!is_up && fgets(line, sizeof line, lines))
        is_up = strstr(line, "Listening on") != NULL;
    fclose(lines);
    return is_up;
}

static void stop_proxy(void)
{
    kill(proxy, SIGKILL);
    waitpid(proxy, NULL, 0);
    close(held);
}

static void open_world(const char *certificate, const char *authority, bool http1)
{
    tkx__loop_config config = {
        .n_workers = -1, .is_http1_only = http1, .connect_timeout_ms = 600000};
    char ca[64];

    ck_assert_ptr_nonnull(mkdtemp(dir));
    run_script(make_certificates);
    backend = http_server_start();
    ck_assert(start_proxy(certificate));
    snprintf(ca, sizeof ca, "%s/%s", dir, authority);
    config.ca_file = ca;
    config.base = base = event_base_new();
    ck_assert_int_eq(tkx__loop_new(&config, &loop, NULL), TKX_OK);
    ck_assert_int_eq(tkx__loop_start(loop, NULL), TKX_OK);
    io = tkx__loop_io(loop);
}

static void close_world(void)
{
    tkx__loop_free(loop);
    event_base_free(base);
    stop_proxy();
    http_server_stop(backend);
    run_script("rm -rf \"$1\"");
}

typedef struct got {
    int n_calls, status, is_retryable;
    tkx_status error;
    char message[1024];
} got;

static void on_reply(tkx__reply *reply, void *arg)
{
    got *g = arg;

    g->n_calls++;
    g->status = reply->http_status;
    g->error = tkx_error_status(reply->error);
    g->is_retryable = tkx_error_is_retryable(reply->error);
    snprintf(g->message, sizeof g->message, "%s", tkx_error_message(reply->error));
}

static bool is_told(void *arg)
{
    return ((got *)arg)->n_calls > 0;
}

static void fetch_all(const char *path, got *replies, size_t n)
{
    char url[128];
    tkx__request request = {.lane = TKX__LANE_RETRIEVE, .method = "GET", .url = url};

    snprintf(url, sizeof url, "https://localhost:%d%s", port, path);
    for (size_t i = 0; i < n; i++)
        ck_assert_ptr_nonnull(io->ops->send(io->ctx, &request, on_reply, &replies[i]));
    for (size_t i = 0; i < n; i++)
        ck_assert(tkx__loop_run_until(loop, is_told, &replies[i]));
}

START_TEST(one_connection_carries_many_streams)
{
    got replies[N_STREAMS] = {{0}};

    open_world("srv2.pem", "ca.pem", false);
    fetch_all("/big/100000", replies, N_STREAMS);
    for (int i = 0; i < N_STREAMS; i++)
        ck_assert_msg(replies[i].status == 200, "%s", replies[i].message);
    ck_assert_uint_eq(tkx__loop_get_stats(loop).n_connections, 1);
    close_world();
}
END_TEST

START_TEST(http1_takes_a_connection_each)
{
    got replies[5] = {{0}};

    open_world("srv2.pem", "ca.pem", true);
    fetch_all("/big/100000", replies, 5);
    ck_assert_int_eq(replies[4].status, 200);
    ck_assert_uint_gt(tkx__loop_get_stats(loop).n_connections, 1);
    close_world();
}
END_TEST

static void expect_untrusted(const char *text)
{
    got g = {0};

    fetch_all("/status/200", &g, 1);
    ck_assert_int_eq(g.error, TKX_ERR_CONNECTION);
    ck_assert(!g.is_retryable);
    ck_assert_msg(strstr(g.message, text) != NULL, "%s", g.message);
    ck_assert_msg(strstr(g.message, "ca_file or SSL_CERT_FILE") != NULL, "%s", g.message);
    ck_assert_uint_eq(http_server_requests(backend), 0);
}

START_TEST(wrong_authority_is_a_clear_error)
{
    open_world("srv2.pem", "other.pem", false);
    expect_untrusted("certificate is not trusted");
    close_world();
}
END_TEST

START_TEST(expired_certificate_is_a_clear_error)
{
    open_world("srv-1.pem", "ca.pem", false);
    expect_untrusted("expired");
    close_world();
}
END_TEST

START_TEST(unreadable_authority_is_a_clear_error)
{
    got g = {0};

    open_world("srv2.pem", "absent.pem", false);
    fetch_all("/status/200", &g, 1);
    ck_assert_int_eq(g.error, TKX_ERR_CONNECTION);
    ck_assert_msg(strstr(g.message, "cannot be read") != NULL, "%s", g.message);
    close_world();
}
END_TEST

int main(void)
{
    Suite *suite;
    TCase *tc;

    if (!has_program("nghttpx") || !has_program("openssl")) {
        printf("SKIPPED: nghttpx (package nghttp2-proxy) or openssl is not installed\n");
        return EXIT_SUCCESS;
    }
    suite = suite_create("tls");
    tc = tcase_create("tls");
    tcase_add_test(tc, one_connection_carries_many_streams);
    tcase_add_test(tc, http1_takes_a_connection_each);
    tcase_add_test(tc, wrong_authority_is_a_clear_error);
    tcase_add_test(tc, expired_certificate_is_a_clear_error);
    tcase_add_test(tc, unreadable_authority_is_a_clear_error);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
