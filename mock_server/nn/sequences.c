/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sequences.c - a group of sequences of one request, token by token, side by side.
 *
 * They share the prompt's cache and each own their continuation.  A sequence that has
 * ended leaves the batch; the arithmetic of the others does not notice.
 */
#define _GNU_SOURCE /* memmem */
#include <math.h>
#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/mem.h"
#include "mock_server/nn/fail.h"
#include "mock_server/nn/filter.h"
#include "mock_server/nn/sample_job.h"
#include "model/tokenizer/tokenizer.h"

enum { MAX_TEXT = 64 << 20 };

typedef struct live {
    nn_sequence *out;
    size_t capacity; /* of out's arrays */
    nn_kv kv;
    nn_random random;
    tkx__buf text;           /* generated so far, when there are stop strings */
    tkx_text_stream *stream; /* NULL: tokens are bytes */
    bool is_done;
} live;

typedef struct group {
    nn_sample_job *job;
    nn_decoder decoder;
    nn_candidate *kept; /* [vocab] */
    live seqs[NN_GROUP];
    size_t n;
} group;

static bool grow(const nn_sample_job *job, live *s)
{
    nn_sequence *o = s->out;
    size_t want = s->capacity ? s->capacity * 2 : 32, k = job->request->topk_sample;
    void *grown;

    if (o->n_tokens < s->capacity)
        return true;
    if (want > job->max_tokens)
        want = job->max_tokens;
    grown = tkx__realloc(o->tokens, want, sizeof *o->tokens);
    if (!grown)
        return false;
    o->tokens = grown;
    grown = tkx__realloc(o->logprobs, want, sizeof *o->logprobs);
    if (!grown)
        return false;
    o->logprobs = grown;
    if (k > 0) {
        size_t cells;

        if (!tkx__mul(want, k, &cells))
            return false;
        grown = tkx__realloc(o->topk.tokens, cells, sizeof *o->topk.tokens);
        if (!grown)
            return false;
        o->topk.tokens = grown;
        grown = tkx__realloc(o->topk.logprobs, cells, sizeof *o->topk.logprobs);
        if (!grown)
            return false;
        o->topk.logprobs = grown;
    }
    s->capacity = want;
    return true;
}

static bool is_stop_token(const nn_sample_job *job, int32_t token)
{
    const nn_sample_request *q = job->request;
    const nn_base *base = job->snapshot->base;

    if (q->use_default_stop)
        for (size_t i = 0; i < base->n_end_ids; i++)
            if (base->end_ids[i] == token)
                return true;
    for (size_t i = 0; i < q->n_stop_tokens; i++)
        if (q->stop_tokens[i] == token)
            return true;
    return false;
}

/* Does a stop string end within what the last token added (from byte `before` on)? */
static bool is_stop_text(const nn_sample_request *q, const tkx__buf *text, size_t before)
{
    for (size_t i = 0; i < q->n_stop_strings; i++) {
        size_t n = q->stop_strings[i].size;
        size_t from = before + 1 > n ? before + 1 - n : 0;

        if (n > 0 && from < text->size &&
            memmem(text->data + from, text->size - from, q->stop_strings[i].text, n))
            return true;
    }
    return false;
}

/* Add a token's text: of the byte model its byte, else the characters it completes. */
static bool append_text(const nn_base *base, live *s, int32_t token)
{
    const char *piece;
    size_t n;

    if (base->is_bytes) {
        if (token < 256)
            tkx__buf_putc(&s->text, (char)(unsigned char)token);
        return s->text.status == TKX_OK;
    }
    if (!s->stream && tkx_text_stream_new(base->tokenizer, TKX_DECODE_DEFAULT, &s->stream,
                                          NULL) != TKX_OK)
        return false;
    if (tkx__text_stream_push_decided(s->stream, token, &piece, &n, NULL) != TKX_OK)
        return false;
    tkx__buf_append(&s->text, piece, n);
    return s->text.status == TKX_OK;
}

static void report_topk(const nn_sample_job *job, nn_sequence *o, const float *z,
                        size_t vocab, double lse)
{
    size_t k = job->request->topk_sample, have = k < vocab ? k : vocab;
    int32_t *ids = o->topk.tokens + o->n_tokens * k;
    float *values = o->topk.logprobs + o->n_tokens * k;

    nn_top_k(z, vocab, have, ids, values);
    for (size_t i = 0; i < have; i++)
        values[i] = (float)((double)values[i] - lse);
    for (size_t i = have; i < k; i++) {
        ids[i] = 0;
        values[i] = -99999.0f;
    }
    o->topk.n = o->n_tokens + 1;
    o->topk.k = k;
}

/* Draw the next token of one sequence from its logits; false when memory is short. */
static bool step(group *g, live *s, const float *z)
{
    const nn_sample_request *q = g->job->request;
    size_t vocab = g->job->snapshot->base->config.vocab_size, before = s->text.size;
    nn_filter filter = {q->temperature, q->top_k, q->top_p};
    double by = 1, lse;
    int32_t token;

    if (!grow(g->job, s))
        return false;
    if (q->temperature == 0) {
        token = nn_argmax(z, vocab);
    } else {
        size_t n = nn_filter_apply(&filter, z, vocab, g->kept);

        token = nn_filter_draw(g->kept, n, nn_random_unit(&s->random));
        if (q->logprob_mode == NN_LOGPROB_TEMPERED)
            by = 1 / q->temperature;
    }
    lse = nn_log_sum_exp(z, vocab, by);
    s->out->tokens[s->out->n_tokens] = token;
    s->out->logprobs[s->out->n_tokens] = (float)((double)z[token] * by - lse);
    if (q->topk_sample > 0)
        report_topk(g->job, s->out, z, vocab,
                    by == 1 ? lse : nn_log_sum_exp(z, vocab, 1));
    s->out->n_tokens++;
    if (q->n_stop_strings > 0 && !append_text(g->job->snapshot->base, s, token))
        return false;
    s->out->is_stopped =
        is_stop_token(g->job, token) || is_stop_text(q, &s->text, before);
    s->is_done = s->out->is_stopped || s->out->n_tokens == g->job->max_tokens;
    return true;
}

/* One token for every sequence still running; *n_live counts them. */
static bool advance(group *g, size_t *n_live)
{
    const nn_config *c = &g->job->snapshot->base->config;
    nn_row rows[NN_GROUP];
    live *who[NN_GROUP];
    size_t n = 0;

    for (size_t i = 0; i < g->n; i++) {
        live *s = &g->seqs[i];

        if (s->is_done)
            continue;
        if (!nn_kv_reserve(&s->kv, c, s->out->n_tokens))
            return false;
        rows[n] = (nn_row){.token = s->out->tokens[s->out->n_tokens - 1],
                           .prefix = &g->job->prompt,
                           .own = &s->kv};
        who[n++] = s;
    }
    *n_live = n;
    if (n == 0)
        return true;
    nn_decode(&g->decoder, rows, n);
    nn_decode_logits(&g->decoder, 0, n);
    for (size_t i = 0; i < n; i++)
        if (!step(g, who[i], g->decoder.logits + i * c->vocab_size))
            return false;
    return true;
}

static tkx_status run(group *g, tkx_error **err)
{
    const nn_sample_request *q = g->job->request;
    bool ok = true;
    size_t n_live = g->n;

    for (size_t i = 0; ok && i < g->n; i++)
        ok = step(g, &g->seqs[i], g->job->last_logits);
    while (ok && n_live > 0) {
        if (q->is_cancelled && q->is_cancelled(q->user_data))
            return nn_fail_user(err, TKX_ERR_CANCELLED, "the sample was cancelled");
        ok = advance(g, &n_live);
    }
    if (!ok)
        return nn_fail_server(err, TKX_ERR_NO_MEMORY, "no memory for %zu sequences",
                              g->n);
    return TKX_OK;
}

tkx_status nn_sequences_run(nn_sample_job *job, size_t first, size_t n, tkx_error **err)
{
    const nn_base *base = job->snapshot->base;
    nn_work measure = {0}, *work;
    group g = {.job = job, .n = n};
    tkx_status st;

    g.decoder = (nn_decoder){
        .base = base,
        .adapter = job->snapshot->has_adapter ? &job->snapshot->adapter : NULL,
        .max_rows = NN_GROUP,
        .max_logit_rows = NN_GROUP};
    for (size_t i = 0; i < n; i++) {
        g.seqs[i].out = &job->result->sequences[first + i];
        g.seqs[i].random.state = job->request->seed + first + i;
        tkx__buf_init(&g.seqs[i].text, MAX_TEXT);
    }
    nn_decoder_take(&measure, &g.decoder, base->config.max_context);
    work = nn_work_get(job->snapshot->engine->works, measure.used);
    g.kept = tkx__calloc(base->config.vocab_size, sizeof *g.kept);
    if (work && g.kept) {
        nn_decoder_take(work, &g.decoder, base->config.max_context);
        st = run(&g, err);
    } else {
        st = nn_fail_server(err, TKX_ERR_NO_MEMORY, "no memory for %zu sequences", n);
    }
    nn_work_put(job->snapshot->engine->works, work);
    tkx__free(g.kept);
    for (size_t i = 0; i < n; i++) {
        nn_kv_clear(&g.seqs[i].kv);
        tkx__buf_clear(&g.seqs[i].text);
        tkx_text_stream_free(g.seqs[i].stream);
    }
    return st;
}
