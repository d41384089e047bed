/* SPDX-License-Identifier: Apache-2.0 */
/*
 * task.c - from a public call to its future: wait for the session, run, complete.
 */
#include "client/task.h"

#include <stddef.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "client/spending.h"

/* --- progress -------------------------------------------------------------------- */

static tkx_queue_state queue_state_of(const char *text)
{
    if (!text)
        return TKX_QUEUE_STATE_UNKNOWN;
    if (strcmp(text, "active") == 0)
        return TKX_QUEUE_STATE_ACTIVE;
    if (strcmp(text, "paused_rate_limit") == 0)
        return TKX_QUEUE_STATE_PAUSED_RATE_LIMIT;
    if (strcmp(text, "paused_capacity") == 0)
        return TKX_QUEUE_STATE_PAUSED_CAPACITY;
    return TKX_QUEUE_STATE_UNKNOWN;
}

static void note_queue(tkx_service *service, tkx_future *f, const tkx__poll_event *e)
{
    tkx_queue_state state = queue_state_of(e->queue_state);
    const tkx_service_options *o = &service->options;

    tkx__future_note_queue(f, state, e->reason);
    if (o->on_queue && (state != TKX_QUEUE_STATE_UNKNOWN || e->reason || e->is_stated))
        o->on_queue(f, state, e->reason, o->user_data);
}

void tkx__note_event(tkx_service *service, tkx_future *f, const tkx__poll_event *e)
{
    switch (e->kind) {
    case TKX__POLL_ROUND:
        tkx__future_note_poll(f);
        tkx__future_note_state(f, TKX_FUTURE_WAITING, 0);
        break;
    case TKX__POLL_ANSWER:
        tkx__future_note_received(f, e->bytes);
        break;
    case TKX__POLL_QUEUE:
        note_queue(service, f, e);
        break;
    case TKX__POLL_BACKOFF:
        tkx__future_note_state(f, TKX_FUTURE_BACKING_OFF, e->http_status);
        break;
    case TKX__POLL_PAUSED:
        tkx__future_note_state(f, TKX_FUTURE_PAUSED, e->http_status);
        break;
    case TKX__POLL_FETCHING:
        tkx__future_note_state(f, TKX_FUTURE_FETCHING, 0);
        break;
    }
}

void tkx__task_on_sending(void *arg, size_t bytes)
{
    tkx__task *task = arg;

    tkx__future_set_cancel_mode(task->future, TKX__CANCEL_DETACH);
    tkx__future_note_attempt(task->future, bytes);
    tkx__future_note_state(task->future, TKX_FUTURE_SUBMITTING, 0);
}

void tkx__task_on_event(void *arg, const tkx__poll_event *event)
{
    tkx__task *task = arg;

    tkx__note_event(task->service, task->future, event);
}

/* --- life ------------------------------------------------------------------------ */

static void free_task(tkx__task *task)
{
    tkx_service *service = task->service;

    tkx__spending_drop(service->context, task->future);
    tkx__future_forget_owner(task->future);
    tkx_future_unref(task->future);
    if (task->kind->clear)
        task->kind->clear(task);
    tkx__free(task);
    tkx__service_unref(service);
}

/* The user gives up.  The operation goes its way (operation.h); the future completes by
   itself right after this. */
static void on_end(tkx_future *future, tkx_status reason, void *arg)
{
    tkx__task *task = arg;

    (void)future;
    if (reason != TKX_ERR_CANCELLED)
        return; /* the site's closing ends the operation */
    task->is_cancelled = true;
    if (task->op)
        tkx__operation_detach(task->op);
}

tkx_status tkx__task_new(tkx_service *service, const tkx__task_kind *kind, size_t size,
                         tkx__task **out, tkx_future **future, tkx_error **err)
{
    tkx__task *task = tkx__calloc(1, size);

    if (!task)
        return tkx__fail_memory(err);
    tkx_error *error = NULL;
    task->kind = kind;
    task->future = tkx__future_new(service->context, kind->result, on_end, task, &error);
    if (!task->future) {
        tkx_status st = error ? tkx_error_status(error) : TKX_ERR_NO_MEMORY;
        tkx__free(task);
        tkx__fail_with(err, error);
        return st;
    }
    task->service = tkx__service_ref(service);
    *future = tkx_future_ref(task->future);
    *out = task;
    return TKX_OK;
}

void tkx__task_drop(tkx__task *task, tkx_future **future)
{
    tkx_error *error = NULL;

    tkx__fail(&error, TKX_ERR_CANCELLED, "the call failed");
    tkx__future_fail(task->future, &error); /* takes it off the context's list */
    tkx_future_unref(*future);
    *future = NULL;
    free_task(task);
}

void tkx__task_succeed(tkx__task *task, void *result)
{
    tkx__spending_use(task->service->context, task->future, NULL);
    tkx__future_succeed(task->future, result);
    free_task(task);
}

void tkx__task_fail(tkx__task *task, tkx_error *error)
{
    tkx__service_note_failure(task->service, task->kind->result->name, error);
    tkx__future_fail(task->future, &error);
    free_task(task);
}

void tkx__task_on_answer(void *arg, void *result, tkx_error *error)
{
    tkx__task *task = arg;

    if (error)
        tkx__task_fail(task, error);
    else
        tkx__task_succeed(task, result);
}

/* The numbers of a task that could not start are free for the next one. */
static void pass_unused(void *arg)
{
    tkx__task *task = arg;

    tkx__op_unregister(task->service->site, &task->skip.base);
    tkx__turns_pass(task->turns, task->first_id, task->n_ids, task->n_ids);
    free_task(task);
}

static void abort_skip(tkx__op *base)
{
    tkx__task *task =
        (tkx__task *)(void *)((char *)base - offsetof(tkx__task, skip.base));

    tkx__turns_leave(task->turns, &task->skip.turn);
    free_task(task);
}

/* It has not become an operation: its future fails now, its numbers pass in their
   turn. */
static void fail_start(tkx__task *task, tkx_error *error)
{
    tkx__future_fail(task->future, &error);
    if (!task->turns || task->service->site->is_closed) {
        free_task(task);
        return;
    }
    tkx__op_register(task->service->site, &task->skip.base, abort_skip);
    if (tkx__turns_take(task->turns, &task->skip.turn, task->first_id, pass_unused, task))
        pass_unused(task);
}

static void on_ready(void *arg, const tkx_error *why)
{
    tkx__task *task = arg;
    tkx_error *error = why ? tkx__error_copy(why) : NULL;

    if (!why && task->is_cancelled && !task->kind->runs_cancelled)
        fail_start(task, NULL); /* its future has completed */
    else if (why || task->kind->start(task, &error) != TKX_OK)
        fail_start(task, error);
}

void tkx__task_begin(void *arg)
{
    tkx__task *task = arg;

    task->has_begun = true;
    tkx__context_watch(task->service->context);
    if (!tkx__future_limit(task->future, task->timeout_ms)) {
        tkx_error *error = NULL;
        tkx__fail_memory(&error);
        tkx__future_give_up(task->future, &error);
    }
    tkx__service_when_ready(task->service, &task->ready, on_ready, task);
}

tkx_status tkx__task_launch(tkx__task *task, tkx_future **future, tkx_error **err)
{
    tkx_status st = tkx__service_post(task->service, tkx__task_begin, task, err);

    if (st != TKX_OK)
        tkx__task_drop(task, future);
    return st;
}
