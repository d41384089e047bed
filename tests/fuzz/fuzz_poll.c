/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_poll.c - a poll answered with the input, body by body, split at NULs; a body's
 * length picks its status.  Whatever comes, the poll ends once or goes on asking.
 */
#include <stdlib.h>
#include <string.h>

#include "api/poll.h"
#include "base/mem.h"
#include "fuzz/fuzz.h"

/*
 * The world of net/io.h without time: an armed timer is due at once.  One poll has at
 * most one request under way.
 */
enum { MAX_TASKS = 8 };

typedef struct task {
    tkx__task_fn *fn;
    void *arg;
} task;

struct tkx__timer {
    tkx__task_fn *fn;
    void *arg;
    bool is_armed;
    struct tkx__timer *next;
};

typedef struct world {
    tkx__timer *timers;
    task tasks[MAX_TASKS];
    size_t n_tasks;
    tkx__reply_fn *reply;
    void *reply_arg;
    int64_t now_ms;
    char transfer; /* its address stands for the request */
} world;

static world w;

static int64_t now_ms(void *ctx)
{
    (void)ctx;
    return w.now_ms;
}

static double uniform(void *ctx)
{
    (void)ctx;
    return 0.5;
}

static bool in_loop(void *ctx)
{
    (void)ctx;
    return true;
}

static tkx__timer *timer_new(void *ctx, tkx__task_fn *fn, void *arg)
{
    tkx__timer *t = calloc(1, sizeof *t);

    (void)ctx;
    if (!t)
        return NULL;
    *t = (tkx__timer){.fn = fn, .arg = arg, .next = w.timers};
    w.timers = t;
    return t;
}

static void timer_arm(void *ctx, tkx__timer *timer, int64_t delay_ms)
{
    (void)ctx;
    if (delay_ms < 0)
        abort();
    timer->is_armed = true;
}

static void timer_disarm(void *ctx, tkx__timer *timer)
{
    (void)ctx;
    timer->is_armed = false;
}

static void timer_free(void *ctx, tkx__timer *timer)
{
    (void)ctx;
    for (tkx__timer **at = &w.timers; timer && *at; at = &(*at)->next)
        if (*at == timer) {
            *at = timer->next;
            free(timer);
            return;
        }
}

static tkx__transfer *send_request(void *ctx, const tkx__request *request,
                                   tkx__reply_fn *fn, void *arg)
{
    (void)ctx;
    (void)request;
    if (w.reply)
        abort(); /* two polls of one promise */
    w.reply = fn;
    w.reply_arg = arg;
    return (tkx__transfer *)(void *)&w.transfer;
}

static void cancel(void *ctx, tkx__transfer *transfer)
{
    (void)ctx;
    (void)transfer;
    w.reply = NULL;
}

static bool post(void *ctx, tkx__task_fn *fn, void *arg)
{
    (void)ctx;
    if (w.n_tasks == MAX_TASKS)
        abort();
    w.tasks[w.n_tasks++] = (task){fn, arg};
    return true;
}

static bool work(void *ctx, tkx__task_fn *fn, tkx__task_fn *done, void *arg)
{
    return post(ctx, fn, arg) && post(ctx, done, arg);
}

static const tkx__io_ops ops = {
    .now_ms = now_ms,
    .now_us = now_ms,
    .wall_ms = now_ms,
    .uniform = uniform,
    .in_loop = in_loop,
    .timer_new = timer_new,
    .timer_arm = timer_arm,
    .timer_disarm = timer_disarm,
    .timer_free = timer_free,
    .send = send_request,
    .cancel = cancel,
    .post = post,
    .work = work,
    .run_user = work,
};

/* Run what is due; a timer that fires moves the clock. */
static void turn(void)
{
    for (int steps = 0; steps < 64; steps++) {
        tkx__timer *t = w.timers;

        if (w.n_tasks > 0) {
            task first = w.tasks[0];

            memmove(w.tasks, w.tasks + 1, --w.n_tasks * sizeof *w.tasks);
            first.fn(first.arg);
            continue;
        }
        while (t && !t->is_armed)
            t = t->next;
        if (!t)
            return;
        t->is_armed = false;
        w.now_ms += 1000;
        t->fn(t->arg);
    }
}

static void answer(const uint8_t *bytes, size_t n)
{
    static const int statuses[] = {200, 408, 400, 402, 410, 429, 500, 404, 200};
    static const tkx__header proto = {"content-type", "application/x-protobuf"};
    tkx__reply_fn *fn = w.reply;
    tkx__reply reply = {.http_status = statuses[n % (sizeof statuses / sizeof *statuses)],
                        .body_size = n};

    if (n && bytes[0] == '{')
        reply.http_status = 200;
    if (n && bytes[0] == '\n') {
        reply.headers = &proto;
        reply.n_headers = 1;
    }
    reply.body = n ? tkx__malloc(n + 1) : NULL;
    if (n && !reply.body)
        return;
    if (n) {
        memcpy(reply.body, bytes, n);
        reply.body[n] = '\0';
    }
    w.reply = NULL;
    fn(&reply, w.reply_arg);
    tkx__free(reply.body);
}

typedef struct waiter {
    int n_done;
    tkx__poll *poll;
} waiter;

static void *decode(const tkx__payload *payload, void *arg, tkx_error **err)
{
    (void)arg;
    (void)err;
    if (strlen(payload->bytes) > payload->size)
        abort();
    return tkx__strdup("x");
}

static volatile size_t sink; /* so that reads are not left out */

static void on_event(void *arg, const tkx__poll_event *event)
{
    (void)arg;
    sink += event->queue_state ? strlen(event->queue_state) : 0;
    sink += event->reason ? strlen(event->reason) : 0;
}

static void on_end(void *arg, void *result, tkx_error *error)
{
    waiter *who = arg;

    if (who->n_done++ || (!result && !error))
        abort();
    who->poll = NULL;
    tkx__free(result);
    tkx_error_free(error);
}

static void poll_through(tkx__site *site, const uint8_t *at, const uint8_t *end)
{
    tkx__poll_spec spec = {.what = "sample",
                           .request_id = "r:1",
                           .request_type = "Sample",
                           .wants_protobuf = true,
                           .seq_id = 7,
                           .roundtrip_us = 97500,
                           .decode = decode,
                           .free_result = tkx__free,
                           .on_event = on_event};
    waiter who = {0};

    if (tkx__poll_start(site, &spec, on_end, &who, &who.poll, NULL) != TKX_OK)
        return;
    turn();
    while (at < end && who.poll && w.reply) {
        const uint8_t *stop = memchr(at, 0, (size_t)(end - at));
        size_t n = (size_t)((stop ? stop : end) - at);

        answer(at, n);
        turn();
        at += n + (stop ? 1 : 0);
    }
    tkx__poll_cancel(who.poll);
    turn();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    tkx__site_options options = {.io = {&ops, NULL}, .base_url = "http://x"};
    tkx__site *site;

    w = (world){0};
    if (tkx__site_new(&options, &site, NULL) == TKX_OK) {
        poll_through(site, bytes, bytes + size);
        tkx__site_free(site);
    }
    if (w.timers || w.reply)
        abort();
    return 0;
}
