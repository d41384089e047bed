/* SPDX-License-Identifier: Apache-2.0 */
/*
 * training_forward.c - forward and forward_backward: plan chunks, encode each when its
 * turn comes, join the outputs.
 *
 * Datums are borrowed from the caller until all requests have gone out.  Bodies are
 * protobuf, read straight from those arrays, or JSON where a server reads only that.
 */
#include "client/forward_body.h"
#include "client/training.h"

#include "api/chunk.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/options.h"
#include "types/forward_backward.h"
#include "types/forward_backward_output.h"

typedef struct forward {
    tkx__task task;
    tkx_training *training;
    tkx_forward_backward_request request; /* of the whole call */
    tkx_forward_options options;
    tkx__chunk *chunks;
    size_t n_chunks;
    size_t n_bytes;
    uint64_t first;
    bool is_released; /* the user was told that the datums are not needed */
} forward;

/* --- encoding -------------------------------------------------------------------- */

/* Maybe on a worker: reads only what was set before the operation began. */
static tkx_status encode_chunk(void *arg, size_t i, int64_t seq_id,
                               tkx__encoding encoding, tkx__encoded *out, tkx_error **err)
{
    const forward *f = arg;
    tkx_forward_backward_request request = f->request;

    request.seq_id = seq_id;
    request.data = f->request.data + f->chunks[i].from;
    request.n_data = f->chunks[i].count;
    return tkx__forward_body_encode(&request, encoding, f->task.service->site, out, err);
}

static int64_t chunk_bytes(void *arg, size_t i)
{
    return (int64_t)((const forward *)arg)->chunks[i].bytes;
}

static void chunk_range(void *arg, size_t i, size_t *first, size_t *n)
{
    const forward *f = arg;

    *first = f->chunks[i].from;
    *n = f->chunks[i].count;
}

/* --- results --------------------------------------------------------------------- */

static void on_end(void *arg, void **results, size_t n, tkx_error *error)
{
    forward *f = arg;
    tkx_forward_backward_output *output = NULL;

    f->task.op = NULL;
    if (!error)
        tkx__forward_backward_output_join((tkx_forward_backward_output **)results, n,
                                          &output, &error);
    if (error)
        tkx__task_fail(&f->task, error);
    else
        tkx__task_succeed(&f->task, output);
}

/* All requests have gone out, or none of them will. */
static void on_submitted(void *arg)
{
    forward *f = arg;

    if (f->options.on_released && !f->is_released)
        f->options.on_released(f->options.user_data);
    f->is_released = true;
}

/* --- the call -------------------------------------------------------------------- */

static tkx_status start(tkx__task *task, tkx_error **err)
{
    forward *f = (forward *)task;
    bool is_backward = !f->request.is_forward_only;
    const tkx__operation_spec spec = {
        .what = is_backward ? "forward_backward" : "forward",
        .request_type = is_backward ? "ForwardBackward" : "Forward",
        .sdk_method =
            is_backward ? "TrainingClient.forward_backward" : "TrainingClient.forward",
        .lane = TKX__LANE_TRAIN,
        .n_parts = f->n_chunks,
        .is_parallel = task->service->site->config.parallel_fwdbwd_chunks,
        .has_protobuf = true,
        .encodes_on_worker = f->n_bytes > TKX__FORWARD_INLINE_BYTES,
        .part_range = chunk_range,
        .part_bytes = chunk_bytes,
        .encode = encode_chunk,
        .decode = tkx__forward_decode,
        .free_result = tkx__forward_free_output,
        .on_sending = tkx__task_on_sending,
        .on_event = tkx__task_on_event,
        .on_submitted = on_submitted,
        .recorder = tkx__training_recorder(f->training),
    };

    task->op = tkx__operation_new(task->service->site, &spec, on_end, f);
    if (!task->op)
        return tkx__fail_memory(err);
    if (task->is_cancelled)
        tkx__operation_detach(task->op);
    tkx__operation_start(task->op, &f->training->turns, f->first);
    return TKX_OK;
}

static void clear(tkx__task *task)
{
    forward *f = (forward *)task;

    if (task->has_begun)
        on_submitted(f);
    tkx__free(f->chunks);
    tkx_training_free(f->training);
}

static const tkx__task_kind forward_kind = {.result = &tkx__result_forward,
                                            .runs_cancelled = true,
                                            .start = start,
                                            .clear = clear};

static tkx_status run(tkx_training *t, const tkx_forward_backward_request *request,
                      const tkx_forward_options *options, tkx_future **out,
                      tkx_error **err)
{
    const tkx__config *config = &t->service->site->config;
    tkx_forward_options o = TKX_FORWARD_OPTIONS_INIT;
    tkx__chunk *chunks = NULL;
    tkx__task *task;
    size_t n = 0;

    tkx_status st =
        tkx__options_overlay(&o, sizeof o, options, "tkx_forward_options", err);
    if (st == TKX_OK && (!request->loss.name || !*request->loss.name))
        st = tkx__fail(err, TKX_ERR_INVALID_ARGUMENT, "no loss function is named");
    if (st == TKX_OK)
        st = tkx__chunk_plan(request->data, request->n_data,
                             (size_t)config->fwdbwd_max_chunk_bytes,
                             (size_t)config->fwdbwd_max_chunk_len, &chunks, &n, err);
    if (st == TKX_OK && !t->service->site->no_protobuf)
        st = tkx__data_refuse_pointers(request->data, request->n_data, err);
    if (st == TKX_OK)
        st = tkx__task_new(t->service, &forward_kind, sizeof(forward), &task, out, err);
    if (st != TKX_OK) {
        tkx__free(chunks);
        return st;
    }
    forward *f = (forward *)task;
    task->timeout_ms = o.timeout_ms;
    f->training = tkx__training_ref(t);
    f->request = *request;
    f->request.model_id = t->model_id;
    f->request.loss.settings = o.settings;
    f->request.loss.n_settings = o.n_settings;
    f->options = o;
    f->chunks = chunks;
    f->n_chunks = n;
    for (size_t i = 0; i < n; i++)
        f->n_bytes += chunks[i].bytes;
    st = tkx__training_reserve(t, task->future, request->data, request->n_data,
                               request->is_forward_only, !request->is_forward_only, err);
    if (st != TKX_OK) {
        tkx__task_drop(task, out);
        return st;
    }
    return tkx__training_launch(t, n, &f->first, task, out, err);
}

tkx_status tkx_training_forward_backward(tkx_training *training, const tkx_datum *data,
                                         size_t n_data, const char *loss_fn,
                                         const tkx_forward_options *options,
                                         tkx_future **out, tkx_error **err)
{
    const tkx_forward_backward_request request = {
        .loss = {.name = loss_fn}, .data = data, .n_data = n_data};

    return run(training, &request, options, out, err);
}

tkx_status tkx_training_forward(tkx_training *training, const tkx_datum *data,
                                size_t n_data, const char *loss_fn,
                                const tkx_forward_options *options, tkx_future **out,
                                tkx_error **err)
{
    const tkx_forward_backward_request request = {.is_forward_only = true,
                                                  .loss = {.name = loss_fn},
                                                  .data = data,
                                                  .n_data = n_data};

    return run(training, &request, options, out, err);
}

tkx_status tkx_future_take_forward_backward(tkx_future *future,
                                            tkx_forward_backward_output **out,
                                            tkx_error **err)
{
    void *result;
    tkx_status st = tkx__future_take(future, &tkx__result_forward, &result, err);

    if (st == TKX_OK)
        *out = result;
    return st;
}
