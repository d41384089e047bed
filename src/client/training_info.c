/* SPDX-License-Identifier: Apache-2.0 */
/* training_info.c - get_info: what the service says about a model. */
#include "client/record.h"
#include "client/training_create.h"
#include "types/model.h"

#define MAX_BODY ((size_t)16 << 20)

TKX__RECORD_CODEC(model_info);

static const tkx__result_type info_type = {"model info", free_model_info};

tkx_status tkx__get_info(tkx__task *task, const char *model_id, const char *sdk_method,
                         tkx__answer_fn *fn, tkx_error **err)
{
    tkx__buf body;

    tkx__buf_init(&body, MAX_BODY);
    tkx_status st = tkx__model_id_encode_json(model_id, "get_info", &body, err);
    if (st != TKX_OK) {
        tkx__buf_clear(&body);
        return st;
    }
    const tkx__exchange_call spec = {
        .call = {.what = "get_info",
                 .route = "get_info",
                 .lane = TKX__LANE_REST,
                 .sdk_method = sdk_method,
                 .seq_id = -1,
                 .max_retries = TKX__INNER_RETRIES,
                 .is_outer = true},
        .body = &body,
        .decode = decode_model_info,
    };
    return tkx__exchange_start(task->service->site, &spec, fn, task, err);
}

typedef struct info_task {
    tkx__task task;
    tkx_training *training;
} info_task;

static tkx_status start_info(tkx__task *task, tkx_error **err)
{
    return tkx__get_info(task, ((info_task *)task)->training->model_id,
                         "TrainingClient.get_info", tkx__task_on_answer, err);
}

static void clear_info(tkx__task *task)
{
    tkx_training_free(((info_task *)task)->training);
}

static const tkx__task_kind info_kind = {
    .result = &info_type, .start = start_info, .clear = clear_info};

tkx_status tkx_training_get_info(tkx_training *training, int64_t timeout_ms,
                                 tkx_future **out, tkx_error **err)
{
    tkx__task *task;
    tkx_status st =
        tkx__task_new(training->service, &info_kind, sizeof(info_task), &task, out, err);

    if (st != TKX_OK)
        return st;
    ((info_task *)task)->training = tkx__training_ref(training);
    task->timeout_ms = timeout_ms;
    return tkx__task_launch(task, out, err);
}

TKX__RECORD_TAKE(tkx_future_take_model_info, model_info, info_type);
