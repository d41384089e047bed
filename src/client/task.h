/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client/task.h - an operation with the future that its caller holds.
 *
 * Embedded first in the struct of each kind of call.  The task lives from the call to the
 * end of its operation, which may be later than the end of its future: a cancelled
 * training call is still submitted.
 */
#ifndef TKX_CLIENT_TASK_H
#define TKX_CLIENT_TASK_H

#include "api/exchange.h"
#include "api/operation.h"
#include "client/service.h"

typedef struct tkx__task tkx__task;

typedef struct tkx__task_kind {
    const tkx__result_type *result;
    bool runs_cancelled; /* its number is drawn: it goes out even if nobody waits */
    /* On the loop thread, when the session is live: go on to an operation (op) or an
       exchange.  On failure the task fails with err, and its numbers pass unused. */
    tkx_status (*start)(tkx__task *task, tkx_error **err);
    /* Free what the kind owns; the task's own memory is freed afterwards. */
    void (*clear)(tkx__task *task);
} tkx__task_kind;

struct tkx__task {
    const tkx__task_kind *kind;
    tkx_future *future; /* our reference */
    tkx_service *service;
    tkx__ready_wait ready;
    tkx__operation *op;
    /* Numbers that were drawn for it, n_ids of them; turns NULL: none. */
    tkx__turns *turns;
    uint64_t first_id, n_ids;
    struct { /* of a task that could not start, until they have passed */
        tkx__op base;
        tkx__turn_wait turn;
    } skip;
    bool is_cancelled;
    bool has_begun;     /* the call has been made: what is told at its end is told */
    int64_t timeout_ms; /* from the call; 0: the context's */
};

/* A zeroed task of size bytes, its future with two references (ours and *out). */
tkx_status tkx__task_new(tkx_service *service, const tkx__task_kind *kind, size_t size,
                         tkx__task **out, tkx_future **future, tkx_error **err);
/* One that was never launched: both references to its future go, *future is NULL. */
void tkx__task_drop(tkx__task *task, tkx_future **future);

/* Post its start.  On failure it is dropped as above. */
tkx_status tkx__task_launch(tkx__task *task, tkx_future **future, tkx_error **err);
/* The posted part alone: a task_fn for callers that post themselves. */
void tkx__task_begin(void *task);

/* The end: the task is gone afterwards.  result and error are taken. */
void tkx__task_succeed(tkx__task *task, void *result);
void tkx__task_fail(tkx__task *task, tkx_error *error);

/* An answer_fn for exchanges whose answer is the task's result.  arg is the task. */
void tkx__task_on_answer(void *task, void *result, tkx_error *error);

/* Hooks for operation specs: progress into the future.  arg is the task. */
void tkx__task_on_sending(void *task, size_t bytes);
void tkx__task_on_event(void *task, const tkx__poll_event *event);
/* The same for a bare future. */
void tkx__note_event(tkx_service *service, tkx_future *future,
                     const tkx__poll_event *event);

#endif
