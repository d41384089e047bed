/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local_sample.c - a request of the service as a job of the scheduler, and back.
 *
 * An operation is held by its call and by its job; who waits is either the calling thread
 * (tkx_local_sample) or a future, completed on its context's loop.
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/random.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/options.h"
#include "client/context.h"
#include "client/future.h"
#include "client/local_in.h"
#include "client/local_response.h"
#include "client/local_stop.h"
#include "client/local_targets.h"
#include "client/tensor_copy.h"

typedef struct operation {
    atomic_int n_refs;
    tkx_local *local;
    tkx__arena arena;       /* of targets */
    tkx_tensor *targets;    /* asked about in the prompt; NULL: none */
    tkx__stop_watch *watch; /* NULL: no stop strings */
    tkx_local_token_fn *on_token;
    void *user_data;

    tkx_future *future; /* NULL: a thread waits */
    tkx__post_node completion;
    tkx_sample_response *response;
    tkx_error *error;

    pthread_mutex_t lock;
    pthread_cond_t done;
    bool is_done;
    uint64_t job_id; /* 0: not submitted, or over; then the model may be gone */
} operation;

/* ---- the request ---- */

static tkx_status unsupported(tkx_error **err, const char *what)
{
    return tkx__fail(err, TKX_ERR_UNSUPPORTED, "%s is not offered by the local engine",
                     what);
}

static tkx_status check_request(const tkx_sample_request *r, tkx_error **err)
{
    if (r->struct_size < sizeof *r || r->params.struct_size < sizeof r->params)
        return tkx__fail(
            err, TKX_ERR_INVALID_ARGUMENT,
            "the request's struct_size is not set: start from TKX_SAMPLE_REQUEST_INIT");
    for (size_t i = 0; i < r->prompt.n_chunks; i++) {
        if (r->prompt.chunks[i].kind != TKX_CHUNK_TEXT)
            return unsupported(err, "a prompt with images or audio");
    }
    if (r->num_samples < 1 || (r->params.has_max_tokens && r->params.max_tokens < 0) ||
        r->topk_prompt_logprobs < 0 || r->topk_sample_logprobs < 0 ||
        r->prompt_alt_tokens_k < 0)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "num_samples %" PRId64 ", max_tokens %" PRId64
                         " and top-k %" PRId64 " cannot be sampled",
                         r->num_samples, r->params.max_tokens, r->topk_prompt_logprobs);
    if (r->prompt_logprobs_last_n != -1 &&
        (!r->prompt_logprobs || r->prompt_logprobs_last_n < 1))
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "prompt_logprobs_last_n is %" PRId64
                         ": it is 1 or more, and needs prompt_logprobs",
                         r->prompt_logprobs_last_n);
    return TKX_OK;
}

/* The chunks' tokens joined; tkx__free() them. */
static tkx_status join_prompt(const tkx_model_input *input, int32_t **out, size_t *n_out,
                              tkx_error **err)
{
    size_t n = 0;
    int32_t *tokens;

    for (size_t i = 0; i < input->n_chunks; i++) {
        if (!tkx__add(n, input->chunks[i].n_tokens, &n))
            return tkx__fail_memory(err);
    }
    tokens = tkx__calloc(n + 1, sizeof *tokens);
    if (!tokens)
        return tkx__fail_memory(err);
    *n_out = n;
    n = 0;
    for (size_t i = 0; i < input->n_chunks; i++) {
        const tkx_chunk *chunk = &input->chunks[i];

        if (chunk->n_tokens)
            memcpy(tokens + n, chunk->tokens, chunk->n_tokens * sizeof *tokens);
        n += chunk->n_tokens;
    }
    *out = tokens;
    return TKX_OK;
}

static tkx_status get_tokenizer(tkx_local *local, tkx_tokenizer **out, tkx_error **err)
{
    tkx_error *cause = NULL;
    tkx_status st = TKX_OK;

    pthread_mutex_lock(&local->lock);
    if (!local->tokenizer)
        st = tkx_tokenizer_open(local->weights->path, &local->tokenizer, &cause);
    *out = local->tokenizer;
    pthread_mutex_unlock(&local->lock);
    if (st == TKX_OK)
        return TKX_OK;
    return tkx__fail_cause(
        err, TKX_ERR_UNSUPPORTED, NULL, &cause,
        "stop strings need the model's tokenizer, which cannot be used");
}

void tkx__local_prepare_text(tkx_local *local)
{
    tkx_tokenizer *tokenizer;

    (void)get_tokenizer(local, &tokenizer, NULL);
}

/* Stop ids go into the job; strings are watched for. */
static tkx_status set_stops(operation *op, const tkx_sampling_params *p, size_t n_samples,
                            int32_t *end_ids, tkx__job_spec *spec, tkx_error **err)
{
    const tkx__model_config *c = &op->local->weights->config;
    tkx_tokenizer *tokenizer;
    tkx_status st;

    if (p->stop_kind == TKX_STOP_DEFAULT) {
        for (size_t i = 0; i < c->n_end_ids; i++)
            end_ids[i] = (int32_t)c->end_ids[i];
        spec->stop_ids = end_ids;
        spec->n_stop_ids = c->n_end_ids;
        return TKX_OK;
    }
    if (p->stop_kind == TKX_STOP_TOKENS) {
        spec->stop_ids = p->stop_tokens;
        spec->n_stop_ids = p->n_stop;
        return TKX_OK;
    }
    if (p->n_stop == 0)
        return TKX_OK;
    st = get_tokenizer(op->local, &tokenizer, err);
    if (st != TKX_OK)
        return st;
    return tkx__stop_watch_new(tokenizer, p->stop_strings, p->n_stop, n_samples,
                               &op->watch, err);
}

/* The tensor's layout is kept for the answer, which has the same. */
static tkx_status set_targets(operation *op, const tkx_tensor *targets,
                              tkx__job_spec *spec, size_t **rows, tkx_error **err)
{
    tkx_status st = tkx__local_targets_rows(targets, spec->n_prompt, rows, err);

    if (st != TKX_OK)
        return st;
    op->targets = tkx__tensor_copy(&op->arena, targets);
    if (!op->targets)
        return tkx__fail_memory(err);
    spec->target_ids = op->targets->values.i64;
    spec->target_rows = *rows;
    return TKX_OK;
}

static uint64_t seed_of(const tkx_seed *seed)
{
    uint64_t bits = 0;

    if (seed->is_set)
        return seed->bits;
    if (getrandom(&bits, sizeof bits, 0) != (ssize_t)sizeof bits)
        bits ^= (uint64_t)(uintptr_t)&bits; /* weak, but no reason to fail */
    return bits;
}

static bool has_extras(const tkx_local_sample_options *o)
{
    return o->min_p != 0 || o->repetition_penalty != 0 || o->frequency_penalty != 0 ||
           o->presence_penalty != 0 || o->n_biases > 0;
}

/* ---- the job's callbacks: compute thread ---- */

static bool on_token(void *ctx, size_t sample, int64_t id, float logprob)
{
    operation *op = ctx;

    pthread_mutex_lock(&op->lock); /* nobody may listen any more */
    if (op->on_token)
        op->on_token((int64_t)sample, (int32_t)id, logprob, op->user_data);
    pthread_mutex_unlock(&op->lock);
    return op->watch && tkx__stop_watch_push(op->watch, sample, id);
}

static void unref(operation *op)
{
    if (atomic_fetch_sub_explicit(&op->n_refs, 1, memory_order_acq_rel) != 1)
        return;
    tkx__stop_watch_free(op->watch);
    tkx__arena_clear(&op->arena);
    tkx_sample_response_free(op->response);
    tkx_error_free(op->error);
    tkx_future_unref(op->future);
    pthread_cond_destroy(&op->done);
    pthread_mutex_destroy(&op->lock);
    tkx__free(op);
}

/* Loop thread. */
static void complete(void *arg)
{
    operation *op = arg;
    tkx_sample_response *response = op->response;

    op->response = NULL;
    tkx__future_forget_owner(op->future);
    if (op->error)
        tkx__future_fail(op->future, &op->error);
    else
        tkx__future_succeed(op->future, response);
    unref(op);
}

static void on_done(void *ctx, tkx__job_result *result, tkx_error *error)
{
    operation *op = ctx;
    const tkx__io *io;

    op->error = error;
    if (result) {
        op->response = tkx__local_response(result, op->targets);
        if (!op->response)
            (void)tkx__fail_memory(&op->error);
        tkx__job_result_free(result);
    }
    pthread_mutex_lock(&op->lock);
    op->job_id = 0;
    op->is_done = true;
    pthread_cond_signal(&op->done);
    pthread_mutex_unlock(&op->lock);
    if (!op->future) {
        unref(op);
        return;
    }
    io = tkx__context_io(tkx__future_context(op->future));
    op->completion = (tkx__post_node){.fn = complete, .arg = op};
    if (!io->ops->post_node(io->ctx, &op->completion))
        unref(op); /* the loop has ended, and the future with it */
}

/* ---- the call ---- */

static tkx_status submit(operation *op, const tkx_sample_request *r,
                         const tkx_local_sample_options *o, tkx_error **err)
{
    int32_t end_ids[TKX__MAX_END_IDS];
    tkx__sample_extras extras = {.min_p = o->min_p,
                                 .repetition_penalty = o->repetition_penalty,
                                 .frequency_penalty = o->frequency_penalty,
                                 .presence_penalty = o->presence_penalty,
                                 .bias_ids = o->bias_tokens,
                                 .bias_values = o->biases,
                                 .n_bias = o->n_biases};
    tkx__job_spec spec = {
        .n_samples = (size_t)r->num_samples,
        .max_tokens = r->params.has_max_tokens ? (size_t)r->params.max_tokens : SIZE_MAX,
        .params = {.temperature = (float)r->params.temperature,
                   .top_k = r->params.top_k,
                   .top_p = (float)r->params.top_p,
                   .mode = (tkx__logprob_mode)o->logprob_mode,
                   .extras = has_extras(o) ? &extras : NULL},
        .seed = seed_of(&r->params.seed),
        .wants_prompt_logprobs = r->prompt_logprobs,
        .topk_prompt = (size_t)r->topk_prompt_logprobs,
        .score_last =
            r->prompt_logprobs_last_n > 0 ? (size_t)r->prompt_logprobs_last_n : 0,
        .alt_k = (size_t)r->prompt_alt_tokens_k,
        .topk_sample = (size_t)r->topk_sample_logprobs,
        .adapter = o->adapter ? o->adapter->adapter : NULL,
        .on_done = on_done,
        .ctx = op};
    int32_t *prompt = NULL;
    size_t *rows = NULL;
    uint64_t job_id;
    tkx_status st = join_prompt(&r->prompt, &prompt, &spec.n_prompt, err);

    spec.prompt = prompt;
    if (st == TKX_OK && r->target_prompt_logprobs)
        st = set_targets(op, r->target_prompt_logprobs, &spec, &rows, err);
    if (st == TKX_OK)
        st = set_stops(op, &r->params, spec.n_samples, end_ids, &spec, err);
    if (o->on_token || op->watch)
        spec.on_token = on_token;
    if (st == TKX_OK) {
        atomic_fetch_add(&op->n_refs, 1); /* the job's */
        pthread_mutex_lock(&op->lock);    /* a cancel must not read half an id */
        st = tkx__schedule_submit(op->local->schedule, &spec, &job_id, err);
        if (st == TKX_OK)
            op->job_id = job_id;
        pthread_mutex_unlock(&op->lock);
        if (st != TKX_OK)
            unref(op);
    }
    tkx__free(rows);
    tkx__free(prompt);
    return st;
}

static tkx_status new_operation(tkx_local *local, const tkx_sample_request *request,
                                const tkx_local_sample_options *options,
                                tkx_local_sample_options *o, operation **out,
                                tkx_error **err)
{
    operation *op;
    tkx_status st =
        tkx__options_overlay(o, sizeof *o, options, "tkx_local_sample_options", err);

    if (st == TKX_OK)
        st = check_request(request, err);
    if (st == TKX_OK && o->adapter && o->adapter->local != local)
        st = tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                       "the adapter was loaded for another model");
    if (st != TKX_OK)
        return st;
    op = tkx__calloc(1, sizeof *op);
    if (!op)
        return tkx__fail_memory(err);
    atomic_init(&op->n_refs, 1);
    op->local = local;
    tkx__arena_init(&op->arena, 256, SIZE_MAX);
    op->on_token = o->on_token;
    op->user_data = o->user_data;
    pthread_mutex_init(&op->lock, NULL);
    pthread_cond_init(&op->done, NULL);
    *out = op;
    return TKX_OK;
}

tkx_status tkx_local_sample(tkx_local *local, const tkx_sample_request *request,
                            const tkx_local_sample_options *options,
                            tkx_sample_response **out, tkx_error **err)
{
    tkx_local_sample_options o = TKX_LOCAL_SAMPLE_OPTIONS_INIT;
    operation *op = NULL;
    tkx_status st = new_operation(local, request, options, &o, &op, err);

    if (st != TKX_OK)
        return st;
    st = submit(op, request, &o, err);
    if (st == TKX_OK) {
        pthread_mutex_lock(&op->lock);
        while (!op->is_done)
            pthread_cond_wait(&op->done, &op->lock);
        pthread_mutex_unlock(&op->lock);
        st = op->error ? tkx_error_status(op->error) : TKX_OK;
        if (op->error)
            tkx__fail_with(err, op->error);
        op->error = NULL;
        *out = op->response;
        op->response = NULL;
    }
    unref(op);
    return st;
}

/* ---- the same as a future ---- */

static void free_result(void *result)
{
    tkx_sample_response_free(result);
}

static const tkx__result_type local_sample_type = {"local sample response", free_result};

/* Loop thread: nobody waits any more; the job still ends, and then the operation. */
static void on_given_up(tkx_future *future, tkx_status reason, void *arg)
{
    operation *op = arg;

    (void)future;
    (void)reason;
    pthread_mutex_lock(&op->lock); /* while it is held the job has not ended */
    op->on_token = NULL;
    if (op->job_id)
        tkx__schedule_cancel(op->local->schedule, op->job_id);
    pthread_mutex_unlock(&op->lock);
}

tkx_status tkx_local_sample_start(tkx_local *local, tkx_context *context,
                                  const tkx_sample_request *request,
                                  const tkx_local_sample_options *options,
                                  tkx_future **out, tkx_error **err)
{
    tkx_local_sample_options o = TKX_LOCAL_SAMPLE_OPTIONS_INIT;
    operation *op = NULL;
    tkx_status st = new_operation(local, request, options, &o, &op, err);

    if (st != TKX_OK)
        return st;
    op->future = tkx__future_new(context, &local_sample_type, on_given_up, op, err);
    if (!op->future) {
        unref(op);
        return tkx__context_is_closed(context) ? TKX_ERR_CLOSED : TKX_ERR_NO_MEMORY;
    }
    (void)tkx__future_set_cancel_mode(op->future, TKX__CANCEL_REMOVE);
    *out = tkx_future_ref(op->future);
    st = submit(op, request, &o, err);
    if (st != TKX_OK) {
        tkx__future_forget_owner(op->future);
        tkx_future_unref(*out);
        *out = NULL;
    }
    unref(op);
    return st;
}

tkx_status tkx_future_take_local_sample(tkx_future *future, tkx_sample_response **out,
                                        tkx_error **err)
{
    void *result;
    tkx_status st = tkx__future_take(future, &local_sample_type, &result, err);

    if (st == TKX_OK)
        *out = result;
    return st;
}
