/* SPDX-License-Identifier: Apache-2.0 */
/* fixtures_sent.c - the request that the real client sends, beside the recorded one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "fixtures_live.h"

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent and plus away; separators that were escaped become control characters. */
static char *decoded(fixture *f, const char *query)
{
    char *out = tkx__arena_zalloc(f->arena, strlen(query) + 1, 1);
    size_t n = 0;

    for (const char *c = query; *c; c++) {
        if (*c == '%' && hex(c[1]) >= 0 && hex(c[2]) >= 0) {
            char byte = (char)(hex(c[1]) * 16 + hex(c[2]));

            out[n++] = (char)(byte == '&' ? 1 : byte == '=' ? 2 : byte);
            c += 2;
        } else {
            out[n++] = (char)(*c == '+' ? ' ' : *c);
        }
    }
    return out;
}

static fixture_verdict compare_query(fixture *f, const char *url)
{
    const char *theirs = fixture_text(f, jdom_get(f->root, "request"), "query");
    const char *ours = strchr(url, '?');

    ours = ours ? ours + 1 : "";
    theirs = theirs ? theirs : "";
    if (strcmp(decoded(f, ours), decoded(f, theirs)) == 0)
        return FIXTURE_PASSED;
    return fixture_differs(f, "query is \"%s\", not \"%s\"", ours, theirs);
}

/* How values of a header are compared, where not exactly. */
typedef enum header_rule {
    HEADER_PRESENT = 1, /* any value, but there */
    HEADER_NUMBER,
    HEADER_CONTAINS, /* ours may list more */
    HEADER_OPTIONAL
} header_rule;

static const struct {
    const char *name;
    header_rule rule;
} header_rules[] = {
    {"x-idempotency-key", HEADER_PRESENT},
    {"x-tinker-create-promise-roundtrip-time", HEADER_PRESENT},
    {"x-stainless-read-timeout", HEADER_NUMBER},
    {"accept", HEADER_CONTAINS},
    {"x-stainless-raw-response", HEADER_OPTIONAL},
};

static bool same_header(const char *name, const char *ours, const char *theirs)
{
    header_rule rule = 0;

    for (size_t i = 0; i < sizeof header_rules / sizeof *header_rules; i++)
        if (strcasecmp(header_rules[i].name, name) == 0)
            rule = header_rules[i].rule;
    if (rule == HEADER_OPTIONAL && !ours)
        return true;
    if (!ours)
        return false;
    if (rule == HEADER_PRESENT)
        return *ours != '\0';
    if (rule == HEADER_NUMBER)
        return strtod(ours, NULL) == strtod(theirs, NULL);
    if (rule == HEADER_CONTAINS)
        return strstr(ours, theirs) != NULL;
    return strcmp(ours, theirs) == 0;
}

static fixture_verdict compare_headers(live *l, size_t sent)
{
    const jdom *headers = jdom_get(jdom_get(l->f->root, "request"), "headers");

    for (size_t i = 0; i < jdom_count(headers); i++) {
        const char *name = headers->keys[i];
        const char *theirs = jdom_text(jdom_at(headers, i));
        const char *ours = fake_io_header(l->io, sent, name);

        if (theirs && !same_header(name, ours, theirs))
            return fixture_differs(l->f, "header %s is \"%s\", not \"%s\"", name,
                                   ours ? ours : "(missing)", theirs);
    }
    if (!fake_io_header(l->io, sent, "x-stainless-package-version"))
        return fixture_differs(l->f, "no x-stainless-package-version");
    return FIXTURE_PASSED;
}

static fixture_verdict compare_body(live *l, const fake_request *q)
{
    fixture *f = l->f;
    const jdom *request = jdom_get(f->root, "request");
    const char *kind = fixture_text(f, request, "body_kind");
    const char *plain = fixture_text(f, request, "plain_file");
    const char *body;
    size_t size;

    if (!kind || strcmp(kind, "empty") == 0)
        return q->body_size == 0
                   ? FIXTURE_PASSED
                   : fixture_differs(f, "a body where there should be none");
    body = fixture_file(f, plain ? plain : fixture_text(f, request, "body_file"), &size);
    if (!body)
        return FIXTURE_FAILED;
    if (strncmp(kind, "protobuf", 8) == 0)
        return fixture_compare_sent_proto(f, q->body, q->body_size, body, size,
                                          strcmp(kind, "protobuf+zstd") == 0);
    return fixture_compare_json(f, q->body, q->body_size, body, size);
}

static fixture_verdict compare_one(live *l, size_t i)
{
    const char *method = fixture_text(l->f, jdom_get(l->f->root, "request"), "method");
    const fake_request *q = fake_io_sent(l->io, i);

    if (!method || strcmp(q->method, method) != 0)
        return fixture_differs(l->f, "method %s, not %s", q->method, method);
    if (compare_query(l->f, q->url) != FIXTURE_PASSED ||
        compare_headers(l, i) != FIXTURE_PASSED)
        return FIXTURE_FAILED;
    return compare_body(l, q);
}

/* Is the recorded request among those from number `from` on? */
static fixture_verdict find_recorded(live *l, size_t from)
{
    const char *path = fixture_text(l->f, jdom_get(l->f->root, "request"), "path");

    for (size_t i = from; path && i < fake_io_n_sent(l->io); i++)
        if (live_is_path(fake_io_sent(l->io, i)->url + strlen(LIVE_HOST), path) &&
            compare_one(l, i) == FIXTURE_PASSED)
            return FIXTURE_PASSED;
    return FIXTURE_FAILED;
}

/* The conversation goes on for a while: heartbeats, telemetry and acknowledgements come
   by themselves. */
static fixture_verdict converse(live *l)
{
    size_t from = l->first;

    fake_io_turn(l->io);
    for (int i = 0; i < 60; i++) {
        size_t n = fake_io_n_sent(l->io);

        if (find_recorded(l, from) == FIXTURE_PASSED)
            return FIXTURE_PASSED;
        from = n;
        if (!live_step(l))
            break;
    }
    return find_recorded(l, from);
}

static fixture_verdict run(fixture *f)
{
    const live_op *op = live_find_op(f->op);
    fixture_verdict verdict = FIXTURE_FAILED;
    tkx_future *future = NULL;
    tkx_error *err = NULL;
    live l;

    if (!op)
        return FIXTURE_NOT_HERE;
    if (!live_begin(&l, f))
        goto done;
    if (live_is_about_start(f))
        live_script(&l);
    if (!op->make(&l))
        goto done;
    /* Telemetry began with the client: its first event is part of the case. */
    if (strcmp(f->op, "telemetry") != 0)
        live_script(&l);
    if (op->call(&l, &future, &err) != TKX_OK) {
        fixture_differs(f, "not called: %s", tkx_error_message(err));
        goto done;
    }
    fixture_differs(f, "no such request was sent");
    verdict = converse(&l);
done:
    tkx_error_free(err);
    tkx_future_unref(future);
    live_end(&l);
    return verdict;
}

fixture_verdict fixture_run_sent(fixture *f)
{
    return live_guard(f, run);
}
