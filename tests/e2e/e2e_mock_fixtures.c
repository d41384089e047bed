/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every request that the official SDK made for tests/data/fixtures, sent to our server.
 *
 * All ids there hang on one session id of 36 characters, as ours have: the text of the
 * ids is replaced in path and body, and what the request needs (a model, a sampler, a
 * checkpoint, a promise) is made before it.  The answer is good, or what the rules say.
 */
#include "e2e/mock_run.h"

#include <stdlib.h>

#include "base/arena.h"
#include "support/jdom.h"
#include "support/suite.h"

#define FOLDER TKX_TEST_DATA "/fixtures/requests/"
#define ID_SIZE 36
static const char fixture_id[] = "5b1f0c52-6f3e-4e0a-9d57-0d2f7a3c1e90";
static const char other_id[] = "0f0e0d0c-1111-4222-8333-944445555666"; /* another run */
#define BASE "acme/Tiny-1B"

/* What a server with models of text refuses, by what the case holds. */
static const struct {
    const char *part; /* of the case's line in the manifest */
    long status;
} rules[] = {
    {"\"type\":\"image\"", 400},
    {"\"type\":\"image_asset_pointer\"", 400},
    {"\"type\":\"dmel\"", 400},
    {"\"prompt\":{\"chunks\":[]}", 400},
    {"\"prompt\":{\"chunks\":[{\"type\":\"encoded_text\",\"tokens\":[]}]}", 400},
    {"\"shape\":[2,2,2]", 400},     /* targets of three dimensions */
    {"\"values\":{\"dtype\"", 400}, /* inputs that no loss has */
    {"\"x\":{\"dtype\"", 400},
    {"\"crow\":[0,1,1],\"col\":[0]", 400}, /* rows without a shape */
    {"\"mode\":\"tight\"", 400},           /* a text in the configuration of ppo */
    {"\"op\":\"auth_token\"", 404},        /* tokens are off here */
    {"\"x-tinker-request-type\":\"CreateCustomLoss\"", 404}, /* another server's id */
    {"\"age_encryption_recipients\"", 400},
    {"\"training_run_id\":\"a[b]\"", 404}, /* a run that nobody made */
};

typedef struct text {
    char *bytes;
    size_t size;
} text;

static text read_file(const char *name)
{
    char path[1024];
    text t = {0};
    FILE *file;

    snprintf(path, sizeof path, FOLDER "%s", name);
    file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "%s", path);
    fseek(file, 0, SEEK_END);
    t.size = (size_t)ftell(file);
    rewind(file);
    t.bytes = malloc(t.size + 1);
    ck_assert_uint_eq(fread(t.bytes, 1, t.size, file), t.size);
    t.bytes[t.size] = '\0';
    fclose(file);
    return t;
}

/* memmem() is no part of POSIX. */
static char *find(char *at, const char *end, const char *part)
{
    size_t n = strlen(part);

    for (; at + n <= end; at++)
        if (memcmp(at, part, n) == 0)
            return at;
    return NULL;
}

static void replace_all(text *t, const char *from, const char *to)
{
    char *end = t->bytes + t->size;

    for (char *at = t->bytes; (at = find(at, end, from)) != NULL; at += ID_SIZE)
        memcpy(at, to, ID_SIZE);
}

static void post(mock_process *server, const char *path, const char *body, bool is_future)
{
    mock_answer a = mock_post(server, path, "%s", body), b;

    ck_assert_msg(a.status == 200, "%s %s: %ld %s", path, body, a.status, a.body);
    if (is_future) {
        b = mock_wait(server, a.body);
        ck_assert_msg(b.status == 200, "%s: %s", path, b.body);
        mock_answer_free(&b);
    }
    mock_answer_free(&a);
}

static void open_session(mock_process *server, char id[128])
{
    mock_answer a = mock_post(server, "/api/v1/create_session",
                              "{\"tags\":[],\"sdk_version\":\"0.38.0\"}");
    mock_take_text(a.body, "session_id", id, 128);
    mock_answer_free(&a);
    ck_assert_uint_eq(strlen(id), ID_SIZE);
}

static void make_model(mock_process *server, const char *session, int seq)
{
    char body[512];

    snprintf(body, sizeof body,
             "{\"session_id\":\"%s\",\"model_seq_id\":%d,\"base_model\":\"" BASE "\","
             "\"lora_config\":{\"rank\":1}}",
             session, seq);
    post(server, "/api/v1/create_model", body, true);
}

static void save(mock_process *server, const char *session, int seq, const char *kind,
                 const char *name, int n)
{
    const char *route = strcmp(kind, "weights") == 0 ? "save_weights"
                        : strcmp(kind, "sampler_weights") == 0
                            ? "save_weights_for_sampler"
                            : "save_weights_external";
    char path[64], body[512];

    snprintf(path, sizeof path, "/api/v1/%s", route);
    snprintf(body, sizeof body, "{\"model_id\":\"%s:train:%d\",\"path\":\"%.*s\"}",
             session, seq, n, name);
    post(server, path, body, true);
}

/* The checkpoint that a path or tinker path names. */
static void make_checkpoint(mock_process *server, const char *session, text t)
{
    static const char *const kinds[] = {"sampler_weights", "external_weights", "weights"};
    char *end = t.bytes + t.size;

    for (size_t i = 0; i < 3; i++) {
        char part[64];
        const char *name;
        snprintf(part, sizeof part, "/%s/", kinds[i]);
        name = find(t.bytes, end, part);
        if (!name)
            continue;
        name += strlen(part);
        save(server, session, 0, kinds[i], name, (int)strcspn(name, "/\"?"));
        return;
    }
}

/* The promise that a poll or a cancel names: the operations up to it. */
static void make_promises(mock_process *server, const char *session, text t)
{
    char *end = t.bytes + t.size, *at = find(t.bytes, end, "\"request_id\":\"");
    char *train = at ? find(at, end, ":train:0:") : NULL;
    char *sample = at ? find(at, end, ":sample:0:") : NULL;
    char body[512];

    for (int seq = 1; train && seq <= atoi(train + 9); seq++) {
        snprintf(body, sizeof body,
                 "{\"model_id\":\"%s:train:0\",\"seq_id\":%d,\"adam_params\":{}}",
                 session, seq);
        post(server, "/api/v1/optim_step", body, false);
    }
    if (!sample)
        return;
    snprintf(body, sizeof body,
             "{\"sampling_session_id\":\"%s:sample:0\",\"seq_id\":%d,\"prompt\":{"
             "\"chunks\":[{\"tokens\":[1]}]},\"sampling_params\":{\"max_tokens\":1}}",
             session, atoi(sample + 10));
    post(server, "/api/v1/asample", body, false);
}

static void prepare(mock_process *server, const char *session, const char *op, text path,
                    text body)
{
    char *end = body.bytes + body.size;

    if (strcmp(op, "create_model") != 0 || find(body.bytes, end, "\"request_id\""))
        make_model(server, session, 0);
    if (find(body.bytes, end, ":sample:0") ||
        find(path.bytes, path.bytes + path.size, ":sample:0")) {
        char wanted[256];
        snprintf(wanted, sizeof wanted,
                 "{\"session_id\":\"%s\",\"sampling_session_seq_id\":0,"
                 "\"base_model\":\"" BASE "\"}",
                 session);
        post(server, "/api/v1/create_sampling_session", wanted, false);
    }
    make_checkpoint(server, session, path);
    if (find(body.bytes, end, fixture_id))
        make_checkpoint(server, session, body);
    make_promises(server, session, body);
    if (strcmp(op, "unpublish_checkpoint") == 0)
        post(server, path.bytes, "", false);
}

static long expected(const char *line)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (strstr(line, rules[i].part))
            return rules[i].status;
    return 200;
}

/* path?query with our own ids */
static text target(const jdom *request, const char *session)
{
    const char *query = jdom_text(jdom_get(request, "query"));
    const char *path = jdom_text(jdom_get(request, "path"));
    text t = {.size = strlen(path)};
    size_t room = t.size + (query ? strlen(query) : 0) + 2;

    t.bytes = malloc(room);
    snprintf(t.bytes, room, "%s%s%s", path, query && *query ? "?" : "",
             query ? query : "");
    t.size = strlen(t.bytes);
    replace_all(&t, fixture_id, session);
    return t;
}

/* 408: a promise that is not kept yet; whether it is by then is a matter of speed. */
static bool is_good(long status, const char *path)
{
    return (status >= 200 && status < 400) ||
           (status == 408 && strstr(path, "/retrieve_future"));
}

static void check_case(mock_process *server, const char *other, const jdom *c,
                       const char *line)
{
    const jdom *request = jdom_get(c, "request");
    const char *plain = jdom_text(jdom_get(request, "plain_file"));
    const char *file = jdom_text(jdom_get(request, "body_file"));
    const char *op = jdom_text(jdom_get(jdom_get(c, "call"), "op"));
    const char *type = jdom_text(jdom_get(jdom_get(request, "headers"), "content-type"));
    const char *accept = jdom_text(jdom_get(jdom_get(request, "headers"), "accept"));
    char session[128], headers[2][128];
    text path, body = {0};
    mock_answer a;
    long wanted = expected(line);

    open_session(server, session);
    path = target(request, session);
    if (file)
        body = read_file(plain ? plain : file);
    else
        body.bytes = calloc(1, 1);
    prepare(server, session, op, path, body);
    replace_all(&body, fixture_id, session);
    replace_all(&body, other_id, other);
    snprintf(headers[0], sizeof headers[0], "Content-Type: %s", type ? type : "");
    snprintf(headers[1], sizeof headers[1], "Accept: %s", accept ? accept : "*/*");
    a = mock_send(server,
                  &(mock_request){.method = jdom_text(jdom_get(request, "method")),
                                  .path = path.bytes,
                                  .body = file ? body.bytes : NULL,
                                  .size = body.size,
                                  .headers = {headers[0], headers[1]}});
    ck_assert_msg(wanted == 200 ? is_good(a.status, path.bytes) : a.status == wanted,
                  "%s: %ld in place of %ld: %s", jdom_text(jdom_get(c, "name")), a.status,
                  wanted, a.body);
    if (wanted != 200)
        ck_assert_msg(strstr(a.body, "\"detail\"") != NULL, "%s", a.body);
    mock_answer_free(&a);
    free(path.bytes);
    free(body.bytes);
}

/* Cases stand one a line. */
static void check_version(const char *dialect, const char *version)
{
    const char *const flags[] = {
        "--dialect", dialect, "--max-models", "1000",
        "--hold-ms", "50",    "--base-model", BASE "=" TKX_TEST_DATA "/models/llama",
        NULL};
    mock_process server = {0};
    text manifest = read_file("manifest.json");
    char other[128], *save_at = NULL;
    int n = 0;

    mock_process_start(&server, flags);
    open_session(&server, other);
    make_model(&server, other, 2);
    save(&server, other, 2, "weights", "final", 5);
    for (char *line = strtok_r(manifest.bytes, "\n", &save_at); line;
         line = strtok_r(NULL, "\n", &save_at)) {
        size_t size = strlen(line);
        tkx__arena arena;
        const jdom *c;
        while (size && (line[size - 1] == ',' || line[size - 1] == ' '))
            size--;
        tkx__arena_init(&arena, 65536, (size_t)64 << 20);
        c = strstr(line, "\"call\"") ? jdom_parse(&arena, line, size) : NULL;
        if (c && strcmp(jdom_text(jdom_get(c, "sdk_version")), version) == 0) {
            check_case(&server, other, c, line);
            n++;
        }
        tkx__arena_clear(&arena);
    }
    ck_assert_int_gt(n, 0);
    free(manifest.bytes);
    ck_assert_int_eq(mock_process_stop(&server), 0);
    mock_process_remove(&server);
}

START_TEST(requests_of_0_38_are_answered)
{
    check_version("hosted", "0.38.0");
}
END_TEST

START_TEST(requests_of_0_25_are_answered)
{
    check_version("hosted25", "0.25.0");
}
END_TEST

/* JSON passes, as older SDKs sent them. */
START_TEST(requests_of_0_24_are_answered)
{
    check_version("hosted25", "0.24.0");
    check_version("hosted", "0.24.0");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("mock_fixtures");
    TCase *tc = tcase_create("all");
    tcase_add_test(tc, requests_of_0_38_are_answered);
    tcase_add_test(tc, requests_of_0_25_are_answered);
    tcase_add_test(tc, requests_of_0_24_are_answered);
    suite_add_tcase(s, tc);
    return run_suite(s);
}
