/* SPDX-License-Identifier: Apache-2.0 */
/* fixtures_live.c - a server that gives the answers of one case, and a client on it. */
#include "fixtures_live.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/context.h"
#include "client/service.h"

#define A_DAY_MS (24LL * 3600 * 1000)

/* Good answers to what a case does not talk about; the route is what the URL ends with,
   %s stands for the value of the context. */
static const struct {
    const char *route;
    const char *body;
    const char *id; /* key in the context */
} plain[] = {
    {"client/dynamic_config", "{}", NULL},
    {"auth/token", "{\"jwt\":\"%s\"}", "jwt"},
    {"create_session", "{\"type\":\"create_session\",\"session_id\":\"%s\"}",
     "session_id"},
    {"session_heartbeat", "{\"type\":\"session_heartbeat\"}", NULL},
    {"create_sampling_session", "{\"sampling_session_id\":\"%s\"}",
     "sampling_session_id"},
    {"create_model", "{\"request_id\":\"model\"}", NULL},
    {"get_info",
     "{\"model_id\":\"%s\",\"model_data\":{\"model_name\":\"acme/tiny\"},"
     "\"is_lora\":true,\"lora_rank\":8}",
     "model_id"},
    {"cancel_future", "{}", NULL},
    {"cancel_futures", "{}", NULL},
    {"finish", "{}", NULL},
};

static const char *route_of(const char *url)
{
    const char *at = strstr(url, "/api/v1/");

    return at ? at : "";
}

/* The headers as lines; the body's announced length is the case's business. */
static const char *header_lines(fixture *f, const jdom *reply, bool is_open_ended)
{
    const jdom *headers = jdom_get(reply, "headers");
    char *lines = tkx__arena_zalloc(f->arena, 4096, 1);
    size_t n = 0;

    for (size_t i = 0; i < jdom_count(headers) && n < 3000; i++)
        n += (size_t)snprintf(lines + n, 4096 - n, "%s%s: %s", n ? "\n" : "",
                              jdom_text(jdom_at(jdom_at(headers, i), 0)),
                              jdom_text(jdom_at(jdom_at(headers, i), 1)));
    if (is_open_ended)
        snprintf(lines + n, 4096 - n, "%s-content-length", n ? "\n" : "");
    return lines;
}

static void give(live *l, size_t i, const jdom *reply)
{
    fixture *f = l->f;
    const char *fault = fixture_text(f, reply, "fault");
    const char *body = "";
    size_t size = 0;

    if (fault && strcmp(fault, "no_content_length_close") != 0) {
        fake_io_fail(l->io, i, TKX_ERR_CONNECTION, fault);
        return;
    }
    if (jdom_get(reply, "body_file"))
        body = fixture_file(f, fixture_text(f, reply, "body_file"), &size);
    if (!body) {
        fake_io_fail(l->io, i, TKX_ERR_INVALID_STATE, f->why);
        return;
    }
    fake_io_answer_bytes(l->io, i, (int)jdom_i64(jdom_get(reply, "status"), 200),
                         header_lines(f, reply, fault != NULL), body, size);
}

/* The nth answer of the route; an answer with "times" counts so often. */
static const jdom *nth_reply(const fixture *f, size_t n)
{
    const jdom *replies = jdom_get(f->root, "replies");

    for (size_t i = 0; i < jdom_count(replies); i++) {
        size_t times = (size_t)jdom_i64(jdom_get(jdom_at(replies, i), "times"), 1);

        if (n < times)
            return jdom_at(replies, i);
        n -= times;
    }
    return jdom_get(f->root, "then");
}

static const char *id_of(const fixture *f, const char *key)
{
    const char *id = key ? fixture_text(f, f->context, key) : NULL;

    return id ? id : "ID";
}

/* client/config: the flags of the case. */
static void give_config(live *l, size_t i)
{
    const jdom *flags = jdom_get(jdom_get(l->f->root, "call"), "server_flags");
    tkx__json_writer w;
    tkx__buf buf;

    tkx__buf_init(&buf, SIZE_MAX);
    tkx__json_writer_init(&w, &buf, 0);
    tkx__json_begin_object(&w);
    for (size_t k = 0; k < jdom_count(flags); k++) {
        const jdom *flag = jdom_at(flags, k);

        if (flag->kind == TKX__JSON_NUMBER)
            tkx__json_member_i64(&w, flags->keys[k], jdom_i64(flag, 0));
        else
            tkx__json_member_bool(&w, flags->keys[k], jdom_flag(flag, false));
    }
    tkx__json_end_object(&w);
    fake_io_answer_bytes(l->io, i, 200, NULL, buf.data, buf.size);
    tkx__buf_clear(&buf);
}

static bool ends_with(const char *path, const char *route)
{
    size_t n = strlen(path);
    size_t m = strlen(route);

    return n > m && path[n - m - 1] == '/' && strcmp(path + n - m, route) == 0;
}

static bool give_plain(live *l, size_t i, const char *path)
{
    char body[2000];

    if (ends_with(path, "client/config")) {
        give_config(l, i);
        return true;
    }
    for (size_t k = 0; k < sizeof plain / sizeof *plain; k++) {
        const char *at = strstr(plain[k].body, "%s");

        if (!ends_with(path, plain[k].route))
            continue;
        if (at)
            snprintf(body, sizeof body, "%.*s%s%s", (int)(at - plain[k].body),
                     plain[k].body, id_of(l->f, plain[k].id), at + 2);
        fake_io_answer(l->io, i, 200, NULL, at ? body : plain[k].body);
        return true;
    }
    return false;
}

/* The promise of a submit: the one that a recorded poll asks for. */
static void give_promise(live *l, size_t i)
{
    const jdom *request = jdom_get(l->f->root, "request");
    const char *file = fixture_text(l->f, request, "body_file");
    const char *id = NULL;
    char body[2000];
    size_t size;

    if (file && (file = fixture_file(l->f, file, &size)) != NULL)
        id = fixture_text(l->f, jdom_parse(l->f->arena, file, size), "request_id");
    snprintf(
        body, sizeof body,
        "{\"request_id\":\"%s\",\"sample_sequence_ids\":[\"%s:%lld/0\"]}",
        id ? id : "promise", id_of(l->f, "sampling_session_id"),
        (long long)(jdom_i64(jdom_get(l->f->context, "seq_id"), 0) + l->n_promises++));
    fake_io_answer(l->io, i, 200, NULL, body);
}

static void give_model(live *l, size_t i)
{
    char body[2000];

    snprintf(body, sizeof body, "{\"type\":\"create_model\",\"model_id\":\"%s\"}",
             id_of(l->f, "model_id"));
    fake_io_answer(l->io, i, 200, NULL, body);
}

/* Up to a query. */
static bool is_path(const char *url, const char *path)
{
    size_t n = strlen(path);

    return strncmp(url, path, n) == 0 && (url[n] == '\0' || url[n] == '?');
}

/* How many polls went before the recorded one. */
static int64_t iteration_of(const fixture *f)
{
    const char *n = fixture_text(f, jdom_get(jdom_get(f->root, "request"), "headers"),
                                 "x-tinker-request-iteration");

    return n ? strtoll(n, NULL, 10) : 0;
}

/* A poll before the recorded one: its payload is announced first when that one no longer
   allows metadata only, else the result is not there yet. */
static void give_unready(live *l, size_t i, int64_t n_before)
{
    const char *file = fixture_text(l->f, jdom_get(l->f->root, "request"), "body_file");
    size_t size;
    const char *body = fixture_file(l->f, file, &size);
    const jdom *root = body ? jdom_parse(l->f->arena, body, size) : NULL;
    bool is_announced = !jdom_flag(jdom_get(root, "allow_metadata_only"), true);

    fake_io_answer(l->io, i, 200, NULL,
                   is_announced && n_before == 0
                       ? "{\"status\":\"complete_metadata\",\"response_payload_size\":64}"
                       : "{\"type\":\"try_again\",\"queue_state\":\"active\"}");
}

static bool is_wanted(const live *l, const fake_request *q)
{
    const jdom *request = jdom_get(l->f->root, "request");
    const char *path = fixture_text(l->f, request, "path");

    return l->wanted == FAKE_NONE && path && is_path(q->url + strlen(LIVE_HOST), path);
}

static void serve(fake_io *io, size_t i, void *arg)
{
    live *l = arg;
    const jdom *route = jdom_get(l->f->root, "route");
    const char *wanted = fixture_text(l->f, route, "path");
    const fake_request *q = fake_io_sent(io, i);
    const char *path = route_of(q->url);
    const jdom *reply = NULL;

    if (l->is_scripted && is_wanted(l, q)) {
        int64_t n_before = l->n_polls++;

        if (n_before < iteration_of(l->f)) {
            give_unready(l, i, n_before);
            return;
        }
        l->wanted = i;
        fake_io_answer(io, i, 404, NULL, "{\"detail\":\"seen\"}");
        return;
    }
    if (l->is_scripted && wanted && is_path(path, wanted)) {
        reply = nth_reply(l->f, l->n_seen++);
    } else if (l->is_scripted && strstr(path, "/retrieve_future")) {
        reply = jdom_get(l->f->root, "poll_reply");
    } else if (strstr(path, "/retrieve_future")) {
        give_model(l, i);
        return;
    } else if (l->is_scripted && ends_with(path, "create_model")) {
        give_promise(l, i);
        return;
    } else if (give_plain(l, i, path)) {
        return;
    } else if (l->is_scripted) {
        give_promise(l, i);
        return;
    }
    if (reply) {
        give(l, i, reply);
        return;
    }
    l->n_unknown++;
    fixture_differs(l->f, "no answer is recorded for %s", path);
    fake_io_fail(io, i, TKX_ERR_INVALID_STATE, "not recorded");
}

/* What the call says about the service itself. */
static tkx_service_options service_options(fixture *f)
{
    tkx_service_options options = TKX_SERVICE_OPTIONS_INIT;
    tkx_string_list tags = fixture_strings(f, jdom_get(f->args, "tags"));
    tkx_pair_list metadata;

    if (strcmp(f->op, "create_session") != 0)
        return options;
    metadata = fixture_pairs(f, jdom_get(f->args, "user_metadata"));
    options.tags = tags.count ? tags.items : NULL;
    options.n_tags = tags.count;
    options.user_metadata = metadata.items;
    options.n_user_metadata = metadata.count;
    options.project_id = fixture_text(f, f->args, "project_id");
    options.display_name = fixture_text(f, f->args, "display_name");
    return options;
}

static void set_environment(fixture *f, bool is_set)
{
    const jdom *env = jdom_get(jdom_get(f->root, "call"), "env");

    for (size_t i = 0; i < jdom_count(env); i++)
        if (!is_set)
            unsetenv(env->keys[i]);
        else if (jdom_text(jdom_at(env, i)))
            setenv(env->keys[i], jdom_text(jdom_at(env, i)), 1);
}

bool live_begin(live *l, fixture *f)
{
    const char *path = fixture_text(f, jdom_get(f->root, "call"), "base_path");
    const char *key = fixture_text(f, f->context, "api_key");
    tkx_context_options options = TKX_CONTEXT_OPTIONS_INIT;
    tkx_service_options service = service_options(f);
    char base[500];

    memset(l, 0, sizeof *l);
    l->f = f;
    l->wanted = FAKE_NONE;
    l->io = fake_io_new();
    fake_io_serve(l->io, serve, l);
    set_environment(f, true);
    snprintf(base, sizeof base, LIVE_HOST "%s", path ? path : "");
    options.base_url = base;
    options.api_key = key ? key : "tml-fixture-key-0001";
    if (tkx__context_new_on(&options, fake_io_table(l->io), &l->context, NULL) ==
            TKX_OK &&
        tkx_service_new(l->context, &service, &l->service, NULL) == TKX_OK)
        return true;
    fixture_differs(f, "cannot make a client");
    return false;
}

void live_end(live *l)
{
    tkx_training_free(l->training);
    tkx_sampling_free(l->sampling);
    tkx_rest_free(l->rest);
    tkx_service_free(l->service);
    fake_io_turn(l->io);
    if (l->context)
        tkx_context_close(l->context, 0, 0, NULL);
    tkx_context_free(l->context);
    fake_io_drop(l->io);
    set_environment(l->f, false);
}

bool live_wait(live *l, tkx_future *future)
{
    fake_io_turn(l->io);
    while (!tkx_future_is_done(future)) {
        int64_t next = fake_io_next_timer(l->io);

        if (next < 0 || fake_io_now(l->io) > A_DAY_MS) {
            if (!l->n_unknown)
                fixture_differs(l->f, "still pending after a day");
            return false;
        }
        fake_io_advance(l->io, next);
    }
    return true;
}

bool live_training(live *l)
{
    tkx_lora_options options = TKX_LORA_OPTIONS_INIT;
    tkx_future *future = NULL;
    bool ok;

    options.base_model = "acme/tiny";
    ok = tkx_service_create_lora(l->service, &options, &future, NULL) == TKX_OK &&
         live_wait(l, future) &&
         tkx_future_take_training(future, &l->training, NULL) == TKX_OK;
    tkx_future_unref(future);
    return ok ? true : (fixture_differs(l->f, "no training client"), false);
}

bool live_sampling(live *l)
{
    tkx_sampling_options options = TKX_SAMPLING_OPTIONS_INIT;
    tkx_future *future = NULL;
    bool ok;

    options.base_model = "acme/tiny";
    ok = tkx_service_create_sampling(l->service, &options, &future, NULL) == TKX_OK &&
         live_wait(l, future) &&
         tkx_future_take_sampling(future, &l->sampling, NULL) == TKX_OK;
    tkx_future_unref(future);
    return ok ? true : (fixture_differs(l->f, "no sampling client"), false);
}

void live_script(live *l)
{
    l->is_scripted = true;
    l->first = fake_io_n_sent(l->io);
}

static struct {
    fixture *f;
    fixture_verdict (*fn)(fixture *f);
    fixture_verdict verdict;
} guarded;

START_TEST(run_guarded)
{
    guarded.verdict = guarded.fn(guarded.f);
}
END_TEST

fixture_verdict live_guard(fixture *f, fixture_verdict (*fn)(fixture *f))
{
    Suite *suite = suite_create("fixtures");
    TCase *one = tcase_create("case");
    SRunner *runner = srunner_create(suite);

    guarded.f = f;
    guarded.fn = fn;
    guarded.verdict = FIXTURE_FAILED;
    tcase_add_test(one, run_guarded);
    suite_add_tcase(suite, one);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_SILENT);
    if (srunner_ntests_failed(runner)) {
        TestResult **failures = srunner_failures(runner);

        guarded.verdict = fixture_differs(f, "%s", tr_msg(failures[0]));
        free(failures);
    }
    srunner_free(runner);
    return guarded.verdict;
}
