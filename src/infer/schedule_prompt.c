/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schedule_prompt.c - what a job asks about its prompt: logprobs, the likeliest tokens,
 * given tokens, draws.
 *
 * Row i of the prompt's logits speaks of token i + 1.  Logits are made from the first row
 * that is asked about, 32 rows at a time, so a long prompt's never lie in memory at once.
 */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "infer/schedule_in.h"

/* Draws for the prompt come from a stream of their own, so that asking for them does not
   change the samples. */
#define SECOND_STREAM UINT64_C(0x9E3779B97F4A7C15)

/* The service's way to say: no value. */
#define NO_LOGPROB (-99999.0f)

static bool scores(const tkx__job_spec *spec)
{
    return spec->wants_prompt_logprobs || spec->topk_prompt > 0;
}

/* The first prompt token whose logprob and top-k are wanted. */
static size_t first_scored(const tkx__job_spec *spec)
{
    if (spec->score_last == 0 || spec->score_last >= spec->n_prompt)
        return 1;
    return spec->n_prompt - spec->score_last;
}

static size_t n_targets(const tkx__job_spec *spec)
{
    return spec->target_ids ? spec->target_rows[spec->n_prompt - 1] : 0;
}

/* The first row with a target; n_prompt - 1 when there is none. */
static size_t first_target_row(const tkx__job_spec *spec)
{
    size_t row = 0;
    size_t n = n_targets(spec);

    for (size_t i = 0; i < n; i++) {
        while (spec->target_rows[row + 1] <= i)
            row++;
        if (spec->target_ids[i] >= 0)
            return row;
    }
    return spec->n_prompt - 1;
}

static size_t first_row(const tkx__job_spec *spec)
{
    size_t row = first_target_row(spec);

    if (spec->alt_k > 0)
        row = 0;
    if (scores(spec) && first_scored(spec) - 1 < row)
        row = first_scored(spec) - 1;
    return row;
}

static tkx_status check_targets(const tkx__job_spec *spec, size_t vocab_size,
                                tkx_error **err)
{
    size_t n = n_targets(spec);
    size_t n_asked = 0;

    for (size_t i = 0; i < n; i++) {
        int64_t id = spec->target_ids[i];

        if (id < -1 || (id >= 0 && (uint64_t)id >= vocab_size))
            return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                             "target token %lld is outside the model's vocabulary of %zu",
                             (long long)id, vocab_size);
        n_asked += id >= 0;
    }
    if (spec->target_ids && n_asked == 0)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "the target tokens name no token at all");
    return TKX_OK;
}

tkx_status tkx__prompt_check(const tkx__job_spec *spec, size_t vocab_size,
                             tkx_error **err)
{
    if (spec->topk_prompt > vocab_size)
        return tkx__fail(
            err, TKX_ERR_INVALID_ARGUMENT,
            "the %zu likeliest tokens of a place were asked for, of a vocabulary of %zu",
            spec->topk_prompt, vocab_size);
    return check_targets(spec, vocab_size, err);
}

/* ---- room ---- */

static void *room(size_t rows, size_t cols, size_t size, bool *ok)
{
    size_t cells;
    void *p = NULL;

    if (*ok && tkx__mul(rows, cols, &cells))
        p = tkx__calloc(cells ? cells : 1, size);
    *ok = *ok && p != NULL;
    return p;
}

static bool copy_targets(tkx__job *job)
{
    tkx__job_spec *spec = &job->spec;
    size_t n = n_targets(spec);
    bool ok = true;

    if (!spec->target_ids)
        return true;
    job->target_ids = room(n, 1, sizeof *job->target_ids, &ok);
    job->target_rows = room(spec->n_prompt, 1, sizeof *job->target_rows, &ok);
    job->result->target_logprobs = room(n, 1, sizeof *job->result->target_logprobs, &ok);
    if (!ok)
        return false;
    job->result->n_targets = n;
    memcpy(job->target_ids, spec->target_ids, n * sizeof *job->target_ids);
    memcpy(job->target_rows, spec->target_rows,
           spec->n_prompt * sizeof *job->target_rows);
    spec->target_ids = job->target_ids;
    spec->target_rows = job->target_rows;
    return true;
}

static bool take_scores(const tkx__job_spec *spec, tkx__job_result *r)
{
    bool ok = true;

    if (spec->wants_prompt_logprobs)
        r->prompt_logprobs = room(spec->n_prompt, 1, sizeof *r->prompt_logprobs, &ok);
    for (size_t i = 0; r->prompt_logprobs && i < spec->n_prompt; i++)
        r->prompt_logprobs[i] = NAN;
    r->topk = spec->topk_prompt;
    if (!spec->topk_prompt)
        return ok;
    r->topk_ids = room(spec->n_prompt, r->topk, sizeof *r->topk_ids, &ok);
    r->topk_logprobs = room(spec->n_prompt, r->topk, sizeof *r->topk_logprobs, &ok);
    for (size_t i = 0; ok && i < spec->n_prompt * r->topk; i++)
        r->topk_logprobs[i] = NO_LOGPROB;
    return ok;
}

bool tkx__prompt_prepare(tkx__job *job)
{
    const tkx__job_spec *spec = &job->spec;
    tkx__job_result *r = job->result;
    bool ok = copy_targets(job) && take_scores(spec, r);

    r->first_scored = first_scored(spec);
    r->alt_k = spec->alt_k;
    if (spec->alt_k > 0) {
        r->alt_ids = room(spec->n_prompt, spec->alt_k, sizeof *r->alt_ids, &ok);
        r->alt_logprobs = room(spec->n_prompt, spec->alt_k, sizeof *r->alt_logprobs, &ok);
    }
    job->first_row = first_row(spec);
    return ok;
}

/* ---- one row ---- */

/* A sound row's logprobs are numbers. */
static void watch(tkx__job *job, float logprob)
{
    if (isnan(logprob))
        atomic_store_explicit(&job->is_unsound, true, memory_order_relaxed);
}

static void score_targets(tkx__job *job, size_t row, const float *logits,
                          tkx__token_sampler *sampler)
{
    for (size_t i = job->target_rows[row]; i < job->target_rows[row + 1]; i++) {
        float *logprob = &job->result->target_logprobs[i];

        if (job->target_ids[i] < 0)
            continue;
        *logprob = tkx__sample_logprob(sampler, logits, job->target_ids[i]);
        watch(job, *logprob);
    }
}

/* Each row begins at its own place of the stream: rows come in any order. */
static void draw_alternatives(tkx__job *job, size_t row, const float *logits,
                              tkx__token_sampler *sampler)
{
    const tkx__sample_params *p = &job->spec.params;
    tkx__job_result *r = job->result;
    tkx__rng rng;

    tkx__rng_init(&rng, job->spec.seed ^ SECOND_STREAM, 0);
    tkx__rng_skip(&rng, (uint64_t)row * r->alt_k);
    tkx__sample_alternatives(sampler, logits, p->temperature, p->mode, &rng, r->alt_k,
                             r->alt_ids + row * r->alt_k,
                             r->alt_logprobs + row * r->alt_k);
    watch(job, r->alt_logprobs[row * r->alt_k]);
}

void tkx__prompt_score(tkx__job *job, size_t row, const float *logits,
                       tkx__token_sampler *sampler)
{
    tkx__job_result *r = job->result;
    size_t next = row + 1;

    if (next >= r->first_scored) {
        if (r->prompt_logprobs) {
            r->prompt_logprobs[next] =
                tkx__sample_logprob(sampler, logits, job->prompt[next]);
            watch(job, r->prompt_logprobs[next]);
        }
        if (r->topk) {
            tkx__sample_top(sampler, logits, r->topk, r->topk_ids + next * r->topk,
                            r->topk_logprobs + next * r->topk);
            watch(job, r->topk_logprobs[next * r->topk]);
        }
    }
    if (job->target_ids)
        score_targets(job, row, logits, sampler);
    if (r->alt_k)
        draw_alternatives(job, row, logits, sampler);
}
