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

/* The recorded query without the pairs that we leave to the service. */
static char *without_defaults(fixture *f, const char *query)
{
    char *kept = tkx__arena_zalloc(f->arena, strlen(query) + 1, 1);

    while (*query) {
        size_t n = strcspn(query, "&");

        if (!fixture_query_may_be_left_out(query, n)) {
            if (*kept)
                strcat(kept, "&");
            strncat(kept, query, n);
        }
        query += n + (query[n] == '&');
    }
    return kept;
}

static fixture_verdict compare_query(fixture *f, const char *url)
{
    const char *theirs = fixture_text(f, jdom_get(f->root, "request"), "query");
    const char *ours = strchr(url, '?');

    ours = ours ? ours + 1 : "";
    theirs = theirs ? theirs : "";
    if (strcmp(decoded(f, ours), decoded(f, theirs)) == 0 ||
        strcmp(decoded(f, ours), decoded(f, without_defaults(f, theirs))) == 0)
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

static fixture_verdict compare_headers(live *l)
{
    const jdom *headers = jdom_get(jdom_get(l->f->root, "request"), "headers");

    for (size_t i = 0; i < jdom_count(headers); i++) {
        const char *name = headers->keys[i];
        const char *theirs = jdom_text(jdom_at(headers, i));
        const char *ours = fake_io_header(l->io, l->wanted, name);

        if (theirs && !same_header(name, ours, theirs))
            return fixture_differs(l->f, "header %s is \"%s\", not \"%s\"", name,
                                   ours ? ours : "(missing)", theirs);
    }
    return FIXTURE_PASSED;
}

static fixture_verdict compare_body(live *l, const fake_request *q)
{
    const jdom *request = jdom_get(l->f->root, "request");
    const char *kind = fixture_text(l->f, request, "body_kind");
    const char *body;
    size_t size;

    if (!kind || strcmp(kind, "empty") == 0)
        return q->body_size == 0
                   ? FIXTURE_PASSED
                   : fixture_differs(l->f, "a body where there should be none");
    if (strcmp(kind, "json") != 0)
        return fixture_differs(l->f, "bodies of kind %s are not covered", kind);
    body = fixture_file(l->f, fixture_text(l->f, request, "body_file"), &size);
    return body ? fixture_compare_json(l->f, q->body, q->body_size, body, size)
                : FIXTURE_FAILED;
}

static fixture_verdict compare(live *l)
{
    const jdom *request = jdom_get(l->f->root, "request");
    const char *method = fixture_text(l->f, request, "method");
    const fake_request *q;

    if (l->wanted == FAKE_NONE)
        return fixture_differs(l->f, "no request to %s",
                               fixture_text(l->f, request, "path"));
    q = fake_io_sent(l->io, l->wanted);
    if (!method || strcmp(q->method, method) != 0)
        return fixture_differs(l->f, "method %s, not %s", q->method, method);
    if (compare_query(l->f, q->url) != FIXTURE_PASSED ||
        compare_headers(l) != FIXTURE_PASSED)
        return FIXTURE_FAILED;
    return compare_body(l, q);
}

/* Heartbeats and refreshes come by themselves, a few timers later. */
static fixture_verdict linger(live *l)
{
    for (int i = 0; i < 20 && l->wanted == FAKE_NONE; i++) {
        int64_t next = fake_io_next_timer(l->io);

        if (next >= 0)
            fake_io_advance(l->io, next);
    }
    return compare(l);
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
    if (live_begin(&l, f) && op->make(&l)) {
        live_script(&l);
        if (op->call(&l, &future, &err) != TKX_OK)
            fixture_differs(f, "not called: %s", tkx_error_message(err));
        else if (live_wait(&l, future) || l.wanted != FAKE_NONE)
            verdict = linger(&l);
    }
    tkx_error_free(err);
    tkx_future_unref(future);
    live_end(&l);
    return verdict;
}

fixture_verdict fixture_run_sent(fixture *f)
{
    return live_guard(f, run);
}
