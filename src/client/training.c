/* SPDX-License-Identifier: Apache-2.0 */
/*
 * training.c - the life of a training client, and its operations with one small request.
 */
#include "client/training.h"

#include "base/error.h"
#include "base/mem.h"
#include "client/record.h"
#include "client/spending.h"
#include "types/model.h"

/* --- life ------------------------------------------------------------------------ */

static void free_training(void *arg)
{
    tkx_training *t = arg;
    tkx_service *service = t->service;

    tkx__turns_clear(&t->turns);
    tkx_model_info_free(t->info);
    tkx__free(t->model_id);
    tkx__ledger_unref(t->ledger);
    tkx__free(t);
    tkx__service_unref(service);
}

tkx_training *tkx__training_ref(tkx_training *t)
{
    atomic_fetch_add_explicit(&t->n_refs, 1, memory_order_relaxed);
    return t;
}

void tkx_training_free(tkx_training *t)
{
    if (t && atomic_fetch_sub_explicit(&t->n_refs, 1, memory_order_acq_rel) == 1)
        tkx__service_dispose(t->service, &t->disposal, free_training, t);
}

static void free_result(void *result)
{
    tkx_training_free(result);
}

const tkx__result_type tkx__result_training = {"training client", free_result};

tkx_training *tkx__training_new(tkx_service *service, const char *model_id,
                                tkx_model_info *info, tkx__ledger *ledger)
{
    tkx_training *t = tkx__calloc(1, sizeof *t);

    if (!t) {
        tkx_model_info_free(info);
        return NULL;
    }
    atomic_init(&t->n_refs, 1);
    tkx__turns_init(&t->turns);
    t->service = tkx__service_ref(service);
    t->info = info;
    t->ledger = tkx__ledger_ref(ledger);
    t->model_id = tkx__strdup(model_id);
    if (!t->model_id) {
        free_training(t);
        return NULL;
    }
    return t;
}

tkx__recorder *tkx__training_recorder(const tkx_training *training)
{
    return training->ledger ? &training->ledger->recorder : NULL;
}

TKX__RECORD_TAKE(tkx_future_take_training, training, tkx__result_training);

const char *tkx_training_model_id(const tkx_training *training)
{
    return training->model_id;
}

const tkx_model_info *tkx_training_info(const tkx_training *training)
{
    return training->info;
}

tkx_status tkx_training_check(const tkx_training *training, tkx_error **err)
{
    /* only the lock in it changes */
    return tkx__turns_look((tkx__turns *)(uintptr_t)&training->turns, err);
}

/* --- the budget ------------------------------------------------------------------ */

tkx_status tkx__training_reserve(const tkx_training *t, const tkx_future *future,
                                 const tkx_datum *data, size_t n_data, bool is_forward,
                                 bool is_backward, tkx_error **err)
{
    tkx_context *context = t->service->context;
    tkx__charge charge = {{0}};
    int64_t n = 0;

    if (!tkx__context_spending(context))
        return TKX_OK;
    for (size_t i = 0; i < n_data; i++) {
        size_t length = 0;
        if (tkx_model_input_length(&data[i].model_input, &length, NULL) == TKX_OK)
            n += (int64_t)length;
    }
    charge.n_tokens[TKX_TOKENS_FORWARD] = is_forward ? n : 0;
    charge.n_tokens[TKX_TOKENS_TRAIN] = is_backward ? n : 0;
    return tkx__spending_reserve(
        context, future, t->info ? t->info->model_data.model_name : NULL, &charge, err);
}

/* --- launching ------------------------------------------------------------------- */

typedef struct launch {
    tkx__task *task;
    uint64_t *first;
    tkx_status status;
    tkx_error *error;
} launch;

/* Under the lock of the ids, so that tasks reach the loop in the order of their ids. */
static bool hand_over(void *arg, uint64_t first)
{
    launch *l = arg;

    *l->first = first;
    l->task->first_id = first;
    l->status = tkx__service_post(l->task->service, tkx__task_begin, l->task, &l->error);
    return l->status == TKX_OK;
}

tkx_status tkx__training_launch(tkx_training *t, uint64_t n, uint64_t *first,
                                tkx__task *task, tkx_future **out, tkx_error **err)
{
    launch l = {.task = task, .first = first};

    task->turns = &t->turns;
    task->n_ids = n;
    if (tkx__turns_reserve(&t->turns, n, hand_over, &l))
        return TKX_OK;
    tkx__task_drop(task, out);
    tkx__fail_with(err, l.error);
    return l.status;
}

/* --- one step -------------------------------------------------------------------- */

static void on_step_end(void *arg, void **results, size_t n, tkx_error *error)
{
    tkx__step *step = arg;
    void *result = error ? NULL : results[0];

    (void)n;
    step->task.op = NULL;
    if (!error && step->finish)
        result = step->finish(step, result, &error);
    if (error)
        tkx__task_fail(&step->task, error);
    else
        tkx__task_succeed(&step->task, result);
}

static tkx_status encode_step(void *arg, size_t i, int64_t seq_id, tkx__encoding encoding,
                              tkx__encoded *out, tkx_error **err)
{
    tkx__step *step = arg;

    (void)i, (void)encoding;
    return tkx__seq_body_encode(&step->body, step->route, seq_id, out, err);
}

tkx_status tkx__step_start(tkx__task *task, tkx_error **err)
{
    tkx__step *step = (tkx__step *)task;
    tkx__operation *op =
        tkx__operation_new(task->service->site, &step->spec, on_step_end, step);

    if (!op)
        return tkx__fail_memory(err);
    task->op = op;
    if (task->is_cancelled)
        tkx__operation_detach(op);
    tkx__operation_start(op, &step->training->turns, step->first);
    return TKX_OK;
}

void tkx__step_clear(tkx__task *task)
{
    tkx__step *step = (tkx__step *)task;

    tkx__seq_body_clear(&step->body);
    tkx_training_free(step->training);
}

tkx_status tkx__step_run(tkx_training *t, const tkx__step_spec *spec, tkx__buf *encoded,
                         int64_t timeout_ms, tkx_future **out, tkx_error **err)
{
    tkx__task *task;
    tkx__seq_body body;

    tkx_status st = tkx__seq_body_init(&body, encoded, err);
    if (st != TKX_OK)
        return st;
    st = tkx__task_new(t->service, spec->kind, sizeof(tkx__step), &task, out, err);
    if (st != TKX_OK) {
        tkx__seq_body_clear(&body);
        return st;
    }
    tkx__step *step = (tkx__step *)task;
    task->timeout_ms = timeout_ms;
    step->training = tkx__training_ref(t);
    step->route = spec->route;
    step->body = body;
    step->finish = spec->finish;
    step->spec = (tkx__operation_spec){
        .what = spec->what,
        .request_type = spec->request_type,
        .sdk_method = spec->sdk_method,
        .lane = TKX__LANE_TRAIN,
        .n_parts = 1,
        .is_save = spec->is_save,
        .encode = encode_step,
        .decode = spec->decode,
        .free_result = spec->free_result,
        .on_sending = tkx__task_on_sending,
        .on_event = tkx__task_on_event,
        .recorder = tkx__training_recorder(t),
        .path_of = spec->path_of,
        .record_as = spec->record_as,
    };
    return tkx__training_launch(t, 1, &step->first, task, out, err);
}
