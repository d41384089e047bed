/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_io.c - one queue of due steps (posts, replies, served requests, finished work),
 * one list of timers.  Test memory is plain malloc; reply bodies come from tkx__malloc,
 * since the code under test may take them.
 */
#include "support/fake_io_impl.h"

#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"

void *fake_must(void *ptr)
{
    if (!ptr)
        abort();
    return ptr;
}

char *fake_copy_text(const char *text)
{
    return fake_must(strdup(text ? text : ""));
}

/* ---- steps ---------------------------------------------------------------------- */

void fake_push(fake_io *f, step s)
{
    step *new_step = fake_must(malloc(sizeof *new_step));

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

/* ---- clock, timers, tasks ---- */

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

/* Where the real loop takes memory, a failing allocator strikes here, too. */
static bool has_memory(void)
{
    void *node = tkx__malloc(sizeof(tkx__post_node));

    tkx__free(node);
    return node != NULL;
}

static bool fake_post_node(void *ctx, tkx__post_node *node)
{
    fake_io *f = ctx;

    fake_push(f, (step){.kind = STEP_POST, .fn = node->fn, .arg = node->arg});
    return true;
}

static bool fake_post(void *ctx, tkx__task_fn *fn, void *arg)
{
    fake_io *f = ctx;

    if (!has_memory())
        return false;
    fake_push(f, (step){.kind = STEP_POST, .fn = fn, .arg = arg});
    return true;
}

static bool fake_work(void *ctx, tkx__task_fn *work, tkx__task_fn *done, void *arg)
{
    fake_io *f = ctx;

    if (!has_memory())
        return false;
    fake_push(f, (step){.kind = STEP_WORK, .fn = work, .done = done, .arg = arg});
    return true;
}

tkx__timer *fake_earliest(const fake_io *f)
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
        fake_tell(f, f->sent[s->request]);
        break;
    case STEP_SERVE:
        if (f->server && f->sent[s->request]->seen.state == FAKE_OPEN)
            f->server(f, s->request, f->server_arg);
        break;
    case STEP_WORK:
        s->fn(s->arg);
        fake_push(f, (step){.kind = STEP_POST, .fn = s->done, .arg = s->arg});
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
        tkx__timer *timer = s ? NULL : fake_earliest(f);

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
        tkx__timer *timer = fake_earliest(f);
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
            fake_fail_later(f, late->index, TKX_ERR_TIMEOUT, "no answer in time");
        fake_io_turn(f);
    }
    f->now_ms = until;
    fake_io_turn(f);
}

/* ---- life ---- */

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
        .post_node = fake_post_node,
        .work = fake_work,
        .run_user = fake_work,
    };
    fake_io *f = fake_must(calloc(1, sizeof *f));

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
