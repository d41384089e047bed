/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prompts.c - the float32 path: logits, logprobs, top-k, greedy and drawn tokens equal
 * the recorded ones; the three ways of feeding a prompt give the same bits.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/checks.h"

#define MAX_DIFF 2e-4
#define MAX_RMS 2e-5
#define PROB_DIFF 1e-6
#define MAX_TOP_K 64
/* Below this margin two logits within MAX_DIFF of the truth may change places. */
#define TIE (2 * MAX_DIFF)

typedef enum feeding { WHOLE, SINGLY, UNEVEN, N_FEEDINGS } feeding;

static const char *const feeding_names[] = {"whole", "singly", "uneven"};

static size_t piece_size(feeding how, size_t i)
{
    static const size_t uneven[] = {1, 5, 64};

    return how == WHOLE ? SIZE_MAX : how == SINGLY ? 1 : uneven[i % 3];
}

static tkx_status feed(rig *r, feeding how, const int64_t *tokens, size_t n,
                       float *logits, tkx_error **err)
{
    tkx_status st = TKX_OK;

    rig_restart(r);
    for (size_t at = 0, i = 0; at < n && st == TKX_OK; i++) {
        size_t piece = piece_size(how, i) < n - at ? piece_size(how, i) : n - at;

        st = rig_feed(r, tokens + at, piece, logits + at * r->vocab_size, err);
        at += piece;
    }
    return st;
}

static void fail_error(const ref_case *c, const char *name, tkx_error *err)
{
    conf_fail(c->report, name, "%s", tkx_error_message(err));
    tkx_error_free(err);
}

static bool within(const ref_case *c, const char *name, const char *what,
                   const distance *d, size_t row_size)
{
    if (d->max <= MAX_DIFF && distance_rms(d) <= MAX_RMS)
        return true;
    conf_fail(
        c->report, name,
        "%s: max %.2g, rms %.2g; worst at position %zu, entry %zu: %.7g, expected %.7g",
        what, d->max, distance_rms(d), d->worst / row_size, d->worst % row_size,
        (double)d->got, (double)d->want);
    return false;
}

/* ---- one prompt's recorded arrays ---- */

static bool logits_agree(const ref_case *c, const char *name, const char *prompt,
                         const float *logits, size_t n)
{
    size_t v = c->r->vocab_size;
    const float *all = ref_floats(c->ref, n * v, "%s%s.logits", c->prefix, prompt);
    const float *last = ref_floats(c->ref, v, "%s%s.logits_last", c->prefix, prompt);
    distance d = {0};

    if (!all && !last) {
        conf_fail(c->report, name, "the file has no logits of this prompt");
        return false;
    }
    if (all)
        distance_add(&d, logits, all, n * v);
    else
        distance_add(&d, logits + (n - 1) * v, last, v);
    return within(c, name, "logits", &d, v);
}

static bool logprobs_agree(const ref_case *c, const char *name, const char *prompt,
                           const int64_t *tokens, const float *logits, size_t n)
{
    const float *want = ref_floats(c->ref, n, "%s%s.logprobs", c->prefix, prompt);
    size_t v = c->r->vocab_size;
    distance d = {0};

    for (size_t i = 1; want && i < n; i++) {
        float got = tkx__sample_logprob(c->r->sampler, logits + (i - 1) * v, tokens[i]);

        distance_add(&d, &got, &want[i], 1);
    }
    return within(c, name, "prompt logprobs", &d, 1);
}

/* Two tokens of a rank that rounding alone may have put in another order. */
static bool is_near_tie(const ref_case *c, const float *row, int64_t id, float logprob)
{
    return id >= 0 && (size_t)id < c->r->vocab_size &&
           fabs((double)tkx__sample_logprob(c->r->sampler, row, id) - (double)logprob) <=
               TIE;
}

static bool topk_row_agrees(const ref_case *c, const char *name, const float *row,
                            size_t at, const int32_t *want_ids, const float *want,
                            size_t top_k, distance *d)
{
    int64_t ids[MAX_TOP_K];
    float got[MAX_TOP_K];

    if (tkx__sample_top(c->r->sampler, row, top_k, ids, got) != top_k) {
        conf_fail(c->report, name, "top-k at position %zu: not %zu entries", at, top_k);
        return false;
    }
    for (size_t k = 0; k < top_k; k++) {
        if (ids[k] != want_ids[k] && !is_near_tie(c, row, want_ids[k], got[k])) {
            conf_fail(c->report, name,
                      "top-k at position %zu, rank %zu: id %d, expected %d", at, k,
                      (int)ids[k], (int)want_ids[k]);
            return false;
        }
    }
    distance_add(d, got, want, top_k);
    return true;
}

static bool topk_agrees(const ref_case *c, const char *name, const char *prompt,
                        const float *logits, size_t n)
{
    const tkx__tensor *ids =
        ref_find(c->ref, TKX__DTYPE_I32, 0, "%s%s.topk_ids", c->prefix, prompt);
    size_t top_k = ids ? ids->n_elements / n : 0;
    const float *want =
        ref_floats(c->ref, n * top_k, "%s%s.topk_logprobs", c->prefix, prompt);
    distance d = {0};

    if (top_k > MAX_TOP_K) {
        conf_fail(c->report, name, "%zu entries of top-k recorded, %d can be compared",
                  top_k, MAX_TOP_K);
        return false;
    }
    for (size_t i = 1; top_k && want && i < n; i++) {
        if (!topk_row_agrees(c, name, logits + (i - 1) * c->r->vocab_size, i,
                             (const int32_t *)ids->data + i * top_k, want + i * top_k,
                             top_k, &d))
            return false;
    }
    return within(c, name, "top-k logprobs", &d, top_k ? top_k : 1);
}

/* The prompt fed in one way; the logits go to `logits`. */
static bool prompt_agrees(const ref_case *c, const char *prompt, feeding how,
                          const int64_t *tokens, size_t n, float *logits)
{
    char name[256];
    tkx_error *err = NULL;

    snprintf(name, sizeof name, "%s %s %s", c->name, prompt, feeding_names[how]);
    if (feed(c->r, how, tokens, n, logits, &err) != TKX_OK) {
        fail_error(c, name, err);
        return false;
    }
    if (!logits_agree(c, name, prompt, logits, n) ||
        !logprobs_agree(c, name, prompt, tokens, logits, n) ||
        !topk_agrees(c, name, prompt, logits, n))
        return false;
    conf_pass(c->report, name);
    return true;
}

static void same_bits(const ref_case *c, const char *prompt, feeding how,
                      const float *logits, const float *whole, size_t n)
{
    char name[256];

    snprintf(name, sizeof name, "%s %s %s equals whole", c->name, prompt,
             feeding_names[how]);
    for (size_t i = 0; i < n; i++) {
        if (memcmp(&logits[i], &whole[i], sizeof *logits) != 0) {
            conf_fail(c->report, name, "position %zu, entry %zu: %a, the whole gave %a",
                      i / c->r->vocab_size, i % c->r->vocab_size, (double)logits[i],
                      (double)whole[i]);
            return;
        }
    }
    conf_pass(c->report, name);
}

/* ---- continuations ---- */

/* Draw n tokens after `row`, the logits that follow the prompt just fed. */
static bool continuation_agrees(const ref_case *c, const char *name, float *row,
                                const tkx__sample_params *params, tkx__rng *rng,
                                const int64_t *want, const float *want_logprobs,
                                const float *margins, size_t n)
{
    tkx_error *err = NULL;
    distance d = {0};

    for (size_t i = 0; i < n; i++) {
        float logprob;
        int64_t id =
            tkx__sample_token(c->r->sampler, row, params, NULL, 0, rng, &logprob);

        if (id != want[i]) {
            if (margins && margins[i] < TIE)
                break; /* a tie within the bound: what follows has nothing in common */
            conf_fail(c->report, name, "token %zu: %d, expected %d", i, (int)id,
                      (int)want[i]);
            return false;
        }
        distance_add(&d, &logprob, &want_logprobs[i], 1);
        if (rig_feed(c->r, &id, 1, row, &err) != TKX_OK) {
            fail_error(c, name, err);
            return false;
        }
    }
    return within(c, name, "logprobs of the continuation", &d, 1);
}

static void check_greedy(const ref_case *c, const char *prompt, float *row)
{
    static const tkx__sample_params greedy = {.top_k = -1, .top_p = 1};
    size_t n;
    int64_t *want = ref_tokens(c->ref, &n, "%s%s.greedy_tokens", c->prefix, prompt);
    const float *logprobs =
        ref_floats(c->ref, n, "%s%s.greedy_logprobs", c->prefix, prompt);
    const float *margins = ref_floats(c->ref, n, "%s%s.greedy_margin", c->prefix, prompt);
    char name[256];

    snprintf(name, sizeof name, "%s %s greedy", c->name, prompt);
    if (want && logprobs &&
        continuation_agrees(c, name, row, &greedy, NULL, want, logprobs, margins, n))
        conf_pass(c->report, name);
    free(want);
}

static void check_prompt(const ref_case *c, const char *prompt)
{
    size_t n;
    int64_t *tokens = ref_tokens(c->ref, &n, "%s.tokens", prompt);
    size_t v = c->r->vocab_size;
    float *whole = calloc(n * v + 1, sizeof *whole);
    float *pieces = calloc(n * v + 1, sizeof *pieces);

    if (*c->prefix && !ref_floats(c->ref, 0, "%s%s.logits", c->prefix, prompt))
        goto done; /* this adapter has no values of this prompt */
    if (tokens && whole && pieces && n > 0 &&
        prompt_agrees(c, prompt, WHOLE, tokens, n, whole)) {
        for (feeding how = SINGLY; how < N_FEEDINGS; how++) {
            if (prompt_agrees(c, prompt, how, tokens, n, pieces))
                same_bits(c, prompt, how, pieces, whole, n * v);
        }
        check_greedy(c, prompt, pieces + (n - 1) * v); /* room enough: one row */
    }
done:
    free(pieces);
    free(whole);
    free(tokens);
}

/* ---- filters and draws ---- */

static bool filter_agrees(const ref_case *c, const char *name, const float *row,
                          const tkx__sample_params *params, const int64_t *want_ids,
                          const float *want_probs, size_t n)
{
    const int64_t *ids;
    const double *probs;
    size_t got = tkx__sample_filter(c->r->sampler, row, params, NULL, 0, &ids, &probs);

    if (got != n) {
        conf_fail(c->report, name, "%zu ids left, expected %zu", got, n);
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (ids[i] == want_ids[i] && fabs(probs[i] - (double)want_probs[i]) <= PROB_DIFF)
            continue;
        conf_fail(c->report, name, "entry %zu: id %d with %.8g, expected %d with %.8g", i,
                  (int)ids[i], probs[i], (int)want_ids[i], (double)want_probs[i]);
        return false;
    }
    return true;
}

static tkx__sample_params params_at(const float *table, size_t j)
{
    return (tkx__sample_params){.temperature = table[3 * j],
                                .top_k = (int64_t)table[3 * j + 1],
                                .top_p = table[3 * j + 2]};
}

static void check_filters(const ref_case *c)
{
    const tkx__tensor *params = ref_find(c->ref, TKX__DTYPE_F32, 0, "filter.params");
    const tkx__tensor *logits = ref_find(c->ref, TKX__DTYPE_F32, 0, "p33.logits");
    size_t v = c->r->vocab_size;
    char name[256];

    for (size_t j = 0; params && logits && j < params->n_elements / 3; j++) {
        size_t n;
        int64_t *ids = ref_tokens(c->ref, &n, "filter.%zu.kept_ids", j);
        const float *probs = ref_floats(c->ref, n, "filter.%zu.probs", j);
        const float *row = (const float *)logits->data + logits->n_elements - v;
        tkx__sample_params p = params_at(params->data, j);

        snprintf(name, sizeof name, "%s filter %zu", c->name, j);
        if (!ids || !probs)
            conf_fail(c->report, name, "the file has no kept_ids or probs");
        else if (filter_agrees(c, name, row, &p, ids, probs, n))
            conf_pass(c->report, name);
        free(ids);
    }
}

static void check_draw(const ref_case *c, const float *params, size_t j,
                       const int64_t *prompt, size_t n_prompt, float *logits)
{
    const tkx__tensor *seed = ref_find(c->ref, TKX__DTYPE_I64, 1, "sample.%zu.seed", j);
    size_t n;
    int64_t *want = ref_tokens(c->ref, &n, "sample.%zu.tokens", j);
    const float *logprobs = ref_floats(c->ref, n, "sample.%zu.logprobs", j);
    tkx__sample_params p = params_at(params, j);
    float *row = logits + (n_prompt - 1) * c->r->vocab_size;
    tkx_error *err = NULL;
    tkx__rng rng;
    int64_t value;
    char name[256];

    snprintf(name, sizeof name, "%s sample %zu", c->name, j);
    if (!seed || !want || !logprobs) {
        conf_fail(c->report, name, "the file has no seed, tokens or logprobs");
    } else if (feed(c->r, WHOLE, prompt, n_prompt, logits, &err) != TKX_OK) {
        fail_error(c, name, err);
    } else {
        memcpy(&value, seed->data, sizeof value);
        tkx__rng_init(&rng, (uint64_t)value, 0);
        if (continuation_agrees(c, name, row, &p, &rng, want, logprobs, NULL, n))
            conf_pass(c->report, name);
    }
    free(want);
}

static void check_draws(const ref_case *c)
{
    const tkx__tensor *params = ref_find(c->ref, TKX__DTYPE_F32, 0, "sample.params");
    size_t n;
    int64_t *prompt = ref_tokens(c->ref, &n, "p7.tokens");
    float *logits = calloc(n * c->r->vocab_size + 1, sizeof *logits);

    for (size_t j = 0; params && prompt && logits && j < params->n_elements / 3; j++)
        check_draw(c, params->data, j, prompt, n, logits);
    free(logits);
    free(prompt);
}

void check_exact(const ref_case *c)
{
    for_prompts(c, check_prompt);
    if (*c->prefix)
        return;
    check_filters(c);
    check_draws(c);
}
