/* SPDX-License-Identifier: Apache-2.0 */
/* local_response.c - results of the scheduler as responses of the service. */
#include "client/local_response.h"

#include <string.h>

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

tkx_sample_response *tkx__local_response(const tkx__job_result *r)
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
    if (r->prompt_logprobs) {
        out->prompt_logprobs = copy(&c, r->prompt_logprobs, r->n_prompt, sizeof(float));
        out->n_prompt_logprobs = r->n_prompt;
    }
    if (r->topk)
        out->topk_prompt_logprobs =
            topk(&c, r->topk_ids, r->topk_logprobs, r->n_prompt, r->topk, 1);
    out->prompt_cache_hit_tokens = (int64_t)r->n_cached;
    if (!c.is_short)
        return out;
    tkx_sample_response_free(out);
    return NULL;
}
