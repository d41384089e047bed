/* SPDX-License-Identifier: Apache-2.0 */
/* fake_io_requests.c - what the fake io is sent, and what it answers. */
#include <check.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/mem.h"
#include "support/fake_io_impl.h"

/* ---- replies -------------------------------------------------------------------- */

/* Cut "Name: value\n..." into pairs, names in lower case; returns their number. */
static size_t cut_headers(char *text, tkx__header *to, size_t max)
{
    size_t n = 0;

    for (char *line = strtok(text, "\n"); line && n < max; line = strtok(NULL, "\n")) {
        char *colon = strchr(line, ':');

        if (!colon)
            continue;
        *colon = '\0';
        for (char *c = line; *c; c++)
            *c = (char)tolower((unsigned char)*c);
        to[n].name = line;
        to[n++].value = colon + 1 + strspn(colon + 1, " ");
    }
    return n;
}

void fake_tell(fake_io *f, tkx__transfer *t)
{
    tkx__header headers[64];
    tkx__reply reply = {.http_status = t->status, .error = t->error, .headers = headers};
    char length[32];

    tkx_error *no_memory = NULL;

    if (t->seen.state != FAKE_OPEN)
        return; /* cancelled meanwhile */
    t->seen.state = FAKE_ANSWERED;
    t->seen.ended_at_ms = f->now_ms;
    reply.elapsed_ms = f->now_ms - t->seen.sent_at_ms;
    if (!t->error) {
        bool has_length = strstr(t->head, "-content-length") != NULL;

        reply.n_headers = cut_headers(t->head, headers, 63);
        for (size_t i = 0; i < reply.n_headers; i++)
            has_length |= strcmp(headers[i].name, "content-length") == 0;
        if (!has_length) {
            snprintf(length, sizeof length, "%zu", t->body_size);
            headers[reply.n_headers].name = "content-length";
            headers[reply.n_headers++].value = length;
        }
        reply.body_size = t->body_size;
        if (t->body_size) {
            reply.body = tkx__malloc(t->body_size + 1); /* may be told to fail */
            if (reply.body) {
                memcpy(reply.body, t->body, t->body_size);
                reply.body[t->body_size] = '\0';
            } else {
                tkx__fail_memory(&no_memory);
                reply = (tkx__reply){.error = no_memory};
            }
        }
    }
    t->fn(&reply, t->arg);
    tkx__free(reply.body);
    tkx_error_free(no_memory);
}

static tkx__transfer *open_request(fake_io *f, size_t i)
{
    ck_assert_msg(i < f->n_sent, "request %zu was never sent (%zu were)", i, f->n_sent);
    ck_assert_msg(f->sent[i]->seen.state == FAKE_OPEN && !f->sent[i]->has_answer,
                  "request %zu (%s) is not open", i, f->sent[i]->seen.url);
    return f->sent[i];
}

void fake_io_answer_bytes(fake_io *f, size_t i, int status, const char *headers,
                          const void *body, size_t size)
{
    tkx__transfer *t = open_request(f, i);

    t->has_answer = true;
    t->status = status;
    t->head = fake_copy_text(headers);
    t->body = fake_must(malloc(size + 1));
    if (size)
        memcpy(t->body, body, size);
    t->body_size = size;
    fake_push(f, (step){.kind = STEP_REPLY, .request = i});
    fake_io_turn(f);
}

void fake_io_answer(fake_io *f, size_t i, int status, const char *headers,
                    const char *body)
{
    fake_io_answer_bytes(f, i, status, headers, body ? body : "",
                         body ? strlen(body) : 0);
}

void fake_fail_later(fake_io *f, size_t i, tkx_status status, const char *message)
{
    tkx__transfer *t = open_request(f, i);
    tkx__error_facts facts = TKX__ERROR_FACTS_INIT;

    t->has_answer = true;
    facts.is_retryable = status == TKX_ERR_CONNECTION || status == TKX_ERR_TIMEOUT;
    tkx__fail_facts(&t->error, status, &facts, "%s %s: %s", t->seen.method, t->seen.url,
                    message);
    fake_push(f, (step){.kind = STEP_REPLY, .request = i});
}

void fake_io_fail(fake_io *f, size_t i, tkx_status status, const char *message)
{
    fake_fail_later(f, i, status, message ? message : "no answer");
    fake_io_turn(f);
}

/* ---- sending -------------------------------------------------------------------- */

static char *read_body(const tkx__body *body, size_t *size)
{
    char *bytes = fake_must(malloc((body ? body->size_bytes : 0) + 1));
    size_t n = 0;

    while (body && n < body->size_bytes) {
        size_t rest = body->size_bytes - n;
        ssize_t got;

        if (body->bytes) {
            memcpy(bytes, body->bytes, rest);
            n += rest;
            break;
        }
        got = body->read(body->ctx, n, bytes + n, rest < 1000 ? rest : 1000);
        ck_assert_msg(got > 0 && (size_t)got <= rest, "body->read gave %zd at %zu of %zu",
                      got, n, body->size_bytes);
        n += (size_t)got;
    }
    bytes[n] = '\0';
    *size = n;
    return bytes;
}

static char *header_line(const char *line)
{
    char *copy = fake_copy_text(line);

    for (char *c = copy; *c && *c != ':'; c++)
        *c = (char)tolower((unsigned char)*c);
    return copy;
}

static void copy_headers(fake_request *seen, const tkx__request *request)
{
    size_t n_common = request->common ? tkx__header_set_count(request->common) : 0;
    char line[4096];

    seen->headers =
        fake_must(calloc(n_common + request->n_headers + 1, sizeof *seen->headers));
    for (size_t i = 0; i < n_common; i++)
        seen->headers[seen->n_headers++] =
            header_line(tkx__header_set_line(request->common, i));
    for (size_t i = 0; i < request->n_headers; i++) {
        snprintf(line, sizeof line, "%s: %s", request->headers[i].name,
                 request->headers[i].value);
        seen->headers[seen->n_headers++] = header_line(line);
    }
}

tkx__transfer *fake_send(void *ctx, const tkx__request *request, tkx__reply_fn *fn,
                         void *arg)
{
    fake_io *f = ctx;
    tkx__transfer *t;

    if (f->refused_sends > 0) {
        f->refused_sends--;
        return NULL;
    }
    t = fake_must(calloc(1, sizeof *t));
    t->seen = (fake_request){.lane = request->lane,
                             .method = fake_copy_text(request->method),
                             .url = fake_copy_text(request->url),
                             .timeout_ms = request->timeout_ms,
                             .connect_timeout_ms = request->connect_timeout_ms,
                             .max_reply_bytes = request->max_reply_bytes,
                             .no_redirects = request->no_redirects,
                             .fresh_connection = request->fresh_connection,
                             .sent_at_ms = f->now_ms,
                             .ended_at_ms = -1};
    copy_headers(&t->seen, request);
    t->seen.body = read_body(request->body, &t->seen.body_size);
    t->fn = fn;
    t->arg = arg;
    t->index = f->n_sent;
    if (f->n_sent == f->capacity) {
        f->capacity = f->capacity ? 2 * f->capacity : 16;
        f->sent = fake_must(realloc(f->sent, f->capacity * sizeof(tkx__transfer *)));
    }
    f->sent[f->n_sent++] = t;
    fake_push(f, (step){.kind = STEP_SERVE, .request = t->index});
    return t;
}

void fake_cancel(void *ctx, tkx__transfer *t)
{
    fake_io *f = ctx;

    ck_assert_msg(t->seen.state == FAKE_OPEN,
                  "request %zu (%s) was cancelled after its end", t->index, t->seen.url);
    t->seen.state = FAKE_CANCELLED;
    t->seen.ended_at_ms = f->now_ms;
}
