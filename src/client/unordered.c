/* SPDX-License-Identifier: Apache-2.0 */
/* unordered.c - unload_model, create_custom_loss: a submit and its promise, no turn. */
#include "client/unordered.h"

#include "api/seq_body.h"
#include "base/error.h"

#define MAX_BODY ((size_t)16 << 20)

typedef struct unordered {
    tkx__task task; /* first */
    tkx__task_kind kind;
    const tkx__unordered_spec *spec;
    tkx__seq_body body;
    tkx__buf encoded;
    void *arg;
} unordered;

static tkx_status encode(void *arg, size_t i, int64_t seq_id, tkx__encoding encoding,
                         tkx__encoded *out, tkx_error **err)
{
    unordered *u = arg;

    (void)i, (void)encoding;
    return tkx__seq_body_encode(&u->body, u->spec->route, seq_id, out, err);
}

static void *decode_nothing(const tkx__payload *payload, void *arg, tkx_error **err)
{
    static char something;

    (void)payload, (void)arg, (void)err;
    return &something;
}

static void keep_nothing(void *result)
{
    (void)result;
}

static void on_end(void *arg, void **results, size_t n, tkx_error *error)
{
    unordered *u = arg;

    (void)n;
    u->task.op = NULL;
    if (error && u->spec->is_optional && tkx_error_http_status(error) == 404) {
        tkx_error_free(error);
        tkx__task_succeed(&u->task, NULL);
    } else if (error) {
        tkx__task_fail(&u->task, error);
    } else {
        tkx__task_succeed(&u->task, u->spec->decode ? results[0] : NULL);
    }
}

static tkx_status start(tkx__task *task, tkx_error **err)
{
    unordered *u = (unordered *)task;
    const tkx__unordered_spec *s = u->spec;
    const tkx__operation_spec spec = {
        .what = s->what,
        .request_type = s->request_type,
        .sdk_method = s->sdk_method,
        .lane = TKX__LANE_TRAIN,
        .n_parts = 1,
        .encode = encode,
        .decode = s->decode ? s->decode : decode_nothing,
        .free_result = s->decode ? s->free_result : keep_nothing,
        .on_sending = tkx__task_on_sending,
        .on_event = tkx__task_on_event,
    };
    tkx_status st = s->write ? s->write(u->arg, task->service, &u->encoded, err) : TKX_OK;

    if (st == TKX_OK)
        st = tkx__seq_body_init(&u->body, &u->encoded, err);
    if (st != TKX_OK)
        return st;
    task->op = tkx__operation_new(task->service->site, &spec, on_end, task);
    if (!task->op)
        return tkx__fail_memory(err);
    tkx__operation_start(task->op, NULL, 0);
    return TKX_OK;
}

static void clear(tkx__task *task)
{
    unordered *u = (unordered *)task;

    tkx__seq_body_clear(&u->body);
    tkx__buf_clear(&u->encoded);
    if (u->spec->free_arg)
        u->spec->free_arg(u->arg);
}

tkx_status tkx__unordered_run(tkx_service *service, const tkx__unordered_spec *spec,
                              tkx__buf *encoded, void *arg, int64_t timeout_ms,
                              tkx_future **out, tkx_error **err)
{
    const tkx__task_kind kind = {.result = spec->result, .start = start, .clear = clear};
    tkx__task *task;
    tkx_status st = tkx__task_new(service, &kind, sizeof(unordered), &task, out, err);

    if (st != TKX_OK) {
        if (encoded)
            tkx__buf_clear(encoded);
        if (spec->free_arg)
            spec->free_arg(arg);
        return st;
    }
    unordered *u = (unordered *)task;
    u->kind = kind; /* lives as long as the task */
    task->kind = &u->kind;
    task->timeout_ms = timeout_ms;
    u->spec = spec;
    u->arg = arg;
    if (encoded) {
        u->encoded = *encoded;
        tkx__buf_init(encoded, 0);
    } else {
        tkx__buf_init(&u->encoded, MAX_BODY);
    }
    return tkx__task_launch(task, out, err);
}
