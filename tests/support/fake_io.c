/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_io.c - one queue of due steps (posts, replies, served requests, finished work),
 * one list of timers.  Test memory is plain malloc; reply bodies come from tkx__malloc,
 * since the code under test may take them.
 */
#include "support/fake_io.h"

#include <check.h>
#include <ctype.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/mem.h"

struct tkx__timer {
    fake_io *fake;
    tkx__task_fn *fn;
    void *arg;
    int64_t due_ms; /* -1: not armed */
    uint64_t order; /* of arming, so that equal deadlines keep their order */
    tkx__timer *next;
};

struct tkx__transfer {
    fake_request seen;
    size_t index;
    tkx__reply_fn *fn;
    void *arg;
    bool has_answer; /* queued, not yet told */
    int status;
    tkx_error *error;
    char *head;
    char *body;
    size_t body_size;
};

typedef enum step_kind { STEP_POST, STEP_REPLY, STEP_SERVE, STEP_WORK } step_kind;

typedef struct step {
    step_kind kind;
    tkx__task_fn *fn, *done;
    void *arg;
    size_t request;
    struct step *next;
} step;

struct fake_io {
    tkx__io table;
    pthread_t loop;
    int64_t now_ms, wall_ms;
    double *uniforms;
    size_t n_uniforms, next_uniform;
    tkx__timer *timers;
    uint64_t n_arms;
    tkx__transfer **sent;
    size_t n_sent, capacity;
    pthread_mutex_t lock; /* of the step list, since post() is for any thread */
    step *head, **tail;
    step *held, **held_tail;
    fake_server_fn *server;
    void *server_arg;
    size_t refused_sends;
    bool refuses_posts, holds_work, is_running;
};

static void *must(void *ptr)
{
    if (!ptr)
        abort();
    return ptr;
}

static char *copy_text(const char *text)
{
    return must(strdup(text ? text : ""));
}

/* ---- steps ----------------------------------------------------------------------------
 */

static void push(fake_io *f, step s)
{
    step *new_step = must(malloc(sizeof *new_step));

    *new_step = s;
    new_step->next = NULL;
    pthread_mutex_lock(&f->lock);
    *f->tail = new_step;
    f->tail = &new_step->next;
    pthread_mutex_unlock(&f->lock);
}

static step *pop(fake_io *f)
{
    step *s;

    pthread_mutex_lock(&f->lock);
    s = f->head;
    if (s) {
        f->head = s->next;
        if (!f->head)
            f->tail = &f->head;
    }
    pthread_mutex_unlock(&f->lock);
    return s;
}

/* ---- replies --------------------------------------------------------------------------
 */

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

static void tell(fake_io *f, tkx__transfer *t)
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
    t->head = copy_text(headers);
    t->body = must(malloc(size + 1));
    if (size)
        memcpy(t->body, body, size);
    t->body_size = size;
    push(f, (step){.kind = STEP_REPLY, .request = i});
    fake_io_turn(f);
}

void fake_io_answer(fake_io *f, size_t i, int status, const char *headers,
                    const char *body)
{
    fake_io_answer_bytes(f, i, status, headers, body ? body : "",
                         body ? strlen(body) : 0);
}

static void fail_later(fake_io *f, size_t i, tkx_status status, const char *message)
{
    tkx__transfer *t = open_request(f, i);
    tkx__error_facts facts = TKX__ERROR_FACTS_INIT;

    t->has_answer = true;
    facts.is_retryable = status == TKX_ERR_CONNECTION || status == TKX_ERR_TIMEOUT;
    tkx__fail_facts(&t->error, status, &facts, "%s %s: %s", t->seen.method, t->seen.url,
                    message);
    push(f, (step){.kind = STEP_REPLY, .request = i});
}

void fake_io_fail(fake_io *f, size_t i, tkx_status status, const char *message)
{
    fail_later(f, i, status, message ? message : "no answer");
    fake_io_turn(f);
}

/* ---- sending --------------------------------------------------------------------------
 */

static char *read_body(const tkx__body *body, size_t *size)
{
    char *bytes = must(malloc((body ? body->size_bytes : 0) + 1));
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
    char *copy = copy_text(line);

    for (char *c = copy; *c && *c != ':'; c++)
        *c = (char)tolower((unsigned char)*c);
    return copy;
}

static void copy_headers(fake_request *seen, const tkx__request *request)
{
    size_t n_common = request->common ? tkx__header_set_count(request->common) : 0;
    char line[4096];

    seen->headers =
        must(calloc(n_common + request->n_headers + 1, sizeof *seen->headers));
    for (size_t i = 0; i < n_common; i++)
        seen->headers[seen->n_headers++] =
            header_line(tkx__header_set_line(request->common, i));
    for (size_t i = 0; i < request->n_headers; i++) {
        snprintf(line, sizeof line, "%s: %s", request->headers[i].name,
                 request->headers[i].value);
        seen->headers[seen->n_headers++] = header_line(line);
    }
}

static tkx__transfer *fake_send(void *ctx, const tkx__request *request, tkx__reply_fn *fn,
                                void *arg)
{
    fake_io *f = ctx;
    tkx__transfer *t;

    if (f->refused_sends > 0) {
        f->refused_sends--;
        return NULL;
    }
    t = must(calloc(1, sizeof *t));
    t->seen = (fake_request){.lane = request->lane,
                             .method = copy_text(request->method),
                             .url = copy_text(request->url),
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
        f->sent = must(realloc(f->sent, f->capacity * sizeof(tkx__transfer *)));
    }
    f->sent[f->n_sent++] = t;
    push(f, (step){.kind = STEP_SERVE, .request = t->index});
    return t;
}

static void fake_cancel(void *ctx, tkx__transfer *t)
{
    fake_io *f = ctx;

    ck_assert_msg(t->seen.state == FAKE_OPEN,
                  "request %zu (%s) was cancelled after its end", t->index, t->seen.url);
    t->seen.state = FAKE_CANCELLED;
    t->seen.ended_at_ms = f->now_ms;
}

/* ---- clock, timers, tasks
 * --------------------------------------------------------------- */

static int64_t fake_now(void *ctx)
{
    return ((fake_io *)ctx)->now_ms;
}

static int64_t fake_wall(void *ctx)
{
    fake_io *f = ctx;

    return f->wall_ms + f->now_ms;
}

static double fake_uniform(void *ctx)
{
    fake_io *f = ctx;

    return f->uniforms[f->next_uniform++ % f->n_uniforms];
}

static bool fake_in_loop(void *ctx)
{
    return pthread_equal(pthread_self(), ((fake_io *)ctx)->loop) != 0;
}

static tkx__timer *fake_timer_new(void *ctx, tkx__task_fn *fn, void *arg)
{
    fake_io *f = ctx;
    tkx__timer *timer = tkx__malloc(sizeof *timer); /* may be told to fail */

    if (timer) {
        *timer = (tkx__timer){f, fn, arg, -1, 0, f->timers};
        f->timers = timer;
    }
    return timer;
}

static void fake_timer_arm(void *ctx, tkx__timer *timer, int64_t delay_ms)
{
    fake_io *f = ctx;

    timer->due_ms = f->now_ms + (delay_ms > 0 ? delay_ms : 0);
    timer->order = f->n_arms++;
}

static void fake_timer_disarm(void *ctx, tkx__timer *timer)
{
    (void)ctx;
    timer->due_ms = -1;
}

static void fake_timer_free(void *ctx, tkx__timer *timer)
{
    fake_io *f = ctx;

    for (tkx__timer **at = &f->timers; timer && *at; at = &(*at)->next)
        if (*at == timer) {
            *at = timer->next;
            tkx__free(timer);
            return;
        }
    ck_assert_msg(!timer, "a timer was freed that is not there");
}

static bool fake_post(void *ctx, tkx__task_fn *fn, void *arg)
{
    fake_io *f = ctx;

    if (f->refuses_posts)
        return false;
    push(f, (step){.kind = STEP_POST, .fn = fn, .arg = arg});
    return true;
}

static bool fake_work(void *ctx, tkx__task_fn *work, tkx__task_fn *done, void *arg)
{
    fake_io *f = ctx;

    push(f, (step){.kind = STEP_WORK, .fn = work, .done = done, .arg = arg});
    return true;
}

static tkx__timer *earliest(const fake_io *f)
{
    tkx__timer *best = NULL;

    for (tkx__timer *t = f->timers; t; t = t->next)
        if (t->due_ms >= 0 && (!best || t->due_ms < best->due_ms ||
                               (t->due_ms == best->due_ms && t->order < best->order)))
            best = t;
    return best;
}

/* The open request whose timeout passes first, or NULL. */
static tkx__transfer *first_timeout(const fake_io *f)
{
    tkx__transfer *best = NULL;

    for (size_t i = 0; i < f->n_sent; i++) {
        tkx__transfer *t = f->sent[i];

        if (t->seen.state == FAKE_OPEN && !t->has_answer && t->seen.timeout_ms > 0 &&
            (!best || t->seen.sent_at_ms + t->seen.timeout_ms <
                          best->seen.sent_at_ms + best->seen.timeout_ms))
            best = t;
    }
    return best;
}

static void run_step(fake_io *f, step *s)
{
    switch (s->kind) {
    case STEP_POST:
        s->fn(s->arg);
        break;
    case STEP_REPLY:
        tell(f, f->sent[s->request]);
        break;
    case STEP_SERVE:
        if (f->server && f->sent[s->request]->seen.state == FAKE_OPEN)
            f->server(f, s->request, f->server_arg);
        break;
    case STEP_WORK:
        s->fn(s->arg);
        push(f, (step){.kind = STEP_POST, .fn = s->done, .arg = s->arg});
        break;
    }
}

void fake_io_turn(fake_io *f)
{
    size_t n_steps = 0;

    if (f->is_running)
        return; /* a step of a turn asked for a turn: that one goes on anyway */
    f->is_running = true;
    for (;;) {
        step *s = pop(f);
        tkx__timer *timer = s ? NULL : earliest(f);

        ck_assert_msg(n_steps++ < 1000000, "a loop that does not end, at %lld ms",
                      (long long)f->now_ms);
        if (s && s->kind == STEP_WORK && f->holds_work) {
            s->next = NULL;
            *f->held_tail = s;
            f->held_tail = &s->next;
        } else if (s) {
            run_step(f, s);
            free(s);
        } else if (timer && timer->due_ms <= f->now_ms) {
            timer->due_ms = -1;
            timer->fn(timer->arg);
        } else {
            break;
        }
    }
    f->is_running = false;
}

void fake_io_advance(fake_io *f, int64_t ms)
{
    int64_t until = f->now_ms + ms;

    fake_io_turn(f);
    for (;;) {
        tkx__timer *timer = earliest(f);
        tkx__transfer *late = first_timeout(f);
        int64_t late_ms =
            late ? late->seen.sent_at_ms + late->seen.timeout_ms : INT64_MAX;
        int64_t timer_ms = timer ? timer->due_ms : INT64_MAX;
        int64_t next_ms = timer_ms < late_ms ? timer_ms : late_ms;

        if (next_ms > until)
            break;
        if (next_ms > f->now_ms)
            f->now_ms = next_ms;
        if (late_ms <= timer_ms)
            fail_later(f, late->index, TKX_ERR_TIMEOUT, "no answer in time");
        fake_io_turn(f);
    }
    f->now_ms = until;
    fake_io_turn(f);
}

/* ---- looking and steering
 * --------------------------------------------------------------- */

int64_t fake_io_now(const fake_io *f)
{
    return f->now_ms;
}

int64_t fake_io_next_timer(const fake_io *f)
{
    tkx__timer *timer = earliest(f);

    return timer ? timer->due_ms - f->now_ms : -1;
}

void fake_io_set_uniforms(fake_io *f, const double *values, size_t n)
{
    free(f->uniforms);
    f->uniforms = must(malloc(n * sizeof *values));
    memcpy(f->uniforms, values, n * sizeof *values);
    f->n_uniforms = n;
    f->next_uniform = 0;
}

void fake_io_set_uniform(fake_io *f, double value)
{
    fake_io_set_uniforms(f, &value, 1);
}

void fake_io_set_wall(fake_io *f, int64_t wall_ms)
{
    f->wall_ms = wall_ms;
}

size_t fake_io_n_sent(const fake_io *f)
{
    return f->n_sent;
}

const fake_request *fake_io_sent(const fake_io *f, size_t i)
{
    ck_assert_msg(i < f->n_sent, "request %zu was never sent (%zu were)", i, f->n_sent);
    return &f->sent[i]->seen;
}

size_t fake_io_n_open(const fake_io *f)
{
    size_t n = 0;

    for (size_t i = 0; i < f->n_sent; i++)
        n += f->sent[i]->seen.state == FAKE_OPEN;
    return n;
}

size_t fake_io_find_open(const fake_io *f, size_t from, const char *url_part)
{
    for (size_t i = from; i < f->n_sent; i++)
        if (f->sent[i]->seen.state == FAKE_OPEN && !f->sent[i]->has_answer &&
            (!url_part || strstr(f->sent[i]->seen.url, url_part)))
            return i;
    return FAKE_NONE;
}

size_t fake_io_count(const fake_io *f, const char *url_part)
{
    size_t n = 0;

    for (size_t i = 0; i < f->n_sent; i++)
        n += strstr(f->sent[i]->seen.url, url_part) != NULL;
    return n;
}

const char *fake_io_header(const fake_io *f, size_t i, const char *name)
{
    const fake_request *seen = fake_io_sent(f, i);
    size_t n = strlen(name);

    for (size_t k = 0; k < seen->n_headers; k++)
        if (strncasecmp(seen->headers[k], name, n) == 0 && seen->headers[k][n] == ':')
            return seen->headers[k] + n + 1 + strspn(seen->headers[k] + n + 1, " ");
    return NULL;
}

void fake_io_serve(fake_io *f, fake_server_fn *fn, void *arg)
{
    f->server = fn;
    f->server_arg = arg;
}

void fake_io_refuse_sends(fake_io *f, size_t n)
{
    f->refused_sends = n;
}

void fake_io_refuse_posts(fake_io *f, bool refuse)
{
    f->refuses_posts = refuse;
}

void fake_io_hold_work(fake_io *f, bool hold)
{
    f->holds_work = hold;
    if (hold)
        return;
    while (f->held) {
        step *s = f->held;

        f->held = s->next;
        push(f, *s);
        free(s);
    }
    f->held_tail = &f->held;
    fake_io_turn(f);
}

size_t fake_io_n_work(const fake_io *f)
{
    size_t n = 0;

    for (const step *s = f->head; s; s = s->next)
        n += s->kind == STEP_WORK;
    for (const step *s = f->held; s; s = s->next)
        n++;
    return n;
}

size_t fake_io_n_timers(const fake_io *f)
{
    size_t n = 0;

    for (const tkx__timer *t = f->timers; t; t = t->next)
        n++;
    return n;
}

size_t fake_io_n_armed(const fake_io *f)
{
    size_t n = 0;

    for (const tkx__timer *t = f->timers; t; t = t->next)
        n += t->due_ms >= 0;
    return n;
}

/* ---- life
 * ------------------------------------------------------------------------------- */

const tkx__io *fake_io_table(fake_io *f)
{
    return &f->table;
}

fake_io *fake_io_new(void)
{
    static const tkx__io_ops ops = {
        .now_ms = fake_now,
        .wall_ms = fake_wall,
        .uniform = fake_uniform,
        .in_loop = fake_in_loop,
        .timer_new = fake_timer_new,
        .timer_arm = fake_timer_arm,
        .timer_disarm = fake_timer_disarm,
        .timer_free = fake_timer_free,
        .send = fake_send,
        .cancel = fake_cancel,
        .post = fake_post,
        .work = fake_work,
        .run_user = fake_work,
    };
    fake_io *f = must(calloc(1, sizeof *f));

    f->table = (tkx__io){&ops, f};
    f->loop = pthread_self();
    f->wall_ms = 1700000000000;
    f->tail = &f->head;
    f->held_tail = &f->held;
    pthread_mutex_init(&f->lock, NULL);
    fake_io_set_uniform(f, 1 - 1e-9);
    return f;
}

static void free_request(tkx__transfer *t)
{
    for (size_t i = 0; i < t->seen.n_headers; i++)
        free(t->seen.headers[i]);
    free(t->seen.headers);
    free((char *)t->seen.method);
    free((char *)t->seen.url);
    free(t->seen.body);
    tkx_error_free(t->error);
    free(t->head);
    free(t->body);
    free(t);
}

void fake_io_drop(fake_io *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < f->n_sent; i++)
        free_request(f->sent[i]);
    free(f->sent);
    while (f->timers)
        fake_timer_free(f, f->timers);
    for (step *s = pop(f); s; s = pop(f))
        free(s);
    while (f->held) {
        step *s = f->held;

        f->held = s->next;
        free(s);
    }
    pthread_mutex_destroy(&f->lock);
    free(f->uniforms);
    free(f);
}

void fake_io_free(fake_io *f)
{
    if (!f)
        return;
    fake_io_turn(f);
    for (size_t i = 0; i < f->n_sent; i++)
        ck_assert_msg(f->sent[i]->seen.state != FAKE_OPEN,
                      "request %zu (%s) was left open", i, f->sent[i]->seen.url);
    ck_assert_msg(!f->timers, "%zu timers were left", fake_io_n_timers(f));
    ck_assert_msg(!f->held, "work was left");
    fake_io_drop(f);
}
