/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rest_loop.c - request, look, maybe wait, again.
 *
 * While a request is under way the exchange is told when the site closes; while the timer
 * runs the loop itself is.
 */
#include "client/rest_loop.h"

#include "base/error.h"

#define MAX_PATH_BYTES ((size_t)16 << 10)
#define MAX_BODY_BYTES ((size_t)1 << 20)
#define MAX_ANSWER_BYTES ((size_t)64 << 20)

static tkx_status ask(tkx__rest_loop *l, tkx_error **err);

/* The user has given up: what he left to be told may be gone. */
static bool has_no_audience(const tkx__rest_loop *l)
{
    return tkx_future_is_done(l->task.future) || tkx__future_is_cancelled(l->task.future);
}

static void go_on(void *arg)
{
    tkx__rest_loop *l = arg;
    tkx_error *error = NULL;

    tkx__op_unregister(l->task.service->site, &l->op);
    if (has_no_audience(l))
        tkx__task_succeed(&l->task, NULL);
    else if (ask(l, &error) != TKX_OK)
        tkx__task_fail(&l->task, error);
}

static tkx__rest_loop *loop_of(tkx__op *op)
{
    return (tkx__rest_loop *)(void *)((char *)op - offsetof(tkx__rest_loop, op));
}

static void on_closed(tkx__op *op)
{
    tkx__rest_loop *l = loop_of(op);
    tkx_error *error = NULL;

    tkx__fail(&error, TKX_ERR_CLOSED, "%s: the client was closed before the end",
              l->kind->route->what);
    tkx__task_fail(&l->task, error);
}

static tkx_status wait_a_while(tkx__rest_loop *l, int64_t delay_ms, tkx_error **err)
{
    tkx__site *site = l->task.service->site;

    if (!l->timer)
        l->timer = site->io.ops->timer_new(site->io.ctx, go_on, l);
    if (!l->timer)
        return tkx__fail_memory(err);
    tkx__op_register(site, &l->op, on_closed);
    site->io.ops->timer_arm(site->io.ctx, l->timer, delay_ms);
    return TKX_OK;
}

static void on_answer(void *arg, void *answer, tkx_error *error)
{
    tkx__rest_loop *l = arg;
    void *result = NULL;
    int64_t delay = -1;

    if (!error && !has_no_audience(l))
        delay = l->kind->look(l, &answer, &result, &error);
    if (answer)
        l->kind->route->result->free_fn(answer);
    if (!error && delay >= 0 && wait_a_while(l, delay, &error) == TKX_OK)
        return;
    if (error)
        tkx__task_fail(&l->task, error);
    else
        tkx__task_succeed(&l->task, result);
}

static tkx_status ask(tkx__rest_loop *l, tkx_error **err)
{
    const tkx__rest_route *route = l->kind->route;
    tkx__buf body;

    tkx__buf_init(&body, MAX_BODY_BYTES);
    tkx__buf_reset(&l->path);
    tkx_status st = l->kind->write(l, &l->path, &body, err);
    if (st != TKX_OK) {
        tkx__buf_clear(&body);
        return st;
    }
    const tkx__exchange_call spec = {
        .call = {.what = route->what,
                 .method = route->method,
                 .route = tkx__buf_text(&l->path),
                 .lane = TKX__LANE_REST,
                 .sdk_method = route->sdk_method,
                 .seq_id = -1,
                 .max_retries = TKX__INNER_RETRIES,
                 .is_outer = true,
                 .max_reply_bytes = MAX_ANSWER_BYTES},
        .body = body.size ? &body : NULL,
        .decode = route->decode,
    };
    st = tkx__exchange_start(l->task.service->site, &spec, on_answer, l, err);
    tkx__buf_clear(&body);
    return st;
}

static tkx_status start(tkx__task *task, tkx_error **err)
{
    return ask((tkx__rest_loop *)task, err);
}

static void clear(tkx__task *task)
{
    tkx__rest_loop *l = (tkx__rest_loop *)task;
    const tkx__io *io = task->service->io;

    if (l->timer)
        io->ops->timer_free(io->ctx, l->timer);
    tkx__buf_clear(&l->path);
    if (l->kind->clear)
        l->kind->clear(l);
}

tkx_status tkx__rest_loop_new(tkx_rest *rest, const tkx__rest_loop_kind *kind,
                              size_t size, tkx__rest_loop **loop, tkx_future **out,
                              tkx_error **err)
{
    const tkx__task_kind task_kind = {
        .result = kind->result, .start = start, .clear = clear};
    tkx__task *task;
    tkx_status st = tkx__rest_may_send(rest, kind->route, err);

    if (st == TKX_OK)
        st = tkx__task_new(rest->service, &task_kind, size, &task, out, err);
    if (st != TKX_OK)
        return st;
    tkx__rest_loop *l = (tkx__rest_loop *)task;
    l->task_kind = task_kind; /* lives as long as the task */
    task->kind = &l->task_kind;
    l->kind = kind;
    tkx__buf_init(&l->path, MAX_PATH_BYTES);
    *loop = l;
    return TKX_OK;
}
