/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fixtures_sequence.c - whole conversations: the recorded program is run by our client,
 * on a server that gives each request the next unused exchange that fits it.
 *
 * Requests may come in another order than the recorded ones; what they say must be the
 * same, and what the program got must come out.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tkx_wire.pb-c.h>

#include "base/str.h"
#include "client/service.h"
#include "fixtures_live.h"

#define MAX_CALLS 256

typedef struct sequence {
    live l;
    fixture *f;
    const jdom *exchanges;
    bool *is_used;
    size_t n_beats;
    bool has_differed; /* a request did */
    char difference[400];
    tkx_future *futures[MAX_CALLS];
    const live_op *ops[MAX_CALLS]; /* of the futures */
} sequence;

static bool ends_with(const char *path, const char *route)
{
    size_t n = strlen(path);
    size_t m = strlen(route);

    return n > m && path[n - m - 1] == '/' && strcmp(path + n - m, route) == 0;
}

/* ---- which exchange ------------------------------------------------------------- */

/* What tells requests to one path apart: a promise, or a number of a client. */
static const char *key_of(fixture *f, const char *promise, const char *client,
                          int64_t seq_id)
{
    char *key;

    if (promise)
        return promise;
    if (!client || seq_id < 0)
        return "";
    key = tkx__arena_alloc(f->arena, strlen(client) + 30, 1);
    sprintf(key, "%s/%lld", client, (long long)seq_id);
    return key;
}

static const char *key_of_json(fixture *f, const jdom *body)
{
    const char *client = jdom_text(jdom_get(body, "model_id"));

    if (!client)
        client = jdom_text(jdom_get(body, "sampling_session_id"));
    return key_of(f, jdom_text(jdom_get(body, "request_id")), client,
                  jdom_i64(jdom_get(body, "seq_id"), -1));
}

static const char *our_key(sequence *s, const fake_request *q)
{
    const jdom *body = jdom_parse(s->f->arena, q->body, q->body_size);
    TkxWire__ForwardBackwardRequest *message;
    const char *key = "";

    if (body || q->body_size == 0)
        return body ? key_of_json(s->f, body) : "";
    message = tkx_wire__forward_backward_request__unpack(NULL, q->body_size,
                                                         (const uint8_t *)q->body);
    if (message) {
        key = key_of(s->f, NULL, message->model_id, message->seq_id);
        tkx_wire__forward_backward_request__free_unpacked(message, NULL);
    }
    return key;
}

/* The recorded body as JSON, or the view of it. */
static const jdom *their_body(sequence *s, const jdom *request)
{
    const char *text = fixture_text(s->f, request, "body_text");

    return text ? jdom_parse(s->f->arena, text, strlen(text))
                : jdom_get(request, "decoded");
}

static const jdom *find_exchange(sequence *s, const fake_request *q, const char *path)
{
    const char *key = our_key(s, q);

    for (size_t i = 0; i < jdom_count(s->exchanges); i++) {
        const jdom *exchange = jdom_at(s->exchanges, i);
        const jdom *request = jdom_get(exchange, "request");
        const char *theirs = fixture_text(s->f, request, "path");
        const char *method = fixture_text(s->f, request, "method");

        if (s->is_used[i] || !theirs || !method || strcmp(method, q->method) != 0 ||
            !live_is_path(path, theirs) ||
            strcmp(key_of_json(s->f, their_body(s, request)), key) != 0)
            continue;
        s->is_used[i] = true;
        return exchange;
    }
    return NULL;
}

/* ---- answering ------------------------------------------------------------------ */

static const char *from_base64(fixture *f, const char *text, size_t *size)
{
    char *bytes = tkx__arena_alloc(f->arena, strlen(text) + 4, 1);
    ptrdiff_t n = tkx__base64_decode(text, strlen(text), bytes);

    *size = n < 0 ? 0 : (size_t)n;
    return bytes;
}

/* Polls differ in their flags by when they come; all else must say the same. */
static void compare(sequence *s, const fake_request *q, const jdom *request)
{
    fixture *f = s->f;
    const char *path = fixture_text(f, request, "path");
    const char *text = fixture_text(f, request, "body_text");
    const char *packed = fixture_text(f, request, "body_base64");
    fixture_verdict verdict = FIXTURE_PASSED;
    size_t size;

    if (s->has_differed || ends_with(path, "retrieve_future") ||
        ends_with(path, "retrieve_futures"))
        return;
    if (text && *text) {
        verdict = fixture_compare_json(f, q->body, q->body_size, text, strlen(text));
    } else if (packed) {
        packed = from_base64(f, packed, &size);
        verdict = fixture_compare_proto(f, q->body, q->body_size, packed, size);
    }
    if (verdict != FIXTURE_PASSED) {
        snprintf(s->difference, sizeof s->difference, "%.90s: %.300s", path, f->why);
        s->has_differed = true;
    }
}

static const char *header_lines(fixture *f, const jdom *response)
{
    const jdom *headers = jdom_get(response, "headers");
    char *lines = tkx__arena_zalloc(f->arena, 4096, 1);
    size_t n = 0;

    for (size_t i = 0; i < jdom_count(headers) && n < 3000; i++)
        n += (size_t)snprintf(lines + n, 4096 - n, "%s%s: %s", n ? "\n" : "",
                              jdom_text(jdom_at(jdom_at(headers, i), 0)),
                              jdom_text(jdom_at(jdom_at(headers, i), 1)));
    return lines;
}

static void give(sequence *s, size_t i, const jdom *response)
{
    const char *fault = fixture_text(s->f, response, "fault");
    const char *text = fixture_text(s->f, response, "body_text");
    const char *packed = fixture_text(s->f, response, "body_base64");
    size_t size = text ? strlen(text) : 0;

    if (fault) {
        fake_io_fail(s->l.io, i, TKX_ERR_CONNECTION, fault);
        return;
    }
    if (packed)
        text = from_base64(s->f, packed, &size);
    fake_io_answer_bytes(s->l.io, i, (int)jdom_i64(jdom_get(response, "status"), 200),
                         header_lines(s->f, response), text ? text : "", size);
}

static void serve(fake_io *io, size_t i, void *arg)
{
    sequence *s = arg;
    const fake_request *q = fake_io_sent(io, i);
    const char *path = strstr(q->url, "/api/v1/");
    const jdom *exchange = path ? find_exchange(s, q, path) : NULL;
    bool is_beat = path && ends_with(path, "session_heartbeat");

    s->n_beats += is_beat;
    if (exchange) {
        compare(s, q, jdom_get(exchange, "request"));
        give(s, i, jdom_get(exchange, "response"));
    } else if (is_beat || (path && ends_with(path, "telemetry"))) {
        fake_io_answer(io, i, 200, NULL, "{}");
    } else {
        fake_io_answer(io, i, 404, NULL, "{\"detail\":\"no such exchange\"}");
    }
}

/* Exchanges that another client may not need. */
static bool may_be_unused(const char *path)
{
    static const char *const routes[] = {"client/config", "client/dynamic_config",
                                         "get_info", "retrieve_future",
                                         "retrieve_futures"};

    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
        if (ends_with(path, routes[i]))
            return true;
    return strstr(path, "/samplers/") != NULL;
}

static fixture_verdict judge_unused(sequence *s)
{
    for (size_t i = 0; i < jdom_count(s->exchanges); i++) {
        const jdom *request = jdom_get(jdom_at(s->exchanges, i), "request");
        const char *path = fixture_text(s->f, request, "path");

        if (!s->is_used[i] && path && !may_be_unused(path))
            return fixture_differs(s->f, "exchange %zu (%s) was never asked for", i + 1,
                                   path);
    }
    return FIXTURE_PASSED;
}

/* ---- the program ---------------------------------------------------------------- */

static fixture_verdict judge_step(sequence *s, const jdom *step, const live_op *op,
                                  tkx_future *future)
{
    const jdom *error = jdom_get(step, "error");
    const jdom *result = jdom_get(step, "result");
    fixture_verdict verdict = FIXTURE_PASSED;
    tkx_error *err = NULL;
    tkx__json_writer w;
    tkx__buf buf;

    if (error)
        return tkx_future_error(future)
                   ? live_judge_error(s->f, error, tkx_future_error(future))
                   : fixture_differs(s->f, "no error, although there is to be one");
    tkx__buf_init(&buf, SIZE_MAX);
    tkx__json_writer_init(&w, &buf, 0);
    if (op->take(&s->l, future, &w, &err) != TKX_OK)
        verdict = fixture_differs(
            s->f, "%s", tkx_error_message(err ? err : tkx_future_error(future)));
    else if (!jdom_is_null(result))
        verdict = fixture_holds(s->f, &buf, result);
    tkx_error_free(err);
    tkx__buf_clear(&buf);
    return verdict;
}

/* What an operation needs, and what it will replace. */
static bool prepare(sequence *s, const live_op *op)
{
    live *l = &s->l;

    if (op->make == live_rest && !l->rest)
        return live_rest(l);
    if (strcmp(s->f->op, "create_model") == 0 ||
        strcmp(s->f->op, "create_training_client_from_state") == 0) {
        tkx_training_free(l->training);
        l->training = NULL;
    }
    if (strncmp(s->f->op, "create_sampling", 15) == 0 ||
        strcmp(s->f->op, "save_weights_and_get_sampling_client") == 0) {
        tkx_sampling_free(l->sampling);
        l->sampling = NULL;
    }
    if (op->make == live_training && !l->training)
        return fixture_differs(s->f, "%s before there is a model", s->f->op), false;
    if (op->make == live_sampling && !l->sampling)
        return fixture_differs(s->f, "%s before there is a sampler", s->f->op), false;
    return true;
}

/* The beats come by themselves. */
static fixture_verdict one_beat(sequence *s)
{
    size_t n = s->n_beats;

    for (int i = 0; i < 60 && s->n_beats == n; i++)
        if (!live_step(&s->l))
            break;
    return s->n_beats > n ? FIXTURE_PASSED : fixture_differs(s->f, "no heartbeat");
}

static fixture_verdict end_step(sequence *s, const jdom *step, size_t id)
{
    tkx_future *future = s->futures[id];
    fixture_verdict verdict = FIXTURE_FAILED;

    if (!future)
        return fixture_differs(s->f, "a wait for call %zu, which there is not", id);
    if (live_wait(&s->l, future))
        verdict = judge_step(s, step, s->ops[id], future);
    tkx_future_unref(future);
    s->futures[id] = NULL;
    return verdict;
}

static fixture_verdict run_step(sequence *s, const jdom *step)
{
    fixture *f = s->f;
    int64_t id = jdom_i64(jdom_get(step, "id"), 0);
    tkx_error *err = NULL;
    const live_op *op;

    f->op = fixture_text(f, step, "op");
    f->args = jdom_get(step, "args");
    if (f->op && strcmp(f->op, "wait") == 0)
        id = jdom_i64(jdom_get(step, "for"), 0);
    if (!f->op || id < 0 || id >= MAX_CALLS)
        return fixture_differs(f, "a step that is none");
    if (strcmp(f->op, "wait") == 0)
        return end_step(s, step, (size_t)id);
    if (strcmp(f->op, "session_heartbeat") == 0)
        return one_beat(s);
    op = live_find_op(f->op);
    if (!op || !op->take)
        return fixture_differs(f, "op %s is not covered", f->op);
    if (!prepare(s, op))
        return FIXTURE_FAILED;
    s->ops[id] = op;
    if (op->call(&s->l, &s->futures[id], &err) != TKX_OK) {
        fixture_differs(f, "%s was not called: %s", f->op, tkx_error_message(err));
        tkx_error_free(err);
        return FIXTURE_FAILED;
    }
    return jdom_flag(jdom_get(step, "wait"), true) ? end_step(s, step, (size_t)id)
                                                   : FIXTURE_PASSED;
}

static fixture_verdict run_program(sequence *s)
{
    const jdom *program = jdom_get(s->f->root, "program");

    for (size_t i = 0; i < jdom_count(program); i++) {
        char why[400];

        if (run_step(s, jdom_at(program, i)) == FIXTURE_PASSED)
            continue;
        if (s->has_differed) /* what differed first matters most */
            return fixture_differs(s->f, "%s", s->difference);
        snprintf(why, sizeof why, "%s", s->f->why);
        return fixture_differs(s->f, "step %zu: %.350s", i + 1, why);
    }
    return s->has_differed ? fixture_differs(s->f, "%s", s->difference) : judge_unused(s);
}

static fixture_verdict run(fixture *f)
{
    sequence *s = tkx__arena_zalloc(f->arena, 1, sizeof *s);
    const jdom *first = jdom_at(jdom_get(f->root, "program"), 0);
    fixture_verdict verdict = FIXTURE_FAILED;

    s->f = f;
    s->exchanges = jdom_get(f->root, "exchanges");
    s->is_used = tkx__arena_zalloc(f->arena, jdom_count(s->exchanges) + 1, 1);
    f->op = fixture_text(f, first, "op");
    f->args = jdom_get(first, "args");
    if (f->op && live_begin(&s->l, f)) {
        s->l.is_scripted = true;
        fake_io_serve(s->l.io, serve, s);
        verdict = run_program(s);
    }
    for (size_t i = 0; i < MAX_CALLS; i++)
        tkx_future_unref(s->futures[i]);
    live_end(&s->l);
    return verdict;
}

fixture_verdict fixture_run_sequence(fixture *f)
{
    return f->only_codecs ? FIXTURE_NOT_HERE : live_guard(f, run);
}
