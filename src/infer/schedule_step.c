/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schedule_step.c - what the compute thread does: let jobs in, compose a step, draw.
 *
 * Compute thread only.  A step holds one token of each sequence that decodes and, in the
 * room that is left, pieces of prompts.  Rows of logits are worked on in parallel, one
 * token sampler to a thread.
 */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "infer/schedule_in.h"

static uint64_t root_of(const tkx__job *job)
{
    return job->spec.adapter ? tkx__adapter_uid(job->spec.adapter) : 0;
}

/* ---- blocks ---- */

static void drop_blocks(tkx__schedule *s, uint32_t *blocks, size_t *n)
{
    while (*n > 0)
        tkx__kv_unref(s->kv, blocks[--*n]);
}

/* Blocks for positions below n_tok; false if one that was promised is not there. */
static bool hold_blocks(tkx__schedule *s, uint32_t *blocks, size_t *n, size_t n_tok)
{
    while (*n < tkx__kv_blocks_for(n_tok)) {
        uint32_t id = tkx__prefix_alloc(s->prefix);

        if (id == TKX__KV_NONE)
            return false;
        blocks[(*n)++] = id;
    }
    return true;
}

/* ---- the ends of samples and jobs ---- */

static void remove_sequence(tkx__schedule *s, size_t i)
{
    sequence *seq = s->run.sequences[i];
    tkx__job *job = seq->job;
    size_t promised = tkx__job_sample_blocks(job);

    /* what was computed may begin the next turn's prompt */
    tkx__prefix_insert(s->prefix, root_of(job), seq->history, seq->pos, seq->blocks);
    drop_blocks(s, seq->blocks, &seq->n_blocks);
    s->run.n_promised -= promised;
    job->promised -= promised;
    tkx__sequence_free(seq);
    s->run.sequences[i] = s->run.sequences[--s->run.n_sequences];
}

static void unlink_job(tkx__schedule *s, tkx__job *job)
{
    tkx__job **at = &s->shared.open;

    pthread_mutex_lock(&s->shared.lock);
    while (*at && *at != job)
        at = &(*at)->next;
    if (*at)
        *at = job->next;
    s->shared.n_jobs--;
    pthread_mutex_unlock(&s->shared.lock);
}

void tkx__schedule_end(tkx__schedule *s, tkx__job *job, tkx_error *error)
{
    tkx__job_result *result = NULL;

    for (size_t i = s->run.n_sequences; i > 0; i--) {
        if (s->run.sequences[i - 1]->job == job)
            remove_sequence(s, i - 1);
    }
    drop_blocks(s, job->blocks, &job->n_blocks);
    s->run.n_promised -= job->promised;
    job->promised = 0;
    unlink_job(s, job);
    if (!error) {
        result = job->result;
        job->result = NULL;
    }
    job->spec.on_done(job->spec.ctx, result, error);
    tkx__job_free(job);
}

static void fail_job(tkx__schedule *s, tkx__job *job, tkx_status status,
                     const char *message)
{
    tkx_error *error = NULL;

    (void)tkx__fail(&error, status, "%s", message);
    tkx__schedule_end(s, job, error);
}

/* ---- letting jobs in ---- */

static bool promise(tkx__schedule *s, tkx__job *job, size_t n_blocks)
{
    if (n_blocks > tkx__kv_n_blocks(s->kv) - s->run.n_promised)
        return false;
    s->run.n_promised += n_blocks;
    job->promised += n_blocks;
    return true;
}

/* The prompt's full blocks that are cached, up to the first token whose logits are
   wanted; those of the last always are. */
static void use_cache(tkx__schedule *s, tkx__job *job)
{
    job->n_blocks = tkx__prefix_match(s->prefix, root_of(job), job->prompt,
                                      job->first_row, job->blocks);
    job->n_computed = job->n_blocks * TKX__KV_BLOCK;
    job->result->n_cached = job->n_computed;
}

/* False: it has to wait.  A job that cannot be is ended, which counts as true. */
static bool let_in(tkx__schedule *s, tkx__job *job)
{
    tkx_error *error = NULL;

    if (!promise(s, job,
                 tkx__kv_blocks_for(job->spec.n_prompt) + tkx__job_sample_blocks(job)))
        return false;
    if (job->spec.adapter &&
        s->backend->admit(s->state, job->spec.adapter, &error) != TKX_OK) {
        tkx__schedule_end(s, job, error);
        return true;
    }
    use_cache(s, job);
    job->state = JOB_PREFILL;
    return true;
}

/* New jobs join the open ones, in order; cancelled ones end. */
static void take_incoming(tkx__schedule *s)
{
    tkx__job **tail = &s->shared.open;

    pthread_mutex_lock(&s->shared.lock);
    while (*tail)
        tail = &(*tail)->next;
    *tail = s->shared.incoming;
    s->shared.incoming = NULL;
    s->shared.incoming_tail = &s->shared.incoming;
    pthread_mutex_unlock(&s->shared.lock);
}

static bool is_cancelled(tkx__schedule *s, const tkx__job *job)
{
    bool cancelled;

    pthread_mutex_lock(&s->shared.lock);
    cancelled = job->is_cancelled;
    pthread_mutex_unlock(&s->shared.lock);
    return cancelled;
}

static void admit_jobs(tkx__schedule *s)
{
    tkx__job *next;
    bool is_full = false;

    take_incoming(s);
    for (tkx__job *job = s->shared.open; job; job = next) { /* only this thread relinks */
        next = job->next;
        if (is_cancelled(s, job))
            fail_job(s, job, TKX_ERR_CANCELLED, "the request was cancelled");
        else if (job->state == JOB_WAITING && !is_full)
            is_full = !let_in(s, job); /* first come, first served */
    }
}

/* ---- samples ---- */

/* Draw the next token of seq from its row, and what was asked about the position. */
static void draw(tkx__token_sampler *sampler, sequence *seq, const float *row)
{
    const tkx__job *job = seq->job;
    tkx__job_sequence *r = &job->result->sequences[seq->index];
    size_t k = job->spec.topk_sample;

    if (k)
        tkx__sample_top(sampler, row, k, r->topk_ids + r->n * k,
                        r->topk_logprobs + r->n * k);
    seq->last = tkx__sample_token(sampler, row, &job->spec.params, seq->history,
                                  seq->n_history, &seq->rng, &seq->logprob);
    seq->has_drawn = true;
}

static void draw_first(void *ctx, size_t piece, size_t thread)
{
    tkx__schedule *s = ctx;
    sequence *seq = s->run.fresh[piece];

    seq->is_fresh = false;
    draw(s->samplers[thread], seq, seq->job->logits);
}

/* The prompt's blocks, the last one as a copy of its own when it is not full. */
static bool share_prompt(tkx__schedule *s, sequence *seq)
{
    const tkx__job *job = seq->job;
    size_t n_full = job->spec.n_prompt / TKX__KV_BLOCK;

    for (size_t i = 0; i < n_full; i++) {
        tkx__kv_ref(s->kv, job->blocks[i]);
        seq->blocks[seq->n_blocks++] = job->blocks[i];
    }
    if (job->spec.n_prompt % TKX__KV_BLOCK != 0) {
        uint32_t copy = tkx__prefix_copy(s->prefix, job->blocks[n_full]);

        if (copy == TKX__KV_NONE)
            return false;
        seq->blocks[seq->n_blocks++] = copy;
    }
    seq->pos = job->spec.n_prompt;
    return true;
}

/* Start one more sample of the job; false when there is no room now, none is left, or the
   job failed and is gone. */
static bool start_sample(tkx__schedule *s, tkx__job *job)
{
    tkx_error *error = NULL;
    sequence *seq;

    if (job->n_started == job->spec.n_samples || s->run.n_sequences == s->max_sequences)
        return false;
    if (job->n_started > 0 && !promise(s, job, tkx__job_sample_blocks(job)))
        return false; /* the first one's blocks were promised with the prompt's */
    if (tkx__sequence_new(job, job->n_started, &seq, &error) != TKX_OK) {
        tkx__schedule_end(s, job, error);
        return false;
    }
    job->n_started++;
    seq->is_fresh = true;
    s->run.sequences[s->run.n_sequences++] = seq;
    if (!share_prompt(s, seq)) {
        fail_job(s, job, TKX_ERR_NO_MEMORY,
                 "the KV cache has no block that was promised");
        return false;
    }
    return true;
}

static bool is_stop_id(const tkx__job *job, int64_t id)
{
    for (size_t i = 0; i < job->spec.n_stop_ids; i++) {
        if (job->stop_ids[i] == id)
            return true;
    }
    return false;
}

/* Keep the token just drawn; true when the sample ends with it. */
static bool keep_token(sequence *seq)
{
    tkx__job *job = seq->job;
    tkx__job_sequence *r = &job->result->sequences[seq->index];

    if (isnan(seq->logprob)) {
        atomic_store_explicit(&job->is_unsound, true, memory_order_relaxed);
        return true;
    }
    r->tokens[r->n] = (int32_t)seq->last;
    r->logprobs[r->n++] = seq->logprob;
    seq->history[seq->n_history++] = seq->last;
    r->is_stop = is_stop_id(job, seq->last);
    if (job->spec.on_token &&
        job->spec.on_token(job->spec.ctx, seq->index, seq->last, seq->logprob))
        r->is_stop = true;
    return r->is_stop || r->n == job->spec.max_tokens;
}

/* Keep what was drawn; samples that end are let go. */
static void keep_tokens(tkx__schedule *s)
{
    for (size_t i = s->run.n_sequences; i > 0;
         i--) { /* removal moves the last one here */
        sequence *seq = s->run.sequences[i - 1];

        if (!seq->has_drawn)
            continue;
        seq->has_drawn = false;
        if (!keep_token(seq))
            continue;
        seq->job->n_ended++;
        remove_sequence(s, i - 1);
    }
}

static void end_finished(tkx__schedule *s)
{
    tkx__job *next;

    for (tkx__job *job = s->shared.open; job; job = next) {
        next = job->next;
        if (atomic_load_explicit(&job->is_unsound, memory_order_relaxed))
            fail_job(
                s, job, TKX_ERR_PARSE,
                "the model's logits are no numbers: its weights or the adapter's are "
                "damaged, or beyond float16 (try compute f32)");
        else if (job->state == JOB_DRAWING &&
                 (job->n_ended == job->spec.n_samples || job->spec.max_tokens == 0))
            tkx__schedule_end(s, job, NULL);
    }
}

/* Start what can be started and draw the first tokens. */
static void start_samples(tkx__schedule *s)
{
    size_t n_fresh = 0;
    tkx__job *next;

    for (tkx__job *job = s->shared.open; job; job = next) {
        next = job->next;
        while (job->state == JOB_DRAWING && job->spec.max_tokens > 0 &&
               start_sample(s, job))
            ;
    }
    for (size_t i = 0; i < s->run.n_sequences; i++) {
        if (s->run.sequences[i]->is_fresh)
            s->run.fresh[n_fresh++] = s->run.sequences[i];
    }
    if (n_fresh) {
        tkx__threads_run(s->pool, n_fresh, draw_first, s);
        keep_tokens(s);
    }
}

/* ---- composing a step ---- */

/* Whether one more part may use the adapter: a step takes so many different ones. */
static bool adapter_fits(const tkx__schedule *s, const tkx__adapter *adapter)
{
    const tkx__adapter *seen[TKX__GRAPH_MAX_ADAPTERS];
    size_t n = 0;

    if (!adapter)
        return true;
    for (size_t i = 0; i < s->run.n_parts; i++) {
        const tkx__adapter *other = s->run.parts[i].adapter;
        size_t j = 0;

        if (other == adapter)
            return true;
        while (j < n && seen[j] != other)
            j++;
        if (other && j == n && n < TKX__GRAPH_MAX_ADAPTERS)
            seen[n++] = other;
    }
    return n < TKX__GRAPH_MAX_ADAPTERS;
}

static void add_part(tkx__schedule *s, tkx__job *job, sequence *seq,
                     const tkx__step_part *part)
{
    s->run.owners[s->run.n_parts] = (part_owner){job, seq};
    s->run.parts[s->run.n_parts++] = *part;
}

static size_t add_decodes(tkx__schedule *s)
{
    size_t n = s->run.n_sequences;
    size_t n_added = 0;

    for (size_t i = 0; i < n; i++) {
        sequence *seq = s->run.sequences[(s->run.turn + i) % n];
        tkx__step_part part = {.tokens = &seq->last,
                               .n_tokens = 1,
                               .pos = seq->pos,
                               .block_ids = seq->blocks,
                               .adapter = seq->job->spec.adapter,
                               .n_logits = 1};

        if (n_added == s->step_tokens || !adapter_fits(s, part.adapter) ||
            !hold_blocks(s, seq->blocks, &seq->n_blocks, seq->pos + 1))
            continue;
        add_part(s, seq->job, seq, &part);
        n_added++;
    }
    s->run.turn++;
    return n_added;
}

static void add_prefills(tkx__schedule *s, size_t n_tokens)
{
    size_t n_prefills = 0;

    for (tkx__job *job = s->shared.open; job; job = job->next) {
        size_t left = job->spec.n_prompt - job->n_computed;
        size_t n = left < s->step_tokens - n_tokens ? left : s->step_tokens - n_tokens;
        size_t end = job->n_computed + n;
        size_t row = job->first_row < job->n_computed ? job->n_computed : job->first_row;
        tkx__step_part part = {.tokens = job->prompt + job->n_computed,
                               .n_tokens = n,
                               .pos = job->n_computed,
                               .block_ids = job->blocks,
                               .adapter = job->spec.adapter,
                               .n_logits = row < end ? end - row : 0};

        if (job->state != JOB_PREFILL || n == 0 || n_prefills == MAX_PREFILLS ||
            !adapter_fits(s, part.adapter) ||
            !hold_blocks(s, job->blocks, &job->n_blocks, job->n_computed + n))
            continue;
        add_part(s, job, NULL, &part);
        n_tokens += n;
        n_prefills++;
    }
}

/* ---- rows of logits ---- */

typedef struct row_work {
    tkx__schedule *s;
    const tkx__logits_row *rows;
    const float *logits;
} row_work;

static void take_prompt_row(tkx__schedule *s, tkx__job *job, size_t pos, const float *row,
                            tkx__token_sampler *sampler)
{
    if (pos + 1 == job->spec.n_prompt)
        memcpy(job->logits, row, s->weights->config.vocab_size * sizeof *row);
    else
        tkx__prompt_score(job, pos, row, sampler);
}

static void take_row(void *ctx, size_t piece, size_t thread)
{
    const row_work *w = ctx;
    const tkx__logits_row *at = &w->rows[piece];
    const part_owner *owner = &w->s->run.owners[at->part];
    const float *row = w->logits + piece * w->s->weights->config.vocab_size;
    tkx__token_sampler *sampler = w->s->samplers[thread];

    if (owner->seq)
        draw(sampler, owner->seq, row);
    else
        take_prompt_row(w->s, owner->job, w->s->run.parts[at->part].pos + at->token, row,
                        sampler);
}

static void take_rows(void *ctx, const tkx__logits_row *rows, size_t n_rows,
                      const float *logits)
{
    row_work w = {ctx, rows, logits};

    tkx__threads_run(w.s->pool, n_rows, take_row, &w);
}

/* ---- the step ---- */

/* A step that was refused: all that took part in it fail with its error. */
static void fail_parts(tkx__schedule *s, const tkx_error *error)
{
    for (size_t i = 0; i < s->run.n_parts; i++) {
        tkx__job *job = s->run.owners[i].job;

        for (size_t j = i + 1; job && j < s->run.n_parts; j++) {
            if (s->run.owners[j].job == job)
                s->run.owners[j].job = NULL; /* once is enough */
        }
        if (job)
            tkx__schedule_end(s, job, tkx__error_copy(error));
    }
}

static void advance(tkx__schedule *s)
{
    for (size_t i = 0; i < s->run.n_parts; i++) {
        tkx__job *job = s->run.owners[i].job;

        if (s->run.owners[i].seq) {
            s->run.owners[i].seq->pos++;
            continue;
        }
        job->n_computed += s->run.parts[i].n_tokens;
        if (job->n_computed < job->spec.n_prompt)
            continue;
        tkx__prefix_insert(s->prefix, root_of(job), job->prompt, job->spec.n_prompt,
                           job->blocks);
        job->state = JOB_DRAWING;
    }
    keep_tokens(s);
}

bool tkx__schedule_step(tkx__schedule *s)
{
    tkx_error *error = NULL;

    admit_jobs(s);
    s->run.n_parts = 0;
    add_prefills(s, add_decodes(s));
    if (s->run.n_parts == 0)
        return false;
    if (s->backend->step(s->state, s->run.parts, s->run.n_parts, take_rows, s, &error) !=
        TKX_OK) {
        fail_parts(s, error);
        tkx_error_free(error);
        return true;
    }
    advance(s);
    start_samples(s);
    end_finished(s);
    start_samples(s); /* in the room of those that ended */
    end_finished(s);
    return true;
}
