/* SPDX-License-Identifier: Apache-2.0 */
/*
 * training_custom.c - a loss that is computed here, between two passes.
 *
 *     FORWARD (numbers 1..n) --logprobs--> LOSS (user's function) --gradient-->
 *        |                                  |          BACKWARD (numbers n+1..2n) -> done
 *        +--failed, given up----------------+--failed--> FILL (n+1..2n) --> the error
 *
 * Both blocks of numbers are drawn as one, so the second may not be left out: FILL sends
 * a forward pass over the shortest datum under each number of it.  The passes have the
 * same cuts, whatever the gradients add to a request's size.
 */
#include <math.h>
#include <string.h>

#include "api/chunk.h"
#include "base/arena.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/options.h"
#include "client/custom_report.h"
#include "client/forward_body.h"
#include "client/training.h"
#include "types/datum.h"
#include "types/forward_backward_output.h"

#define MAX_ARENA (SIZE_MAX / 4)

typedef enum pass_kind { PASS_FORWARD, PASS_BACKWARD, PASS_FILL } pass_kind;

/* The two loss inputs that the service sees. */
typedef struct inputs {
    tkx_named_tensor target, weights;
} inputs;

typedef struct custom {
    tkx__task task;
    tkx_training *training;
    const tkx_datum *given; /* the caller's */
    tkx_custom_loss_fn *fn;
    void *user_data;
    tkx_custom_loss_options options;
    tkx__arena arena;
    tkx_datum *data; /* [n_data], as sent */
    inputs *inputs;  /* [n_data] */
    size_t n_data;
    tkx__chunk *chunks;
    size_t n_chunks, n_bytes;
    size_t shortest; /* datum of the fill */
    uint64_t first;
    pass_kind pass;
    tkx_forward_backward_output *forward;
    tkx_custom_item *items; /* [n_data] */
    int result;             /* of the function */
    tkx_custom_report report;
    tkx_error *error; /* why there is no backward pass */
} custom;

/* --- a pass ---------------------------------------------------------------------- */

/* Maybe on a worker: reads only what was set before the pass began. */
static tkx_status encode(void *arg, size_t i, int64_t seq_id, tkx__encoding encoding,
                         tkx__encoded *out, tkx_error **err)
{
    const custom *c = arg;
    tkx_forward_backward_request request = {
        .model_id = c->training->model_id,
        .seq_id = seq_id,
        .is_forward_only = c->pass != PASS_BACKWARD,
        .loss = {.name = TKX_LOSS_CROSS_ENTROPY},
        .data = c->data + c->chunks[i].from,
        .n_data = c->chunks[i].count,
    };

    if (c->pass == PASS_FILL) {
        request.data = &c->data[c->shortest];
        request.n_data = 1;
    }
    return tkx__forward_body_encode(&request, encoding, c->task.service->site, out, err);
}

static int64_t part_bytes(void *arg, size_t i)
{
    const custom *c = arg;

    return c->pass == PASS_FILL ? 0 : (int64_t)c->chunks[i].bytes;
}

static void part_range(void *arg, size_t i, size_t *first, size_t *n)
{
    const custom *c = arg;

    *first = c->chunks[i].from;
    *n = c->chunks[i].count;
}

static tkx_status begin_pass(custom *c, pass_kind pass, tkx__operation_fn *fn,
                             tkx_error **err)
{
    tkx__site *site = c->task.service->site;
    const tkx__operation_spec spec = {
        .what = pass == PASS_BACKWARD ? "forward_backward" : "forward",
        .request_type = pass == PASS_BACKWARD ? "ForwardBackward" : "Forward",
        .sdk_method = "TrainingClient.forward_backward_custom",
        .lane = TKX__LANE_TRAIN,
        .n_parts = c->n_chunks,
        .is_parallel = site->config.parallel_fwdbwd_chunks && pass != PASS_FILL,
        .has_protobuf = true,
        .encodes_on_worker = c->n_bytes > TKX__FORWARD_INLINE_BYTES,
        .part_range = pass == PASS_FILL ? NULL : part_range,
        .part_bytes = part_bytes,
        .encode = encode,
        .decode = tkx__forward_decode,
        .free_result = tkx__forward_free_output,
        .on_sending = tkx__task_on_sending,
        .on_event = tkx__task_on_event,
        .recorder = tkx__training_recorder(c->training),
    };

    c->task.op = tkx__operation_new(site, &spec, fn, c);
    if (!c->task.op)
        return tkx__fail_memory(err);
    c->pass = pass;
    if (c->task.is_cancelled || pass == PASS_FILL)
        tkx__operation_detach(c->task.op);
    tkx__operation_start(c->task.op, &c->training->turns,
                         c->first + (pass == PASS_FORWARD ? 0 : c->n_chunks));
    return TKX_OK;
}

/* --- no backward pass ------------------------------------------------------------ */

static void on_filled(void *arg, void **results, size_t n, tkx_error *error)
{
    custom *c = arg;
    tkx_error *why = c->error;

    (void)results, (void)n; /* a detached operation has none */
    tkx_error_free(error);
    c->task.op = NULL;
    c->error = NULL;
    tkx__task_fail(&c->task, why);
}

/* The second block of numbers is used up, then the call fails with error (taken). */
static void fill(custom *c, tkx_error *error)
{
    tkx_error *why = NULL;

    c->error = error;
    if (begin_pass(c, PASS_FILL, on_filled, &why) == TKX_OK)
        return;
    tkx__turns_break(&c->training->turns,
                     tkx__turns_seq(&c->training->turns, c->first + c->n_chunks), why);
    on_filled(c, NULL, 0, why);
}

/* --- the backward pass ----------------------------------------------------------- */

static void on_backward(void *arg, void **results, size_t n, tkx_error *error)
{
    custom *c = arg;
    tkx_forward_backward_output *output = NULL;

    c->task.op = NULL;
    if (!error)
        tkx__forward_backward_output_join((tkx_forward_backward_output **)results, n,
                                          &output, &error);
    if (!error && tkx__custom_report_apply(&c->report, output, &error) == TKX_OK) {
        tkx__task_succeed(&c->task, output);
        return;
    }
    tkx_forward_backward_output_free(output);
    tkx__task_fail(&c->task, error);
}

/* The service adds -weight to d loss / d logprob.  In place of the gradients. */
static tkx_status make_weights(custom *c, tkx_error **err)
{
    for (size_t i = 0; i < c->n_data; i++) {
        float *g = c->items[i].gradient;

        for (size_t k = 0; k < c->items[i].n; k++) {
            if (!isfinite(g[k]))
                return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                                 "custom loss: gradient %zu of datum %zu is %g", k, i,
                                 (double)g[k]);
            g[k] = g[k] == 0 ? 0 : -g[k];
        }
        c->inputs[i].weights.tensor.values.f32 = g;
        c->inputs[i].weights.tensor.n_values = c->items[i].n;
    }
    return TKX_OK;
}

/* --- the loss -------------------------------------------------------------------- */

/* On the thread for the user's code. */
static void run_loss(void *arg)
{
    custom *c = arg;

    c->result = c->fn(c->items, c->n_data, &c->report, c->user_data);
}

static void on_loss(void *arg)
{
    custom *c = arg;
    tkx_error *error = NULL;

    if (c->task.is_cancelled)
        tkx__fail(&error, TKX_ERR_CANCELLED, "the custom loss was cancelled");
    else if (c->result != 0)
        tkx__fail(&error, TKX_ERR_INVALID_ARGUMENT, "the custom loss failed (%d): %s",
                  c->result,
                  c->report.failure[0] ? c->report.failure : "it did not say why");
    else if (make_weights(c, &error) == TKX_OK)
        begin_pass(c, PASS_BACKWARD, on_backward, &error);
    if (error)
        fill(c, error);
}

static tkx_status fill_item(custom *c, size_t i, tkx_error **err)
{
    const tkx_tensor *l = tkx_forward_backward_output_field(c->forward, i, "logprobs");
    const tkx_tensor *target = &c->inputs[i].target.tensor;
    tkx_custom_item *item = &c->items[i];

    if (!l || l->dtype != TKX_DTYPE_FLOAT32 || l->is_sparse ||
        l->n_values != target->n_values)
        return tkx__fail(
            err, TKX_ERR_PROTOCOL,
            "forward gave %zu log-probabilities for the %zu targets of datum "
            "%zu",
            l ? l->n_values : 0, target->n_values, i);
    *item = (tkx_custom_item){
        .datum = &c->given[i],
        .logprobs = l->values.f32,
        .gradient = tkx__arena_zalloc(&c->arena, l->n_values + 1, sizeof(float)),
        .n = l->n_values,
        .n_columns = target->has_shape && target->n_dims == 2 && target->shape[1] > 0
                         ? (size_t)target->shape[1]
                         : 1,
    };
    return item->gradient ? TKX_OK : tkx__fail_memory(err);
}

static tkx_status fill_items(custom *c, tkx_error **err)
{
    tkx_status st = TKX_OK;

    if (c->forward->n_outputs != c->n_data)
        return tkx__fail(err, TKX_ERR_PROTOCOL, "forward gave %zu outputs for %zu datums",
                         c->forward->n_outputs, c->n_data);
    c->items = tkx__arena_zalloc(&c->arena, c->n_data, sizeof *c->items);
    if (!c->items)
        return tkx__fail_memory(err);
    for (size_t i = 0; i < c->n_data && st == TKX_OK; i++)
        st = fill_item(c, i, err);
    return st;
}

static void on_forward(void *arg, void **results, size_t n, tkx_error *error)
{
    custom *c = arg;
    const tkx__io *io = &c->task.service->site->io;

    c->task.op = NULL;
    tkx__future_note_state(c->task.future, TKX_FUTURE_QUEUED, 0);
    if (!error)
        tkx__forward_backward_output_join((tkx_forward_backward_output **)results, n,
                                          &c->forward, &error);
    if (!error && fill_items(c, &error) == TKX_OK &&
        !io->ops->run_user(io->ctx, run_loss, on_loss, c))
        tkx__fail(&error, TKX_ERR_NO_MEMORY, "no thread for the custom loss");
    if (error)
        fill(c, error);
}

static tkx_status start(tkx__task *task, tkx_error **err)
{
    return begin_pass((custom *)task, PASS_FORWARD, on_forward, err);
}

static void clear(tkx__task *task)
{
    custom *c = (custom *)task;

    if (task->has_begun && c->options.on_released)
        c->options.on_released(c->options.user_data);
    tkx_forward_backward_output_free(c->forward);
    tkx__custom_report_clear(&c->report);
    tkx__arena_clear(&c->arena);
    tkx__free(c->chunks);
    tkx_error_free(c->error);
    tkx_training_free(c->training);
}

static const tkx__task_kind kind = {.result = &tkx__result_forward,
                                    .runs_cancelled = true,
                                    .start = start,
                                    .clear = clear};

/* --- the call -------------------------------------------------------------------- */

static const tkx_tensor *find_input(const tkx_datum *datum, const char *name)
{
    for (size_t i = 0; i < datum->n_loss_fn_inputs; i++)
        if (strcmp(datum->loss_fn_inputs[i].name, name) == 0)
            return &datum->loss_fn_inputs[i].tensor;
    return NULL;
}

/* As the service sees it: targets, and weights (its own, or zeros in their shape). */
static tkx_status convert(custom *c, size_t i, const float *zeros, tkx_error **err)
{
    const tkx_tensor *target = find_input(&c->given[i], "target_tokens");
    const tkx_tensor *weights = find_input(&c->given[i], "weights");
    inputs *in = &c->inputs[i];

    if (!target || target->dtype != TKX_DTYPE_INT64 || target->is_sparse)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "a custom loss needs dense target_tokens in every datum; datum "
                         "%zu has none",
                         i);
    if (weights && (weights->dtype != TKX_DTYPE_FLOAT32 || weights->is_sparse ||
                    weights->n_values != target->n_values))
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "datum %zu: weights do not have the shape of target_tokens", i);
    in->target = (tkx_named_tensor){.name = "target_tokens", .tensor = *target};
    in->weights = (tkx_named_tensor){.name = "weights", .tensor = *target};
    in->weights.tensor.dtype = TKX_DTYPE_FLOAT32;
    in->weights.tensor.values.f32 = weights ? weights->values.f32 : zeros;
    c->data[i] = c->given[i];
    c->data[i].loss_fn_inputs = &in->target;
    c->data[i].n_loss_fn_inputs = 2;
    return TKX_OK;
}

static size_t most_targets(const tkx_datum *data, size_t n)
{
    size_t most = 0;

    for (size_t i = 0; i < n; i++) {
        const tkx_tensor *target = find_input(&data[i], "target_tokens");
        if (target && target->n_values > most)
            most = target->n_values;
    }
    return most;
}

static tkx_status prepare(custom *c, tkx_error **err)
{
    const tkx__config *config = &c->task.service->site->config;
    float *zeros;
    tkx_status st = TKX_OK;

    c->data = tkx__arena_alloc(&c->arena, c->n_data, sizeof *c->data);
    c->inputs = tkx__arena_alloc(&c->arena, c->n_data, sizeof *c->inputs);
    zeros = tkx__arena_zalloc(&c->arena, most_targets(c->given, c->n_data) + 1,
                              sizeof *zeros);
    if (!c->data || !c->inputs || !zeros)
        return tkx__fail_memory(err);
    for (size_t i = 0; i < c->n_data && st == TKX_OK; i++)
        st = convert(c, i, zeros, err);
    if (st == TKX_OK)
        st = tkx__chunk_plan(c->data, c->n_data, (size_t)config->fwdbwd_max_chunk_bytes,
                             (size_t)config->fwdbwd_max_chunk_len, &c->chunks,
                             &c->n_chunks, err);
    if (st == TKX_OK)
        st = tkx__data_refuse_pointers(c->data, c->n_data, err);
    if (st != TKX_OK)
        return st;
    for (size_t i = 0; i < c->n_chunks; i++)
        c->n_bytes += c->chunks[i].bytes;
    for (size_t i = 1; i < c->n_data; i++)
        if (tkx__datum_bytes(&c->data[i]) < tkx__datum_bytes(&c->data[c->shortest]))
            c->shortest = i;
    return TKX_OK;
}

tkx_status tkx_training_forward_backward_custom(tkx_training *training,
                                                const tkx_datum *data, size_t n_data,
                                                tkx_custom_loss_fn *fn, void *user_data,
                                                const tkx_custom_loss_options *options,
                                                tkx_future **out, tkx_error **err)
{
    tkx_custom_loss_options o = TKX_CUSTOM_LOSS_OPTIONS_INIT;
    tkx__task *task;

    tkx_status st =
        tkx__options_overlay(&o, sizeof o, options, "tkx_custom_loss_options", err);
    if (st != TKX_OK)
        return st;
    if (!fn || !data || n_data == 0)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "a custom loss needs datums and a function");
    st = tkx__task_new(training->service, &kind, sizeof(custom), &task, out, err);
    if (st != TKX_OK)
        return st;
    custom *c = (custom *)task;
    tkx__arena_init(&c->arena, 4096, MAX_ARENA);
    tkx__custom_report_init(&c->report);
    task->timeout_ms = o.timeout_ms;
    c->training = tkx__training_ref(training);
    c->options = o;
    c->given = data;
    c->n_data = n_data;
    c->fn = fn;
    c->user_data = user_data;
    st = prepare(c, err);
    if (st == TKX_OK)
        st = tkx__training_reserve(training, task->future, data, n_data, true, true, err);
    if (st != TKX_OK) {
        tkx__task_drop(task, out);
        return st;
    }
    return tkx__training_launch(training, 2 * c->n_chunks, &c->first, task, out, err);
}
