/* SPDX-License-Identifier: Apache-2.0 */
/*
 * service_calls.c - what can be asked of a service itself.
 */
#include "client/task.h"

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/record.h"
#include "types/service.h"

static tkx_status started(tkx__task *task, tkx_error **err)
{
    (void)err;
    tkx__task_succeed(task, NULL);
    return TKX_OK;
}

tkx_status tkx_service_start(tkx_service *service, tkx_future **out, tkx_error **err)
{
    static const tkx__task_kind kind = {.result = &tkx__result_nothing, .start = started};
    tkx__task *task;
    tkx_status st = tkx__task_new(service, &kind, sizeof *task, &task, out, err);

    return st == TKX_OK ? tkx__task_launch(task, out, err) : st;
}

TKX__RECORD_CODEC(server_capabilities);

static const tkx__result_type capabilities_type = {"server capabilities",
                                                   free_server_capabilities};

static tkx_status ask_capabilities(tkx__task *task, tkx_error **err)
{
    const tkx__exchange_call spec = {
        .call = {.what = "get_server_capabilities",
                 .method = "GET",
                 .route = "get_server_capabilities",
                 .lane = TKX__LANE_REST,
                 .sdk_method = "ServiceClient.get_server_capabilities",
                 .seq_id = -1,
                 .max_retries = TKX__INNER_RETRIES,
                 .is_outer = true,
                 .max_reply_bytes = (size_t)16 << 20},
        .decode = decode_server_capabilities,
    };

    return tkx__exchange_start(task->service->site, &spec, tkx__task_on_answer, task,
                               err);
}

tkx_status tkx_service_get_capabilities(tkx_service *service, tkx_future **out,
                                        tkx_error **err)
{
    static const tkx__task_kind kind = {.result = &capabilities_type,
                                        .start = ask_capabilities};
    tkx__task *task;
    tkx_status st = tkx__task_new(service, &kind, sizeof *task, &task, out, err);

    return st == TKX_OK ? tkx__task_launch(task, out, err) : st;
}

TKX__RECORD_TAKE(tkx_future_take_capabilities, server_capabilities, capabilities_type);

/* --- finish ---------------------------------------------------------------------- */

typedef struct finish_task {
    tkx__op op; /* the site's closing ends it */
    tkx__task *task;
    const char *reason;
    char *detail;
} finish_task;

typedef struct finish_call {
    tkx__task task; /* first */
    finish_task finish;
} finish_call;

static void end_finish(finish_call *c, const tkx_error *error)
{
    tkx__op_unregister(c->task.service->site, &c->finish.op);
    if (error)
        tkx__task_fail(&c->task, tkx__error_copy(error));
    else
        tkx__task_succeed(&c->task, NULL);
}

static void on_finish_said(void *arg, const tkx_error *error)
{
    end_finish(arg, error);
}

static void abort_finish(tkx__op *op)
{
    finish_task *f = (finish_task *)op;
    tkx_error *error = NULL;

    tkx__fail(&error, TKX_ERR_CLOSED, "finish: the context was closed");
    tkx__task_fail(f->task, error);
}

/* No session, or one that is over or not ours: nobody needs to know. */
static void begin_finish(void *arg)
{
    finish_call *c = arg;
    tkx__session *session = c->task.service->loop.session;

    tkx__op_register(c->task.service->site, &c->finish.op, abort_finish);
    if (!session || !tkx__session_finish(session, c->finish.reason, c->finish.detail, 0,
                                         on_finish_said, c))
        end_finish(c, NULL);
}

static void clear_finish(tkx__task *task)
{
    tkx__free(((finish_call *)task)->finish.detail);
}

tkx_status tkx_service_finish(tkx_service *service, tkx_finish_reason reason,
                              const char *detail, tkx_future **out, tkx_error **err)
{
    static const tkx__task_kind kind = {.result = &tkx__result_nothing,
                                        .clear = clear_finish};
    static const char *const reasons[] = {"success", "errored", "interrupted"};
    tkx__task *task;

    if ((unsigned)reason > TKX_FINISH_INTERRUPTED)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT, "finish: unknown reason %d",
                         (int)reason);
    tkx_status st = tkx__task_new(service, &kind, sizeof(finish_call), &task, out, err);
    if (st != TKX_OK)
        return st;
    finish_call *c = (finish_call *)task;
    c->finish.task = task;
    c->finish.reason = reasons[reason];
    c->finish.detail = detail ? tkx__strdup(detail) : NULL;
    st = detail && !c->finish.detail ? tkx__fail_memory(err)
                                     : tkx__service_post(service, begin_finish, c, err);
    if (st != TKX_OK)
        tkx__task_drop(task, out);
    return st;
}
