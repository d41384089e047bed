/* SPDX-License-Identifier: Apache-2.0 */
/*
 * training_unload.c - tell an older server to drop a model from its memory.
 *
 * The request has no number, so it stands outside of the order of operations.  Newer
 * services do without the route: 404 means that there is nothing to be told.
 */
#include "base/error.h"
#include "client/training.h"
#include "types/model.h"

#define MAX_BODY ((size_t)64 << 10)

typedef struct unload {
    tkx__task task;
    tkx_training *training;
    tkx__seq_body body;
} unload;

static tkx_status encode(void *arg, size_t i, int64_t seq_id, tkx__encoding encoding,
                         tkx__encoded *out, tkx_error **err)
{
    unload *u = arg;

    (void)i, (void)encoding;
    return tkx__seq_body_encode(&u->body, "unload_model", seq_id, out, err);
}

/* Whatever it says: the future has no result. */
static void *decode(const tkx__payload *payload, void *arg, tkx_error **err)
{
    static char something;

    (void)payload, (void)arg, (void)err;
    return &something;
}

static void keep(void *result)
{
    (void)result;
}

static void on_end(void *arg, void **results, size_t n, tkx_error *error)
{
    unload *u = arg;

    (void)results, (void)n;
    u->task.op = NULL;
    if (error && tkx_error_http_status(error) != 404) {
        tkx__task_fail(&u->task, error);
        return;
    }
    tkx_error_free(error);
    tkx__task_succeed(&u->task, NULL);
}

static tkx_status start(tkx__task *task, tkx_error **err)
{
    const tkx__operation_spec spec = {
        .what = "unload_model",
        .request_type = "UnloadModel",
        .sdk_method = "TrainingClient.unload_model",
        .lane = TKX__LANE_TRAIN,
        .n_parts = 1,
        .encode = encode,
        .decode = decode,
        .free_result = keep,
        .on_sending = tkx__task_on_sending,
        .on_event = tkx__task_on_event,
    };

    task->op = tkx__operation_new(task->service->site, &spec, on_end, task);
    if (!task->op)
        return tkx__fail_memory(err);
    tkx__operation_start(task->op, NULL, 0);
    return TKX_OK;
}

static void clear(tkx__task *task)
{
    unload *u = (unload *)task;

    tkx__seq_body_clear(&u->body);
    tkx_training_free(u->training);
}

tkx_status tkx_training_unload(tkx_training *training, tkx_future **out, tkx_error **err)
{
    static const tkx__task_kind kind = {
        .result = &tkx__result_nothing, .start = start, .clear = clear};
    tkx__task *task;
    tkx__seq_body body;
    tkx__buf buf;

    tkx__buf_init(&buf, MAX_BODY);
    tkx_status st =
        tkx__model_id_encode_json(training->model_id, "unload_model", &buf, err);
    if (st != TKX_OK) {
        tkx__buf_clear(&buf);
        return st;
    }
    st = tkx__seq_body_init(&body, &buf, err);
    if (st != TKX_OK)
        return st;
    st = tkx__task_new(training->service, &kind, sizeof(unload), &task, out, err);
    if (st != TKX_OK) {
        tkx__seq_body_clear(&body);
        return st;
    }
    ((unload *)task)->training = tkx__training_ref(training);
    ((unload *)task)->body = body;
    return tkx__task_launch(task, out, err);
}
