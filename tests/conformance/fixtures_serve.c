/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fixtures_serve.c - the other side: recorded answers where the case has them, plain good
 * ones everywhere else.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <tkx_wire.pb-c.h>
#include <zstd.h>

#include "fixtures_live.h"

/* Good answers to what a case does not talk about; the route is what the URL ends with,
   %s stands for the value of the context. */
static const struct {
    const char *route;
    const char *body;
    const char *id; /* key in the context */
} plain[] = {
    {"client/dynamic_config", "{\"sample_cancel_enabled\":true}", NULL},
    {"auth/token", "{\"jwt\":\"%s\"}", "jwt"},
    {"create_session", "{\"type\":\"create_session\",\"session_id\":\"%s\"}",
     "session_id"},
    {"session_heartbeat", "{\"type\":\"session_heartbeat\"}", NULL},
    {"create_sampling_session", "{\"sampling_session_id\":\"%s\"}",
     "sampling_session_id"},
    {"get_info",
     "{\"model_id\":\"%s\",\"model_data\":{\"model_name\":\"acme/tiny\"},"
     "\"is_lora\":true,\"lora_rank\":8}",
     "model_id"},
    {"cancel_future", "{}", NULL},
    {"telemetry", "{\"status\":\"accepted\"}", NULL},
    {"finish", "{}", NULL},
};

/* Results that the operations of request cases come to. */
static const struct {
    const char *type; /* X-Tinker-Request-Type */
    const char *body;
} results[] = {
    {"CreateModel", "{\"type\":\"create_model\",\"model_id\":\"%s\"}"},
    {"Sample", "{\"type\":\"sample\",\"sequences\":[{\"stop_reason\":\"stop\","
               "\"tokens\":[1],\"logprobs\":[-1.0]}],\"prompt_cache_hit_tokens\":0}"},
    {"OptimStep", "{\"metrics\":{}}"},
    {"SaveWeights", "{\"path\":\"tinker://%s/weights/a\"}"},
    {"SaveWeightsExternal", "{\"path\":\"tinker://%s/external_weights/a\"}"},
    {"LoadWeights", "{\"path\":\"tinker://%s/weights/a\",\"model_id\":\"%s\"}"},
    {"CreateCustomLoss", "{\"loss_id\":\"l\",\"type\":\"create_custom_loss\"}"},
    {"UnloadModel", "{\"model_id\":\"%s\",\"type\":\"unload_model\"}"},
};

static const jdom *recorded(const fixture *f)
{
    return jdom_get(f->root, "request");
}

/* The recorded request's body, when it is JSON. */
static const jdom *recorded_body(fixture *f)
{
    const char *kind = fixture_text(f, recorded(f), "body_kind");
    const char *body;
    size_t size;

    if (!kind || strcmp(kind, "json") != 0)
        return NULL;
    body = fixture_file(f, fixture_text(f, recorded(f), "body_file"), &size);
    return body ? jdom_parse(f->arena, body, size) : NULL;
}

bool live_is_path(const char *url, const char *path)
{
    size_t n = strlen(path);

    return strncmp(url, path, n) == 0 && (url[n] == '\0' || url[n] == '?');
}

static bool ends_with(const char *path, const char *route)
{
    size_t n = strlen(path);
    size_t m = strlen(route);

    return n > m && path[n - m - 1] == '/' && strcmp(path + n - m, route) == 0;
}

/* ---- recorded answers ----------------------------------------------------------- */

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

static bool has_header(const jdom *reply, const char *name)
{
    const jdom *headers = jdom_get(reply, "headers");

    for (size_t i = 0; i < jdom_count(headers); i++) {
        const char *its = jdom_text(jdom_at(jdom_at(headers, i), 0));

        if (its && strcasecmp(its, name) == 0)
            return true;
    }
    return false;
}

/* The nth answer of the route; an answer with "times" counts so often.  Behind the last
   one comes the good answer, or the last one for ever: the service has no other. */
static const jdom *nth_reply(const fixture *f, size_t n)
{
    const jdom *replies = jdom_get(f->root, "replies");

    for (size_t i = 0; i < jdom_count(replies); i++) {
        size_t times = (size_t)jdom_i64(jdom_get(jdom_at(replies, i), "times"), 1);

        if (n < times)
            return jdom_at(replies, i);
        n -= times;
    }
    if (jdom_get(f->root, "then"))
        return jdom_get(f->root, "then");
    return jdom_at(replies, jdom_count(replies) ? jdom_count(replies) - 1 : 0);
}

/* What the transport does by itself: a redirect that it may follow leads to the next
   answer. */
static const jdom *follow(live *l, const fake_request *q, const jdom *reply)
{
    while (reply && !q->no_redirects && has_header(reply, "location") &&
           jdom_i64(jdom_get(reply, "status"), 0) / 100 == 3)
        l->n_followed = l->n_seen + 1, reply = nth_reply(l->f, l->n_seen++);
    return reply;
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

/* The answer to one chunk's poll: by the number at the end of its promise's id. */
static const jdom *reply_by_seq(live *l, const fake_request *q)
{
    const jdom *body = jdom_parse(l->f->arena, q->body, q->body_size);
    const char *id = jdom_text(jdom_get(body, "request_id"));
    const char *colon = id ? strrchr(id, ':') : NULL;

    return colon ? jdom_get(jdom_get(l->f->root, "replies_by_seq_id"), colon + 1) : NULL;
}

/* False: the case has no answer of its own to this. */
static bool give_recorded(live *l, size_t i, const fake_request *q, const char *path)
{
    const jdom *route = jdom_get(l->f->root, "route");
    const char *wanted = fixture_text(l->f, route, "path");
    bool is_route = wanted && live_is_path(path, wanted);
    const jdom *reply = NULL;

    if (is_route && jdom_get(l->f->root, "replies_by_seq_id")) {
        l->n_seen++;
        reply = reply_by_seq(l, q);
    } else if (is_route) {
        reply = follow(l, q, nth_reply(l->f, l->n_seen++));
    } else if (wanted && strstr(path, "/retrieve_future")) {
        reply = jdom_get(l->f->root, "poll_reply");
    }
    if (reply)
        give(l, i, reply);
    return reply != NULL;
}

/* ---- plain answers -------------------------------------------------------------- */

/* client/config: the flags of the case, and those that its operation needs. */
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
        else if (flag->kind == TKX__JSON_STRING)
            tkx__json_member_string(&w, flags->keys[k], flag->text);
        else
            tkx__json_member_bool(&w, flags->keys[k], jdom_flag(flag, false));
    }
    if (strcmp(l->f->op, "join_sampling_session") == 0)
        tkx__json_member_bool(&w, "sample_join_sampling_session", true);
    if (strcmp(l->f->op, "create_custom_loss") == 0)
        tkx__json_member_bool(&w, "custom_loss_server_side", true);
    tkx__json_end_object(&w);
    fake_io_answer_bytes(l->io, i, 200, NULL, buf.data, buf.size);
    tkx__buf_clear(&buf);
}

/* What stands between the quotes. */
static void put_inner(tkx__buf *buf, const char *text)
{
    tkx__json_writer w;
    tkx__buf quoted;

    tkx__buf_init(&quoted, SIZE_MAX);
    tkx__json_writer_init(&w, &quoted, 0);
    tkx__json_put_string(&w, text);
    tkx__buf_append(buf, quoted.data + 1, quoted.size - 2);
    tkx__buf_clear(&quoted);
}

/* Each "%s" of the format is the id. */
static void give_filled(live *l, size_t i, const char *format, const char *id)
{
    tkx__buf buf;

    tkx__buf_init(&buf, SIZE_MAX);
    for (const char *at; (at = strstr(format, "%s")); format = at + 2) {
        tkx__buf_append(&buf, format, (size_t)(at - format));
        put_inner(&buf, id);
    }
    tkx__buf_puts(&buf, format);
    fake_io_answer_bytes(l->io, i, 200, NULL, tkx__buf_text(&buf), buf.size);
    tkx__buf_clear(&buf);
}

static bool give_plain(live *l, size_t i, const char *path)
{
    char body[600];

    if (ends_with(path, "client/config")) {
        give_config(l, i);
        return true;
    }
    if (ends_with(path, "join_sampling_session")) {
        snprintf(body, sizeof body, "{\"client_counter\":%lld}",
                 (long long)jdom_i64(jdom_get(l->f->context, "client_counter"), 1));
        fake_io_answer(l->io, i, 200, NULL, body);
        return true;
    }
    if (strstr(path, "/samplers/")) {
        give_filled(l, i, "{\"sampler_id\":\"s\",\"base_model\":\"%s\"}", "acme/tiny");
        return true;
    }
    for (size_t k = 0; k < sizeof plain / sizeof *plain; k++)
        if (ends_with(path, plain[k].route)) {
            give_filled(l, i, plain[k].body, live_id(l->f, plain[k].id));
            return true;
        }
    return false;
}

/* ---- promises ------------------------------------------------------------------- */

static int64_t proto_seq(const char *bytes, size_t size)
{
    TkxWire__ForwardBackwardRequest *q =
        tkx_wire__forward_backward_request__unpack(NULL, size, (const uint8_t *)bytes);
    int64_t seq = q ? q->seq_id : -1;

    if (q)
        tkx_wire__forward_backward_request__free_unpacked(q, NULL);
    return seq;
}

/* The number in a submit's body; -1: none. */
static int64_t seq_of(live *l, const fake_request *q)
{
    const jdom *body = jdom_parse(l->f->arena, q->body, q->body_size);
    unsigned long long plain_size =
        body ? 0 : ZSTD_getFrameContentSize(q->body, q->body_size);
    char *text;

    if (body)
        return jdom_i64(jdom_get(body, "seq_id"), -1);
    if (plain_size == ZSTD_CONTENTSIZE_ERROR || plain_size == ZSTD_CONTENTSIZE_UNKNOWN ||
        plain_size > 1 << 26)
        return proto_seq(q->body, q->body_size);
    text = tkx__arena_alloc(l->f->arena, (size_t)plain_size + 1, 1);
    return ZSTD_decompress(text, (size_t)plain_size, q->body, q->body_size) == plain_size
               ? proto_seq(text, (size_t)plain_size)
               : -1;
}

/* The promise that the recorded request names, or NULL. */
static const char *named_promise(fixture *f)
{
    const jdom *body = recorded_body(f);
    const char *id = jdom_text(jdom_get(body, "request_id"));

    if (!id)
        id = fixture_text(f, f->args, "request_id");
    return id ? id : jdom_text(jdom_at(jdom_get(body, "retrieved_request_ids"), 0));
}

/* Does an id that ends in a number belong to the submit with that one? */
static bool is_of_seq(const char *id, int64_t seq)
{
    const char *colon = strrchr(id, ':');
    char *end = NULL;
    long long number = colon ? strtoll(colon + 1, &end, 10) : -1;

    return !colon || end == colon + 1 || *end || seq < 0 || number == seq;
}

static const char *promise_id(live *l, const fake_request *q)
{
    const char *named = named_promise(l->f);
    int64_t seq = seq_of(l, q);
    char *id = tkx__arena_alloc(l->f->arena, 1000, 1);

    if (named && (strcmp(l->f->op, "cancel_future") == 0 || is_of_seq(named, seq)))
        return named;
    snprintf(
        id, 1000, "%s:%lld",
        live_id(l->f, strstr(q->url, "/asample") ? "sampling_session_id" : "model_id"),
        (long long)(seq < 0 ? l->n_promises : seq));
    return id;
}

static void give_promise(live *l, size_t i, const fake_request *q)
{
    const jdom *body = jdom_parse(l->f->arena, q->body, q->body_size);
    int64_t n = jdom_i64(jdom_get(body, "num_samples"), 0);
    const char *id = promise_id(l, q);
    tkx__json_writer w;
    tkx__buf buf;

    tkx__buf_init(&buf, SIZE_MAX);
    tkx__json_writer_init(&w, &buf, 0);
    tkx__json_begin_object(&w);
    tkx__json_member_string(&w, "request_id", id);
    if (strstr(q->url, "/asample")) {
        tkx__json_put_key(&w, "sample_sequence_ids");
        tkx__json_begin_array(&w);
        for (int64_t k = 0; k < n; k++) {
            char sequence[1100];

            snprintf(sequence, sizeof sequence, "%s/%lld", id, (long long)k);
            tkx__json_put_string(&w, sequence);
        }
        tkx__json_end_array(&w);
    }
    tkx__json_end_object(&w);
    l->n_promises++;
    fake_io_answer_bytes(l->io, i, 200, NULL, buf.data, buf.size);
    tkx__buf_clear(&buf);
}

/* ---- polls of request cases ----------------------------------------------------- */

/* How many polls went before the recorded one. */
static int64_t iteration_of(const fixture *f)
{
    const char *n =
        fixture_text(f, jdom_get(recorded(f), "headers"), "x-tinker-request-iteration");

    return n ? strtoll(n, NULL, 10) : 0;
}

static void give_result(live *l, size_t i)
{
    const char *type = fake_io_header(l->io, i, "x-tinker-request-type");

    for (size_t k = 0; type && k < sizeof results / sizeof *results; k++)
        if (strcmp(results[k].type, type) == 0) {
            give_filled(l, i, results[k].body, live_id(l->f, "model_id"));
            return;
        }
    if (type && strcmp(type, "SaveWeightsForSampler") == 0) {
        bool is_named = fixture_text(l->f, l->f->args, "name") != NULL;

        give_filled(l, i,
                    is_named ? "{\"path\":\"tinker://r/sampler_weights/a\"}"
                             : "{\"sampling_session_id\":\"%s\"}",
                    live_id(l->f, "sampling_session_id"));
        return;
    }
    fake_io_answer(l->io, i, 404, NULL, "{\"detail\":\"no result for this\"}");
}

/* Until the recorded poll it is not there yet; its payload is announced first when that
   poll no longer allows metadata only. */
static void give_poll(live *l, size_t i)
{
    const char *path = fixture_text(l->f, recorded(l->f), "path");
    const jdom *body = recorded_body(l->f);
    bool is_recorded = path && ends_with(path, "retrieve_future");
    int64_t n = l->n_polls++;

    if (strcmp(l->f->op, "cancel_future") == 0)
        return; /* it stays open until it is given up */
    if (!l->is_scripted || !is_recorded || n >= iteration_of(l->f))
        give_result(l, i);
    else if (n == 0 && !jdom_flag(jdom_get(body, "allow_metadata_only"), true))
        fake_io_answer(l->io, i, 200, NULL,
                       "{\"status\":\"complete_metadata\",\"response_payload_size\":64}");
    else
        fake_io_answer(l->io, i, 200, NULL,
                       "{\"type\":\"try_again\",\"queue_state\":\"active\"}");
}

/* One poll for all samples: the promise of this one has come true.  The size is told
   when the recorded fetch asks for the payload at once. */
static void give_completions(live *l, size_t i, const fake_request *q)
{
    const jdom *body = jdom_parse(l->f->arena, q->body, q->body_size);
    const jdom *wanted = recorded_body(l->f);
    const char *id = named_promise(l->f);
    int64_t cursor = jdom_i64(jdom_get(body, "prev_cursor"), 0);
    bool has_size = !jdom_flag(jdom_get(wanted, "allow_metadata_only"), false);
    char own[400], text[1000];

    snprintf(own, sizeof own, "%s:%lld", live_id(l->f, "sampling_session_id"),
             (long long)jdom_i64(jdom_get(l->f->context, "seq_id"), 0));
    if (cursor > 0)
        snprintf(text, sizeof text, "{\"completions\":[],\"cursor\":%lld}",
                 (long long)cursor);
    else
        snprintf(text, sizeof text,
                 "{\"completions\":[{\"state\":\"finished\",\"request_id\":\"%s\"%s}],"
                 "\"cursor\":%lld}",
                 id ? id : own,
                 has_size ? ",\"response_payload_uncompressed_size\":50" : "",
                 (long long)(jdom_i64(jdom_get(wanted, "prev_cursor"), 0) > 0
                                 ? jdom_i64(jdom_get(wanted, "prev_cursor"), 0)
                                 : 1));
    fake_io_answer(l->io, i, 200, NULL, text);
}

/* ---- all of it ------------------------------------------------------------------ */

void live_serve(fake_io *io, size_t i, void *arg)
{
    live *l = arg;
    const fake_request *q = fake_io_sent(io, i);
    const char *path = strstr(q->url, "/api/v1/");

    path = path ? path : "";
    if (l->is_scripted && give_recorded(l, i, q, path))
        return;
    if (ends_with(path, "retrieve_future"))
        give_poll(l, i);
    else if (ends_with(path, "retrieve_futures"))
        give_completions(l, i, q);
    else if (give_plain(l, i, path))
        return;
    else if (strcmp(q->method, "POST") == 0)
        give_promise(l, i, q);
    else
        fake_io_answer(io, i, 404, NULL, "{\"detail\":\"not recorded\"}");
}
