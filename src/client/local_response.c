/* SPDX-License-Identifier: Apache-2.0 */
/* local_response.c - results of the scheduler as responses of the service. */
#include "client/local_response.h"

#include <string.h>

#include "client/tensor_copy.h"
#include "types/owned.h"

typedef struct copier {
    tkx__arena *arena;
    bool is_short; /* of memory */
} copier;

static void *copy(copier *c, const void *from, size_t count, size_t size)
{
    void *to = tkx__arena_alloc(c->arena, count ? count : 1, size);

    if (!to)
        c->is_short = true;
    else if (count)
        memcpy(to, from, count * size);
    return to;
}

/* first: the first row that has values; those before say that nothing is known. */
static const tkx_topk *topk(copier *c, const int64_t *ids, const float *logprobs,
                            size_t n_rows, size_t k, size_t first)
{
    tkx_topk *t = tkx__arena_zalloc(c->arena, 1, sizeof *t);
    tkx_topk_row *rows = tkx__arena_zalloc(c->arena, n_rows ? n_rows : 1, sizeof *rows);
    int32_t *narrow = tkx__arena_alloc(c->arena, n_rows * k + 1, sizeof *narrow);
    const float *values = copy(c, logprobs, n_rows * k, sizeof *values);

    if (!t || !rows || !narrow || !values) {
        c->is_short = true;
        return NULL;
    }
    for (size_t i = 0; i < n_rows * k; i++)
        narrow[i] = (int32_t)ids[i];
    for (size_t i = first; i < n_rows; i++)
        rows[i] = (tkx_topk_row){narrow + i * k, values + i * k, k};
    t->rows = rows;
    t->n_rows = n_rows;
    return t;
}

static void set_sequence(copier *c, tkx_sequence *out, const tkx__job_sequence *in,
                         size_t k)
{
    out->stop_reason = in->is_stop ? TKX_STOP_REASON_STOP : TKX_STOP_REASON_LENGTH;
    out->tokens = copy(c, in->tokens, in->n, sizeof *in->tokens);
    out->n_tokens = in->n;
    out->logprobs = copy(c, in->logprobs, in->n, sizeof *in->logprobs);
    out->n_logprobs = in->n;
    if (k)
        out->topk = topk(c, in->topk_ids, in->topk_logprobs, in->n, k, 0);
}

/* Logprobs in the layout of the targets. */
static const tkx_tensor *target_scores(copier *c, const tkx__job_result *r,
                                       const tkx_tensor *targets)
{
    tkx_tensor *t = tkx__tensor_copy(c->arena, targets);

    if (!t) {
        c->is_short = true;
        return NULL;
    }
    t->dtype = TKX_DTYPE_FLOAT32;
    t->values.f32 = copy(c, r->target_logprobs, r->n_targets, sizeof(float));
    return t;
}

/* [n_prompt - 1, alt_k] */
static tkx_tensor *alternatives(copier *c, const tkx__job_result *r, const void *values,
                                tkx_dtype dtype)
{
    tkx_tensor *t = tkx__arena_zalloc(c->arena, 1, sizeof *t);
    const int64_t shape[2] = {(int64_t)r->n_prompt - 1, (int64_t)r->alt_k};

    if (!t) {
        c->is_short = true;
        return NULL;
    }
    t->dtype = dtype;
    t->has_shape = true;
    t->n_dims = 2;
    t->shape = copy(c, shape, 2, sizeof *shape);
    t->n_values = (r->n_prompt - 1) * r->alt_k;
    t->values.any = copy(c, values, t->n_values,
                         dtype == TKX_DTYPE_INT64 ? sizeof(int64_t) : sizeof(float));
    return t;
}

static void set_prompt(copier *c, tkx_sample_response *out, const tkx__job_result *r,
                       const tkx_tensor *targets)
{
    if (r->prompt_logprobs) {
        out->prompt_logprobs = copy(c, r->prompt_logprobs, r->n_prompt, sizeof(float));
        out->n_prompt_logprobs = r->n_prompt;
    }
    if (r->topk)
        out->topk_prompt_logprobs =
            topk(c, r->topk_ids, r->topk_logprobs, r->n_prompt, r->topk, r->first_scored);
    if (targets)
        out->target_prompt_logprobs = target_scores(c, r, targets);
    if (!r->alt_k)
        return;
    out->alt_tokens = alternatives(c, r, r->alt_ids, TKX_DTYPE_INT64);
    out->alt_logprobs = alternatives(c, r, r->alt_logprobs, TKX_DTYPE_FLOAT32);
}

tkx_sample_response *tkx__local_response(const tkx__job_result *r,
                                         const tkx_tensor *targets)
{
    copier c = {0};
    tkx_sample_response *out = tkx__owned_new(sizeof *out, 4096, SIZE_MAX, &c.arena);

    if (!out)
        return NULL;
    out->sequences =
        tkx__arena_zalloc(c.arena, r->n_sequences + 1, sizeof *out->sequences);
    c.is_short = !out->sequences;
    for (size_t i = 0; !c.is_short && i < r->n_sequences; i++)
        set_sequence(&c, &out->sequences[i], &r->sequences[i], r->topk_sample);
    out->n_sequences = r->n_sequences;
    set_prompt(&c, out, r, targets);
    out->prompt_cache_hit_tokens = (int64_t)r->n_cached;
    if (!c.is_short)
        return out;
    tkx_sample_response_free(out);
    return NULL;
}
