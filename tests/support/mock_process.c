/* SPDX-License-Identifier: Apache-2.0 */
/* mock_process.c - see the header. */
#include "support/mock_process.h"

#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <curl/curl.h>

#include "support/proc.h"

enum { MAX_FLAGS = 32, MAX_BODY = 65536 };

static void run_child(mock_process *p, const char *const *flags, int out)
{
    const char *bin = getenv("TKX_BIN");
    char port[16], path[4096];
    const char *argv[MAX_FLAGS] = {"tkx-mock-server", "--port", port, "--state",
                                   p->state_dir};
    size_t n = 5;

    snprintf(port, sizeof port, "%d", p->port);
    for (; flags && *flags && n < MAX_FLAGS - 1; flags++)
        argv[n++] = *flags;
    argv[n] = NULL;
    snprintf(path, sizeof path, "%s/tkx-mock-server", bin ? bin : ".");
    dup2(out, STDOUT_FILENO);
    execv(path, (char *const *)argv);
    perror(path);
    _exit(127);
}

static void read_url(mock_process *p)
{
    char line[256];
    size_t n = 0;
    while (n < sizeof line - 1 && read(p->out, line + n, 1) == 1 && line[n] != '\n')
        n++;
    line[n] = '\0';
    ck_assert_msg(sscanf(line, "listening on %127s", p->url) == 1, "first line: %s",
                  line);
}

void mock_process_hold_port(mock_process *p)
{
    p->held = proc_hold_port(&p->port);
}

void mock_process_start(mock_process *p, const char *const *flags)
{
    int ends[2];
    if (!p->state_dir[0]) {
        strcpy(p->state_dir, "/tmp/tkx-mock-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(p->state_dir));
    }
    ck_assert_int_eq(pipe(ends), 0);
    p->pid = fork();
    ck_assert_int_ge(p->pid, 0);
    if (p->pid == 0) {
        close(ends[0]);
        run_child(p, flags, ends[1]);
    }
    close(ends[1]);
    p->out = ends[0];
    read_url(p);
}

static int end_process(mock_process *p, int signum)
{
    int status = 0;
    kill(p->pid, signum);
    waitpid(p->pid, &status, 0);
    close(p->out);
    p->pid = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int mock_process_stop(mock_process *p)
{
    return end_process(p, SIGTERM);
}

void mock_process_kill(mock_process *p)
{
    end_process(p, SIGKILL);
}

void mock_process_remove(mock_process *p)
{
    char command[128];
    if (p->pid)
        mock_process_stop(p);
    snprintf(command, sizeof command, "rm -rf '%s'", p->state_dir);
    if (p->state_dir[0])
        ck_assert_int_eq(system(command), 0);
    p->state_dir[0] = '\0';
    if (p->port)
        close(p->held);
    p->port = 0;
}

static size_t on_body(char *data, size_t size, size_t n, void *user_data)
{
    mock_answer *a = user_data;
    char *body = realloc(a->body, a->size + size * n + 1);
    if (!body)
        return 0;
    memcpy(body + a->size, data, size * n);
    a->body = body;
    a->size += size * n;
    body[a->size] = '\0';
    return size * n;
}

static struct curl_slist *make_headers(const mock_request *request)
{
    struct curl_slist *list = NULL;
    char key[1500];
    const char *value = request->key ? request->key : "tml-test";
    bool has_type = false;
    snprintf(key, sizeof key, "X-API-Key: %s", value);
    if (*value)
        list = curl_slist_append(list, key);
    for (size_t i = 0; i < 4 && request->headers[i]; i++) {
        has_type = has_type || strncmp(request->headers[i], "Content-Type", 12) == 0;
        list = curl_slist_append(list, request->headers[i]);
    }
    if (!has_type)
        list = curl_slist_append(list, "Content-Type: application/json");
    return list;
}

static void read_facts(CURL *easy, mock_answer *a)
{
    char *type = NULL, *location = NULL;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &a->status);
    curl_easy_getinfo(easy, CURLINFO_CONTENT_TYPE, &type);
    curl_easy_getinfo(easy, CURLINFO_REDIRECT_URL, &location);
    snprintf(a->content_type, sizeof a->content_type, "%s", type ? type : "");
    snprintf(a->location, sizeof a->location, "%s", location ? location : "");
}

mock_answer mock_send(const mock_process *p, const mock_request *request)
{
    mock_answer a = {0};
    CURL *easy = curl_easy_init();
    struct curl_slist *headers = make_headers(request);
    char url[4096];
    bool is_link = strncmp(request->path, "http", 4) == 0;
    ck_assert_ptr_nonnull(easy);
    snprintf(url, sizeof url, "%s%s", is_link ? "" : p->url, request->path);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &a);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS,
                     request->timeout_ms ? request->timeout_ms : 300000L);
    if (request->body) {
        size_t size = request->size ? request->size : strlen(request->body);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)size);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body);
    }
    a.curl_code = (int)curl_easy_perform(easy);
    read_facts(easy, &a);
    curl_slist_free_all(headers);
    curl_easy_cleanup(easy);
    if (!a.body)
        a.body = calloc(1, 1);
    return a;
}

mock_answer mock_post(const mock_process *p, const char *path, const char *fmt, ...)
{
    static char body[MAX_BODY];
    va_list args;
    va_start(args, fmt);
    vsnprintf(body, sizeof body, fmt, args);
    va_end(args);
    return mock_send(p, &(mock_request){.method = "POST", .path = path, .body = body});
}

mock_answer mock_get(const mock_process *p, const char *path)
{
    return mock_send(p, &(mock_request){.method = "GET", .path = path});
}

void mock_answer_free(mock_answer *a)
{
    free(a->body);
    *a = (mock_answer){0};
}

static const char *find_value(const char *json, const char *name)
{
    char quoted[128];
    const char *hit;
    snprintf(quoted, sizeof quoted, "\"%s\":", name);
    hit = strstr(json, quoted);
    ck_assert_msg(hit != NULL, "no %s in %s", name, json);
    return hit + strlen(quoted);
}

void mock_take_text(const char *json, const char *name, char *out, size_t size)
{
    const char *value = find_value(json, name);
    size_t n;
    ck_assert_msg(*value == '"', "%s is no text in %s", name, json);
    n = strcspn(value + 1, "\"");
    ck_assert_uint_lt(n, size);
    memcpy(out, value + 1, n);
    out[n] = '\0';
}

double mock_take_number(const char *json, const char *name)
{
    return strtod(find_value(json, name), NULL);
}

mock_answer mock_wait(const mock_process *p, const char *handle_json)
{
    char id[640];
    mock_take_text(handle_json, "request_id", id, sizeof id);
    for (;;) {
        mock_answer a =
            mock_post(p, "/api/v1/retrieve_future", "{\"request_id\":\"%s\"}", id);
        if (a.status != 408 && !strstr(a.body, "\"type\":\"try_again\""))
            return a;
        mock_answer_free(&a);
    }
}
