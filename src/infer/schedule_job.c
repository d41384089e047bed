/* SPDX-License-Identifier: Apache-2.0 */
/* schedule_job.c - jobs and samples as objects: copies, results, memory. */
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "infer/schedule_in.h"

void tkx__job_result_free(tkx__job_result *result)
{
    if (!result)
        return;
    for (size_t i = 0; result->sequences && i < result->n_sequences; i++) {
        tkx__free(result->sequences[i].tokens);
        tkx__free(result->sequences[i].logprobs);
        tkx__free(result->sequences[i].topk_ids);
        tkx__free(result->sequences[i].topk_logprobs);
    }
    tkx__free(result->sequences);
    tkx__free(result->prompt_logprobs);
    tkx__free(result->topk_ids);
    tkx__free(result->topk_logprobs);
    tkx__free(result->target_logprobs);
    tkx__free(result->alt_ids);
    tkx__free(result->alt_logprobs);
    tkx__free(result);
}

/* ---- checks ---- */

static size_t total_positions(const tkx__job_spec *spec)
{
    return spec->n_prompt + spec->max_tokens;
}

/* The prompt's blocks, and those of one sample beyond the full ones it shares. */
static size_t sample_blocks(const tkx__job_spec *spec)
{
    if (spec->max_tokens == 0)
        return 0;
    return tkx__kv_blocks_for(total_positions(spec)) - spec->n_prompt / TKX__KV_BLOCK;
}

size_t tkx__job_sample_blocks(const tkx__job *job)
{
    return sample_blocks(&job->spec);
}

static tkx_status check_ids(const tkx__schedule *s, const tkx__job_spec *spec,
                            tkx_error **err)
{
    size_t vocab_size = s->weights->config.vocab_size;

    for (size_t i = 0; i < spec->n_prompt; i++) {
        if (spec->prompt[i] < 0 || (size_t)spec->prompt[i] >= vocab_size)
            return tkx__fail(
                err, TKX_ERR_INVALID_ARGUMENT,
                "prompt token %zu is %d, outside the model's vocabulary of %zu", i,
                (int)spec->prompt[i], vocab_size);
    }
    return TKX_OK;
}

static tkx_status check_room(const tkx__schedule *s, const tkx__job_spec *spec,
                             tkx_error **err)
{
    size_t needed;

    if (spec->n_prompt > s->max_positions ||
        spec->max_tokens > s->max_positions - spec->n_prompt)
        return tkx__fail(
            err, TKX_ERR_LIMIT,
            "a prompt of %zu tokens and %zu more do not fit into %zu positions",
            spec->n_prompt, spec->max_tokens, s->max_positions);
    needed = tkx__kv_blocks_for(spec->n_prompt) + sample_blocks(spec);
    if (needed > tkx__kv_n_blocks(s->kv))
        return tkx__fail(err, TKX_ERR_LIMIT,
                         "the request needs %zu blocks of the KV cache's %zu", needed,
                         tkx__kv_n_blocks(s->kv));
    return TKX_OK;
}

static tkx_status check(const tkx__schedule *s, const tkx__job_spec *spec,
                        tkx_error **err)
{
    tkx_status st;

    if (spec->n_prompt == 0)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT, "the prompt is empty");
    if (spec->n_samples == 0 || spec->n_samples > 65536)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "%zu samples asked for; 1 to 65536 can be", spec->n_samples);
    if (spec->topk_sample > s->weights->config.vocab_size)
        return tkx__fail(
            err, TKX_ERR_INVALID_ARGUMENT,
            "the %zu likeliest tokens of a place were asked for, of a vocabulary of %zu",
            spec->topk_sample, s->weights->config.vocab_size);
    st = tkx__sample_params_check(&spec->params, s->weights->config.vocab_size, err);
    if (st == TKX_OK)
        st = check_ids(s, spec, err);
    if (st == TKX_OK)
        st = tkx__prompt_check(spec, s->weights->config.vocab_size, err);
    return st == TKX_OK ? check_room(s, spec, err) : st;
}

/* ---- copies ---- */

/* NULL from nothing; *ok becomes false when memory is short. */
static void *copy(const void *from, size_t count, size_t size, bool *ok)
{
    size_t bytes;
    void *to;

    if (!from || count == 0)
        return NULL;
    to = tkx__mul(count, size, &bytes) ? tkx__memdup(from, bytes) : NULL;
    *ok = *ok && to != NULL;
    return to;
}

static void *room(size_t count, size_t size, bool *ok)
{
    void *p = tkx__calloc(count ? count : 1, size);

    *ok = *ok && p != NULL;
    return p;
}

static bool make_result(tkx__job *job)
{
    const tkx__job_spec *spec = &job->spec;
    bool ok = true;
    tkx__job_result *r = room(1, sizeof *r, &ok);

    job->result = r;
    if (!ok)
        return false;
    r->n_prompt = spec->n_prompt;
    r->sequences = room(spec->n_samples, sizeof *r->sequences, &ok);
    r->n_sequences = ok && spec->max_tokens ? spec->n_samples : 0;
    r->topk_sample = spec->topk_sample;
    return ok && tkx__prompt_prepare(job);
}

static bool make_copies(const tkx__schedule *s, tkx__job *job)
{
    tkx__job_spec *spec = &job->spec;
    bool ok = true;

    job->prompt = room(spec->n_prompt, sizeof *job->prompt, &ok);
    for (size_t i = 0; ok && i < spec->n_prompt; i++)
        job->prompt[i] = spec->prompt[i];
    spec->prompt = NULL; /* the caller's */
    job->stop_ids = copy(spec->stop_ids, spec->n_stop_ids, sizeof *job->stop_ids, &ok);
    spec->stop_ids = job->stop_ids;
    if (spec->params.extras) {
        job->extras = *spec->params.extras;
        job->extras.bias_ids = copy(job->extras.bias_ids, job->extras.n_bias,
                                    sizeof *job->extras.bias_ids, &ok);
        job->extras.bias_values = copy(job->extras.bias_values, job->extras.n_bias,
                                       sizeof *job->extras.bias_values, &ok);
        spec->params.extras = &job->extras;
    }
    job->blocks = room(tkx__kv_blocks_for(spec->n_prompt), sizeof *job->blocks, &ok);
    job->logits = room(s->weights->config.vocab_size, sizeof *job->logits, &ok);
    return ok && make_result(job);
}

tkx_status tkx__job_new(const tkx__schedule *s, const tkx__job_spec *spec, tkx__job **out,
                        tkx_error **err)
{
    tkx__job_spec resolved = *spec;
    tkx__job *job;
    tkx_status st;

    if (resolved.max_tokens == SIZE_MAX) /* one at least: 0 would ask for no sample */
        resolved.max_tokens = resolved.n_prompt < s->max_positions
                                  ? s->max_positions - resolved.n_prompt
                                  : 1;
    st = check(s, &resolved, err);
    if (st != TKX_OK)
        return st;
    job = tkx__calloc(1, sizeof *job);
    if (!job)
        return tkx__fail_memory(err);
    job->spec = resolved;
    if (job->spec.adapter)
        tkx__adapter_ref(job->spec.adapter);
    if (!make_copies(s, job)) {
        tkx__job_free(job);
        return tkx__fail_memory(err);
    }
    *out = job;
    return TKX_OK;
}

void tkx__job_free(tkx__job *job)
{
    if (!job)
        return;
    tkx__adapter_unref(job->spec.adapter);
    tkx__job_result_free(job->result);
    if (job->spec.params.extras == &job->extras) {
        tkx__free((void *)job->extras.bias_ids);
        tkx__free((void *)job->extras.bias_values);
    }
    tkx__free(job->prompt);
    tkx__free(job->target_ids);
    tkx__free(job->target_rows);
    tkx__free(job->stop_ids);
    tkx__free(job->blocks);
    tkx__free(job->logits);
    tkx__free(job);
}

tkx_status tkx__sequence_new(tkx__job *job, size_t index, sequence **out, tkx_error **err)
{
    tkx__job_sequence *result = &job->result->sequences[index];
    size_t n = job->spec.max_tokens;
    size_t k = job->spec.topk_sample;
    bool ok = true;
    sequence *seq = room(1, sizeof *seq, &ok);

    if (!seq)
        return tkx__fail_memory(err);
    seq->job = job;
    seq->index = index;
    tkx__rng_init(&seq->rng, job->spec.seed, index);
    seq->blocks =
        room(tkx__kv_blocks_for(total_positions(&job->spec)), sizeof *seq->blocks, &ok);
    seq->history = room(total_positions(&job->spec), sizeof *seq->history, &ok);
    result->tokens = room(n, sizeof *result->tokens, &ok);
    result->logprobs = room(n, sizeof *result->logprobs, &ok);
    if (k) {
        result->topk_ids = room(n, k * sizeof *result->topk_ids, &ok);
        result->topk_logprobs = room(n, k * sizeof *result->topk_logprobs, &ok);
    }
    if (!ok) {
        tkx__sequence_free(seq); /* the job frees the result */
        return tkx__fail_memory(err);
    }
    memcpy(seq->history, job->prompt, job->spec.n_prompt * sizeof *seq->history);
    seq->n_history = job->spec.n_prompt;
    *out = seq;
    return TKX_OK;
}

void tkx__sequence_free(sequence *seq)
{
    if (!seq)
        return;
    tkx__free(seq->blocks);
    tkx__free(seq->history);
    tkx__free(seq);
}
