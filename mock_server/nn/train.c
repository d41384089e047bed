/* SPDX-License-Identifier: Apache-2.0 */
/*
 * train.c - forward and forward_backward over a batch.
 *
 * Datums are packed, in order, into blocks of about BLOCK_TOKENS; a block is one piece of
 * work for one thread, with its own gradient.  Blocks are cut by the request alone and
 * their gradients added in block order, so the number of threads changes no bit.
 */
#include "mock_server/nn/train.h"

#include <pthread.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "mock_server/nn/fail.h"
#include "mock_server/nn/model.h"
#include "mock_server/nn/pass.h"

enum { BLOCK_TOKENS = 256 };

tkx_status nn_model_new(nn_engine *engine, const nn_base *base,
                        const nn_lora_options *options, nn_model **out, tkx_error **err)
{
    nn_model *model = tkx__calloc(1, sizeof *model);
    bool has_v = options->optimizer == NN_ADAMW;
    tkx_status st;

    if (!model)
        return tkx__fail_memory(err);
    model->engine = engine;
    st = nn_adapter_init(&model->adapter, base, options, err);
    if (st == TKX_OK) {
        size_t n = model->adapter.n_values;

        model->gradient = tkx__calloc(n, sizeof *model->gradient);
        model->m = tkx__calloc(n, sizeof *model->m);
        model->v = has_v ? tkx__calloc(n, sizeof *model->v) : NULL;
        if (!model->gradient || !model->m || (has_v && !model->v))
            st = nn_fail_server(err, TKX_ERR_NO_MEMORY,
                                "no memory for a LoRA model of rank %zu on '%s'",
                                options->rank, base->name);
    }
    if (st != TKX_OK) {
        nn_model_free(model);
        return st;
    }
    nn_adapter_randomize(&model->adapter);
    *out = model;
    return TKX_OK;
}

void nn_model_free(nn_model *model)
{
    if (!model)
        return;
    nn_adapter_clear(&model->adapter);
    tkx__free(model->gradient);
    tkx__free(model->m);
    tkx__free(model->v);
    tkx__free(model);
}

nn_lora_options nn_model_options(const nn_model *model)
{
    return model->adapter.options;
}

int64_t nn_model_step(const nn_model *model)
{
    return model->step;
}

uint64_t nn_model_size_bytes(const nn_base *base, const nn_lora_options *options)
{
    uint64_t arrays = options->optimizer == NN_ADAMW ? 4 : 3;

    return nn_adapter_count(base, options) * arrays * sizeof(float);
}

void nn_loss_result_free(nn_loss_result *result)
{
    if (!result)
        return;
    for (size_t i = 0; result->datums && i < result->n_datums; i++) {
        tkx__free(result->datums[i].logprobs);
        tkx__free(result->datums[i].elementwise);
    }
    tkx__free(result->datums);
    tkx__free(result);
}

static tkx_status new_result(const nn_datum *datums, size_t n, nn_loss_result **out,
                             tkx_error **err)
{
    nn_loss_result *result = tkx__calloc(1, sizeof *result);

    *out = result;
    if (!result)
        return tkx__fail_memory(err);
    result->datums = tkx__calloc(n ? n : 1, sizeof *result->datums);
    result->n_datums = n;
    if (!result->datums)
        return tkx__fail_memory(err);
    for (size_t i = 0; i < n; i++) {
        nn_datum_result *d = &result->datums[i];

        d->n = datums[i].n_tokens;
        d->k = datums[i].k;
        d->is_matrix = datums[i].is_matrix || d->k > 1;
        d->logprobs = tkx__calloc(datums[i].n_targets, sizeof *d->logprobs);
        d->elementwise = tkx__calloc(d->n, sizeof *d->elementwise);
        if (!d->logprobs || !d->elementwise)
            return tkx__fail_memory(err);
    }
    return TKX_OK;
}

/* A batch under way; merged and what follows under the mutex. */
typedef struct batch {
    nn_model *model;
    const nn_loss_plan *plan;
    const nn_datum *datums;
    nn_datum_result *results;
    double *losses;
    const size_t *blocks; /* [n_blocks + 1], first datum of each */
    bool with_gradient;
    pthread_mutex_t mutex;
    pthread_cond_t merged_one;
    size_t n_merged;
    float *sum;    /* gradients of the blocks so far */
    bool is_short; /* of memory */
} batch;

/* Wait for this block's turn, add its gradient. */
static void merge(batch *b, size_t block, const float *gradient)
{
    size_t n = b->model->adapter.n_values;

    pthread_mutex_lock(&b->mutex);
    while (b->n_merged != block)
        pthread_cond_wait(&b->merged_one, &b->mutex);
    pthread_mutex_unlock(&b->mutex);
    for (size_t i = 0; gradient && i < n; i++)
        b->sum[i] += gradient[i];
    pthread_mutex_lock(&b->mutex);
    b->n_merged++;
    pthread_cond_broadcast(&b->merged_one);
    pthread_mutex_unlock(&b->mutex);
}

static void run_block(void *ctx, size_t block)
{
    batch *b = ctx;
    size_t first = b->blocks[block];
    const float *gradient = NULL;
    nn_pass pass = {.base = b->model->adapter.base,
                    .adapter = &b->model->adapter,
                    .plan = b->plan,
                    .datums = b->datums + first,
                    .results = b->results + first,
                    .losses = b->losses + first,
                    .n_datums = b->blocks[block + 1] - first,
                    .with_gradient = b->with_gradient};
    size_t size = nn_pass_size(&pass);
    nn_work *work;

    if (b->with_gradient && size > b->model->engine->options.max_activation_bytes) {
        pass.recompute = true;
        size = nn_pass_size(&pass);
    }
    work = nn_work_get(b->model->engine->works, size);
    if (work) {
        nn_pass_run(&pass, work, &gradient);
    } else {
        pthread_mutex_lock(&b->mutex);
        b->is_short = true;
        pthread_mutex_unlock(&b->mutex);
    }
    if (b->with_gradient)
        merge(b, block, gradient);
    nn_work_put(b->model->engine->works, work);
}

/* blocks[n + 1] gets the first datum of each block; returns how many there are. */
static size_t cut_blocks(const nn_datum *datums, size_t n, size_t *blocks)
{
    size_t n_blocks = 0, tokens = 0;

    for (size_t i = 0; i < n; i++) {
        if (i == 0 || tokens + datums[i].n_tokens > BLOCK_TOKENS) {
            blocks[n_blocks++] = i;
            tokens = 0;
        }
        tokens += datums[i].n_tokens;
    }
    blocks[n_blocks] = n;
    return n_blocks;
}

static tkx_status run_batch(batch *b, size_t n, size_t *blocks, nn_loss_result *result,
                            tkx_error **err)
{
    size_t n_blocks = cut_blocks(b->datums, n, blocks);
    double sum = 0;

    pthread_mutex_init(&b->mutex, NULL);
    pthread_cond_init(&b->merged_one, NULL);
    nn_pool_run(b->model->engine->pool, n_blocks, run_block, b);
    pthread_cond_destroy(&b->merged_one);
    pthread_mutex_destroy(&b->mutex);
    if (b->is_short)
        return nn_fail_server(err, TKX_ERR_NO_MEMORY,
                              "no memory for the activations of %zu datums", n);
    if (b->plan->custom) {
        tkx_status st = b->plan->custom->finish(b->plan->custom->ctx, err);

        if (st != TKX_OK)
            return st;
    }
    for (size_t i = 0; i < n; i++)
        sum += b->losses[i];
    result->metrics[0] = (nn_metric){"loss:sum", sum};
    result->n_metrics = 1;
    for (size_t i = 0; b->with_gradient && i < b->model->adapter.n_values; i++)
        b->model->gradient[i] += b->sum[i];
    return TKX_OK;
}

static tkx_status run(nn_model *model, const nn_datum *datums, size_t n,
                      const nn_loss *loss, bool with_gradient, nn_loss_result **out,
                      tkx_error **err)
{
    const nn_config *c = &model->adapter.base->config;
    nn_loss_plan plan;
    nn_loss_result *result = NULL;
    size_t *blocks = NULL;
    batch b = {
        .model = model, .plan = &plan, .datums = datums, .with_gradient = with_gradient};
    tkx_status st = nn_loss_parse(loss, &plan, err);

    for (size_t i = 0; st == TKX_OK && i < n; i++)
        st = nn_loss_check(&plan, &datums[i], i, c->vocab_size, c->max_context,
                           with_gradient, err);
    if (st == TKX_OK)
        st = new_result(datums, n, &result, err);
    if (st != TKX_OK)
        goto done;
    b.results = result->datums;
    b.losses = tkx__calloc(n + 1, sizeof *b.losses);
    b.blocks = blocks = tkx__calloc(n + 1, sizeof *blocks);
    b.sum = tkx__calloc(with_gradient ? model->adapter.n_values : 1, sizeof *b.sum);
    if (!b.losses || !blocks || !b.sum)
        st = tkx__fail_memory(err);
    else
        st = run_batch(&b, n, blocks, result, err);
    if (st != TKX_OK)
        goto done;
    *out = result;
    result = NULL;
done:
    tkx__free(b.losses);
    tkx__free(blocks);
    tkx__free(b.sum);
    nn_loss_result_free(result);
    return st;
}

tkx_status nn_model_forward(nn_model *model, const nn_datum *datums, size_t n_datums,
                            const nn_loss *loss, nn_loss_result **out, tkx_error **err)
{
    return run(model, datums, n_datums, loss, false, out, err);
}

tkx_status nn_model_forward_backward(nn_model *model, const nn_datum *datums,
                                     size_t n_datums, const nn_loss *loss,
                                     nn_loss_result **out, tkx_error **err)
{
    return run(model, datums, n_datums, loss, true, out, err);
}
