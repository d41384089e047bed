/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sample.c - a batch of requests: check all, run all prompts, then all groups of
 * sequences.
 */
#include "mock_server/nn/sample.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "mock_server/nn/fail.h"
#include "mock_server/nn/sample_job.h"

enum {
    MAX_SAMPLES = 4096,
    MAX_CELLS = 1 << 26 /* of any table that a request asks for */
};

static tkx_status check_tokens(const char *what, const int64_t *tokens, size_t n,
                               int64_t least, size_t vocab, tkx_error **err)
{
    for (size_t i = 0; i < n; i++)
        if (tokens[i] < least || (tokens[i] >= 0 && (uint64_t)tokens[i] >= vocab))
            return nn_fail_user(err, TKX_ERR_INVALID_ARGUMENT,
                                "%s[%zu] is %lld, outside the vocabulary of %zu tokens",
                                what, i, (long long)tokens[i], vocab);
    return TKX_OK;
}

static tkx_status check_table(const char *what, size_t rows, size_t columns,
                              tkx_error **err)
{
    size_t cells;

    if (!tkx__mul(rows, columns, &cells) || cells > MAX_CELLS)
        return nn_fail_user(
            err, TKX_ERR_LIMIT,
            "%s: %zu for each of %zu tokens is more than this server takes", what,
            columns, rows);
    return TKX_OK;
}

static tkx_status check_params(const nn_sample_request *q, tkx_error **err)
{
    if (!(q->temperature >= 0) || !isfinite(q->temperature))
        return nn_fail_user(err, TKX_ERR_INVALID_ARGUMENT,
                            "sampling_params: temperature is %g, must be at least 0",
                            q->temperature);
    if (!(q->top_p > 0))
        return nn_fail_user(err, TKX_ERR_INVALID_ARGUMENT,
                            "sampling_params: top_p is %g, must be above 0", q->top_p);
    if (q->n_samples == 0 || q->n_samples > MAX_SAMPLES)
        return nn_fail_user(err, TKX_ERR_INVALID_ARGUMENT,
                            "num_samples is %zu, expected 1 to %d", q->n_samples,
                            MAX_SAMPLES);
    if (q->max_tokens == 0 && !q->to_context_end)
        return nn_fail_user(err, TKX_ERR_INVALID_ARGUMENT,
                            "sampling_params: max_tokens is 0, must be at least 1");
    if (q->prompt_last_n > 0 && !q->prompt_logprobs)
        return nn_fail_user(err, TKX_ERR_INVALID_ARGUMENT,
                            "prompt_logprobs_last_n needs prompt_logprobs: true");
    if (q->prompt_last_n >= q->n_prompt && q->prompt_last_n > 0)
        return nn_fail_user(err, TKX_ERR_INVALID_ARGUMENT,
                            "prompt_logprobs_last_n is %zu for a prompt of %zu tokens",
                            q->prompt_last_n, q->n_prompt);
    return TKX_OK;
}

static tkx_status check_lengths(nn_sample_job *job, tkx_error **err)
{
    const nn_sample_request *q = job->request;
    size_t context = job->snapshot->base->config.max_context;

    if (q->n_prompt == 0)
        return nn_fail_user(err, TKX_ERR_INVALID_ARGUMENT, "the prompt has no tokens");
    if (q->n_prompt > context)
        return nn_fail_user(err, TKX_ERR_LIMIT,
                            "a prompt of %zu tokens does not fit the context of %zu",
                            q->n_prompt, context);
    /* The last token is drawn but never read, so it needs no place. */
    job->max_tokens = context - q->n_prompt + 1;
    if (q->to_context_end)
        return TKX_OK;
    if (q->max_tokens > job->max_tokens)
        return nn_fail_user(err, TKX_ERR_LIMIT,
                            "a prompt of %zu tokens and max_tokens %zu do not fit the "
                            "context of %zu",
                            q->n_prompt, q->max_tokens, context);
    job->max_tokens = q->max_tokens;
    return TKX_OK;
}

/* USER errors for everything that cannot be served; sets max_tokens. */
static tkx_status check_job(nn_sample_job *job, tkx_error **err)
{
    const nn_sample_request *q = job->request;
    const nn_base *base = job->snapshot->base;
    size_t vocab = base->config.vocab_size;
    tkx_status st = check_params(q, err);

    if (st == TKX_OK)
        st = check_lengths(job, err);
    if (st == TKX_OK)
        st = check_tokens("prompt", q->prompt, q->n_prompt, 0, vocab, err);
    if (st == TKX_OK)
        st = check_table("topk_prompt_logprobs", q->n_prompt, q->topk_prompt, err);
    if (st == TKX_OK)
        st = check_table("topk_sample_logprobs", job->max_tokens, q->topk_sample, err);
    if (st == TKX_OK)
        st = check_table("prompt_alt_tokens_k", q->n_prompt, q->prompt_alt_k, err);
    if (st == TKX_OK && q->n_prompt_targets > 0)
        st = check_table("target_prompt_logprobs", q->n_prompt, q->n_prompt_targets, err);
    if (st == TKX_OK && q->n_prompt_targets > 0)
        st = check_tokens("target_prompt_logprobs", q->prompt_targets,
                          (q->n_prompt - 1) * q->n_prompt_targets, -1, vocab, err);
    if (st == TKX_OK && q->n_stop_strings > 0 && !nn_base_get_info(base).has_tokenizer)
        st = nn_fail_user(err, TKX_ERR_UNSUPPORTED,
                          "stop strings need a tokenizer, and '%s' has none here; give "
                          "stop token ids",
                          base->name);
    return st;
}

/* The pieces of work of a batch. */
typedef struct batch {
    nn_sample_job *jobs; /* [n] */
    size_t n;
    size_t *groups;     /* [n + 1], where each request's groups begin */
    tkx_error **errors; /* one for each group, so that no two threads share one */
    tkx_status *statuses;
} batch;

static void run_prompt(void *ctx, size_t piece)
{
    nn_sample_job *job = &((batch *)ctx)->jobs[piece];
    nn_sample_result *r = job->result;

    r->status = check_job(job, &r->error);
    if (r->status != TKX_OK)
        return;
    r->sequences = tkx__calloc(job->request->n_samples, sizeof *r->sequences);
    r->n_sequences = r->sequences ? job->request->n_samples : 0;
    r->status =
        r->sequences ? nn_prompt_run(job, &r->error) : tkx__fail_memory(&r->error);
}

static void run_group(void *ctx, size_t piece)
{
    batch *b = ctx;
    size_t i = 0, first, n;

    while (b->groups[i + 1] <= piece)
        i++;
    first = (piece - b->groups[i]) * NN_GROUP;
    n = b->jobs[i].request->n_samples - first;
    b->statuses[piece] = nn_sequences_run(&b->jobs[i], first, n < NN_GROUP ? n : NN_GROUP,
                                          &b->errors[piece]);
}

/* The first failed group of a request is its outcome. */
static void collect(batch *b)
{
    for (size_t i = 0; i < b->n; i++)
        for (size_t g = b->groups[i]; g < b->groups[i + 1]; g++) {
            nn_sample_result *r = b->jobs[i].result;

            if (b->statuses[g] != TKX_OK && r->status == TKX_OK) {
                r->status = b->statuses[g];
                r->error = b->errors[g];
                b->errors[g] = NULL;
            }
            tkx_error_free(b->errors[g]);
        }
}

static tkx_status run_groups(nn_engine *engine, batch *b, tkx_error **err)
{
    size_t n = 0;
    tkx_status st = TKX_OK;

    for (size_t i = 0; i < b->n; i++) {
        b->groups[i] = n;
        if (b->jobs[i].result->status == TKX_OK)
            n += (b->jobs[i].request->n_samples + NN_GROUP - 1) / NN_GROUP;
    }
    b->groups[b->n] = n;
    b->errors = tkx__calloc(n + 1, sizeof(tkx_error *));
    b->statuses = tkx__calloc(n + 1, sizeof *b->statuses);
    if (b->errors && b->statuses) {
        nn_pool_run(engine->pool, n, run_group, b);
        collect(b);
    } else {
        st = tkx__fail_memory(err);
    }
    tkx__free(b->errors);
    tkx__free(b->statuses);
    return st;
}

/* Drop what a failed request has, keeping its outcome. */
static void clear_data(nn_sample_result *r)
{
    tkx_status status = r->status;
    tkx_error *error = r->error;

    r->error = NULL;
    nn_sample_result_clear(r);
    r->status = status;
    r->error = error;
}

tkx_status nn_sample(nn_snapshot *snapshot, const nn_sample_request *requests, size_t n,
                     nn_sample_result *results, tkx_error **err)
{
    batch b = {.n = n};
    tkx_status st = TKX_OK;

    memset(results, 0, n * sizeof *results);
    b.jobs = tkx__calloc(n ? n : 1, sizeof *b.jobs);
    b.groups = tkx__calloc(n + 1, sizeof *b.groups);
    if (!b.jobs || !b.groups) {
        st = tkx__fail_memory(err);
        goto done;
    }
    for (size_t i = 0; i < n; i++)
        b.jobs[i] = (nn_sample_job){
            .snapshot = snapshot, .request = &requests[i], .result = &results[i]};
    nn_pool_run(snapshot->engine->pool, n, run_prompt, &b);
    st = run_groups(snapshot->engine, &b, err);
    for (size_t i = 0; i < n; i++) {
        nn_kv_clear(&b.jobs[i].prompt);
        tkx__free(b.jobs[i].last_logits);
        if (st != TKX_OK)
            nn_sample_result_clear(&results[i]);
        else if (results[i].status != TKX_OK)
            clear_data(&results[i]);
    }
done:
    tkx__free(b.jobs);
    tkx__free(b.groups);
    return st;
}

static void clear_topk(nn_topk *topk)
{
    tkx__free(topk->tokens);
    tkx__free(topk->logprobs);
}

void nn_sample_result_clear(nn_sample_result *r)
{
    for (size_t i = 0; i < r->n_sequences; i++) {
        tkx__free(r->sequences[i].tokens);
        tkx__free(r->sequences[i].logprobs);
        clear_topk(&r->sequences[i].topk);
    }
    tkx__free(r->sequences);
    tkx__free(r->prompt_logprobs);
    clear_topk(&r->prompt_topk);
    tkx__free(r->prompt_target_logprobs);
    tkx__free(r->prompt_alt_tokens);
    tkx__free(r->prompt_alt_logprobs);
    tkx_error_free(r->error);
    memset(r, 0, sizeof *r);
}
