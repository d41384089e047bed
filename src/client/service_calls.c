/* SPDX-License-Identifier: Apache-2.0 */
/*
 * service_calls.c - what can be asked of a service itself.
 */
#include "client/task.h"

#include "base/error.h"
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

static void *decode_capabilities(const tkx__payload *payload, void *arg, tkx_error **err)
{
    tkx_server_capabilities *result = NULL;

    (void)arg;
    tkx__server_capabilities_decode_json(payload->bytes, payload->size, &result, err);
    return result;
}

static void free_capabilities(void *result)
{
    tkx_server_capabilities_free(result);
}

static const tkx__result_type capabilities_type = {"server capabilities",
                                                   free_capabilities};

static void on_capabilities(void *arg, void *result, tkx_error *error)
{
    tkx__task *task = arg;

    task->exchange = NULL;
    if (error)
        tkx__task_fail(task, error);
    else
        tkx__task_succeed(task, result);
}

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
                 .max_reply_bytes = (size_t)16 << 20},
        .decode = decode_capabilities,
        .free_result = free_capabilities,
    };

    return tkx__exchange_start(task->service->site, &spec, on_capabilities, task,
                               &task->exchange, err);
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

tkx_status tkx_future_take_capabilities(tkx_future *future, tkx_server_capabilities **out,
                                        tkx_error **err)
{
    void *result;
    tkx_status st = tkx__future_take(future, &capabilities_type, &result, err);

    if (st == TKX_OK)
        *out = result;
    return st;
}
