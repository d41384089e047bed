/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prompt.c - one pass over a prompt: its keys and values, and the scores asked for.
 *
 * Logits are made only for rows that something asks about.  Row i predicts token i + 1.
 */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "mock_server/nn/fail.h"
#include "mock_server/nn/filter.h"
#include "mock_server/nn/sample_job.h"

enum { LOGIT_ROWS = 32 };

static const float no_logprob = -99999.0f;
static const uint64_t second_stream = 0x9E3779B97F4A7C15u;

typedef struct prompt_run {
    nn_sample_job *job;
    nn_decoder decoder;
    nn_candidate *kept; /* [vocab], for alternative tokens */
    nn_random random;
    size_t first_scored; /* prompt token from which logprobs and top-k are wanted */
    size_t first_target; /* the same for targets */
    bool *is_wanted;     /* [n_prompt]: something is asked of this row's logits */
} prompt_run;

static bool take_topk(nn_topk *topk, size_t n, size_t k)
{
    size_t cells;

    if (k == 0)
        return true;
    if (!tkx__mul(n, k, &cells))
        return false;
    topk->n = n;
    topk->k = k;
    topk->tokens = tkx__calloc(cells, sizeof *topk->tokens);
    topk->logprobs = tkx__calloc(cells, sizeof *topk->logprobs);
    if (!topk->tokens || !topk->logprobs)
        return false;
    for (size_t i = 0; i < cells; i++)
        topk->logprobs[i] = no_logprob;
    return true;
}

static bool take_results(const nn_sample_request *q, nn_sample_result *r)
{
    size_t n = q->n_prompt;
    bool ok = take_topk(&r->prompt_topk, n, q->topk_prompt);

    r->n_prompt = n;
    if (q->prompt_logprobs) {
        r->prompt_logprobs = tkx__calloc(n, sizeof *r->prompt_logprobs);
        for (size_t i = 0; r->prompt_logprobs && i < n; i++)
            r->prompt_logprobs[i] = NAN;
        ok = ok && r->prompt_logprobs;
    }
    if (q->n_prompt_targets > 0) {
        r->prompt_target_logprobs =
            tkx__calloc(n * q->n_prompt_targets, sizeof *r->prompt_target_logprobs);
        ok = ok && r->prompt_target_logprobs;
    }
    if (q->prompt_alt_k > 0) {
        r->prompt_alt_tokens =
            tkx__calloc(n * q->prompt_alt_k, sizeof *r->prompt_alt_tokens);
        r->prompt_alt_logprobs =
            tkx__calloc(n * q->prompt_alt_k, sizeof *r->prompt_alt_logprobs);
        ok = ok && r->prompt_alt_tokens && r->prompt_alt_logprobs;
    }
    return ok;
}

static bool has_target(const nn_sample_request *q, size_t row)
{
    for (size_t k = 0; k < q->n_prompt_targets; k++)
        if (q->prompt_targets[row * q->n_prompt_targets + k] >= 0)
            return true;
    return false;
}

static void mark_wanted(prompt_run *run)
{
    const nn_sample_request *q = run->job->request;
    bool scores = q->prompt_logprobs || q->topk_prompt > 0;

    run->first_scored = 1;
    if (q->prompt_last_n > 0 && q->prompt_last_n < q->n_prompt)
        run->first_scored = q->n_prompt - q->prompt_last_n;
    for (size_t i = 0; i + 1 < q->n_prompt; i++)
        run->is_wanted[i] = (scores && i + 1 >= run->first_scored) ||
                            q->prompt_alt_k > 0 || has_target(q, i);
    run->is_wanted[q->n_prompt - 1] = true;
}

/* Alternatives to prompt token row + 1, at the request's temperature, unfiltered. */
static void draw_alternatives(prompt_run *run, size_t row, const float *z, double lse)
{
    const nn_sample_request *q = run->job->request;
    nn_sample_result *r = run->job->result;
    size_t vocab = run->job->snapshot->base->config.vocab_size;
    nn_filter filter = {.temperature = q->temperature, .top_p = 1};
    size_t n = nn_filter_apply(&filter, z, vocab, run->kept);
    bool tempered = q->logprob_mode == NN_LOGPROB_TEMPERED && q->temperature > 0;
    double by = tempered ? 1 / q->temperature : 1;

    if (tempered)
        lse = nn_log_sum_exp(z, vocab, by);
    for (size_t k = 0; k < q->prompt_alt_k; k++) {
        int32_t id = run->kept[0].id;

        if (q->temperature > 0)
            id = nn_filter_draw(run->kept, n, nn_random_unit(&run->random));
        r->prompt_alt_tokens[row * q->prompt_alt_k + k] = id;
        r->prompt_alt_logprobs[row * q->prompt_alt_k + k] =
            (float)((double)z[id] * by - lse);
    }
}

/* Everything asked about prompt token row + 1, from that row's logits. */
static void score_row(prompt_run *run, size_t row, const float *z)
{
    const nn_sample_request *q = run->job->request;
    nn_sample_result *r = run->job->result;
    size_t vocab = run->job->snapshot->base->config.vocab_size;
    double lse = nn_log_sum_exp(z, vocab, 1);

    if (row + 1 >= run->first_scored && q->prompt_logprobs)
        r->prompt_logprobs[row + 1] = (float)((double)z[q->prompt[row + 1]] - lse);
    if (row + 1 >= run->first_scored && q->topk_prompt > 0) {
        size_t k = q->topk_prompt < vocab ? q->topk_prompt : vocab;
        float *values = r->prompt_topk.logprobs + (row + 1) * q->topk_prompt;

        nn_top_k(z, vocab, k, r->prompt_topk.tokens + (row + 1) * q->topk_prompt, values);
        for (size_t i = 0; i < k; i++)
            values[i] = (float)((double)values[i] - lse);
    }
    for (size_t k = 0; k < q->n_prompt_targets; k++) {
        int64_t target = q->prompt_targets[row * q->n_prompt_targets + k];

        if (target >= 0)
            r->prompt_target_logprobs[row * q->n_prompt_targets + k] =
                (float)((double)z[target] - lse);
    }
    if (q->prompt_alt_k > 0)
        draw_alternatives(run, row, z, lse);
}

/* Logits of the wanted rows among first .. first + n, which were just decoded. */
static void score_piece(prompt_run *run, size_t first, size_t n)
{
    size_t vocab = run->job->snapshot->base->config.vocab_size;
    size_t last = run->job->request->n_prompt - 1;

    for (size_t at = 0; at < n; at += LOGIT_ROWS) {
        size_t m = n - at < LOGIT_ROWS ? n - at : LOGIT_ROWS;
        bool is_wanted = false;

        for (size_t i = 0; i < m; i++)
            is_wanted |= run->is_wanted[first + at + i];
        if (!is_wanted)
            continue;
        nn_decode_logits(&run->decoder, at, m);
        for (size_t i = 0; i < m; i++) {
            size_t row = first + at + i;
            const float *z = run->decoder.logits + i * vocab;

            if (row == last)
                memcpy(run->job->last_logits, z, vocab * sizeof *z);
            else if (run->is_wanted[row])
                score_row(run, row, z);
        }
    }
}

/* How far nothing is asked about. */
static size_t n_unasked(const prompt_run *run)
{
    size_t n = 0;

    while (n < run->job->request->n_prompt && !run->is_wanted[n])
        n++;
    return n;
}

static tkx_status run_pieces(prompt_run *run, nn_row *rows, tkx_error **err)
{
    nn_sample_job *job = run->job;
    const nn_sample_request *q = job->request;
    const nn_config *c = &job->snapshot->base->config;
    nn_prefix_store *known = &job->snapshot->prefixes;

    job->result->n_cached =
        nn_prefix_take(known, c, q->prompt, n_unasked(run), &job->prompt);
    for (size_t first = job->result->n_cached; first < q->n_prompt;
         first += NN_PREFILL_ROWS) {
        size_t n = q->n_prompt - first;

        n = n < NN_PREFILL_ROWS ? n : NN_PREFILL_ROWS;
        if (q->is_cancelled && q->is_cancelled(q->user_data))
            return nn_fail_user(err, TKX_ERR_CANCELLED, "the sample was cancelled");
        for (size_t i = 0; i < n; i++)
            rows[i] = (nn_row){.token = q->prompt[first + i], .own = &job->prompt};
        nn_decode(&run->decoder, rows, n);
        score_piece(run, first, n);
    }
    nn_prefix_keep(known, c, q->prompt, q->n_prompt, &job->prompt);
    return TKX_OK;
}

tkx_status nn_prompt_run(nn_sample_job *job, tkx_error **err)
{
    const nn_sample_request *q = job->request;
    const nn_config *c = &job->snapshot->base->config;
    nn_work measure = {0}, *work = NULL;
    nn_row *rows = tkx__calloc(NN_PREFILL_ROWS, sizeof *rows);
    prompt_run run = {.job = job, .random = {q->seed ^ second_stream}};
    tkx_status st = TKX_OK;

    run.decoder = (nn_decoder){
        .base = job->snapshot->base,
        .adapter = job->snapshot->has_adapter ? &job->snapshot->adapter : NULL,
        .max_rows = NN_PREFILL_ROWS,
        .is_prefill = true,
        .max_logit_rows = LOGIT_ROWS};
    nn_decoder_take(&measure, &run.decoder, c->max_context);
    work = nn_work_get(job->snapshot->engine->works, measure.used);
    run.is_wanted = tkx__calloc(q->n_prompt, sizeof *run.is_wanted);
    run.kept = q->prompt_alt_k > 0 ? tkx__calloc(c->vocab_size, sizeof *run.kept) : NULL;
    job->last_logits = tkx__calloc(c->vocab_size, sizeof *job->last_logits);
    if (!rows || !work || !run.is_wanted || (q->prompt_alt_k > 0 && !run.kept) ||
        !job->last_logits || !take_results(q, job->result) ||
        !nn_kv_reserve(&job->prompt, c, q->n_prompt)) {
        st = nn_fail_server(err, TKX_ERR_NO_MEMORY,
                            "no memory for a prompt of %zu tokens", q->n_prompt);
    } else {
        nn_decoder_take(work, &run.decoder, c->max_context);
        mark_wanted(&run);
        st = run_pieces(&run, rows, err);
    }
    nn_work_put(job->snapshot->engine->works, work);
    tkx__free(run.is_wanted);
    tkx__free(run.kept);
    tkx__free(rows);
    return st;
}
