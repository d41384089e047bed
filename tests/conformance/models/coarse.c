/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coarse.c - the paths that round more: K and V in float16, activations of 8 bits.
 *
 * The recorded tokens are fed, and each position is compared by itself; shares are
 * counted over all rows of a file.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/checks.h"

/* What one file comes to; rows that are outside are allowed up to a share. */
typedef struct tally {
    size_t n_rows;
    size_t n_far;     /* beyond the bound that a share may pass */
    size_t n_too_far; /* beyond the bound that none may pass */
    size_t n_tokens;  /* of continuations, with a clear margin */
    size_t n_wrong;
    char worst[200]; /* the first row or token that was outside */
} tally;

static tally sums; /* of the file under way: the prompt function has no room for it */

typedef struct bounds {
    double max_diff; /* of a row's entries; 0: not asked */
    double rms;      /* over a prompt, or over a row for experts in f16; 0: not asked */
    bool rms_per_row;
    double min_corr;      /* of every row; 0: not asked */
    double min_corr_most; /* of the share */
    double share;         /* of the rows that must be within */
    double margin;        /* argmax counts above it */
} bounds;

static bounds bounds_of(const rig *r)
{
    if (!r->is_8bit)
        return r->is_moe
                   ? (bounds){.max_diff = 0.1,
                              .rms = 0.01,
                              .rms_per_row = true,
                              .share = 0.95,
                              .margin = 0.1}
                   : (bounds){.max_diff = 0.1, .rms = 0.01, .share = 1, .margin = 0.1};
    return r->is_moe ? (bounds){.min_corr_most = 0.98, .share = 0.85, .margin = 2}
                     : (bounds){.rms = 0.25,
                                .min_corr = 0.985,
                                .min_corr_most = 0.995,
                                .share = 0.95,
                                .margin = 1.2};
}

static void note(const char *fmt, const char *prompt, size_t at, double value)
{
    if (!sums.worst[0])
        snprintf(sums.worst, sizeof sums.worst, fmt, prompt, at, value);
}

static void compare_row(const bounds *b, const char *prompt, size_t at, const float *got,
                        const float *want, size_t v)
{
    distance d = {0};
    double corr = correlation(got, want, v);

    distance_add(&d, got, want, v);
    sums.n_rows++;
    if ((b->max_diff > 0 && d.max > b->max_diff) ||
        (b->rms_per_row && distance_rms(&d) > b->rms)) {
        sums.n_far++;
        note("%s position %zu: off by %.3g", prompt, at, d.max);
    } else if (b->min_corr_most > 0 && !(corr >= b->min_corr_most)) {
        sums.n_far++;
        note("%s position %zu: correlation %.4f", prompt, at, corr);
    }
    if (b->min_corr > 0 && !(corr >= b->min_corr)) {
        sums.n_too_far++;
        note("%s position %zu: correlation %.4f", prompt, at, corr);
    }
}

static void compare_prompt(const ref_case *c, const bounds *b, const char *prompt,
                           const float *logits, size_t n)
{
    size_t v = c->r->vocab_size;
    const float *want = ref_floats(c->ref, n * v, "%s%s.logits", c->prefix, prompt);
    size_t first = want ? 0 : n - 1;
    distance d = {0};

    if (!want)
        want = ref_floats(c->ref, v, "%s%s.logits_last", c->prefix, prompt);
    if (!want)
        return;
    for (size_t i = first; i < n; i++)
        compare_row(b, prompt, i, logits + i * v, want + (i - first) * v, v);
    distance_add(&d, logits + first * v, want, (n - first) * v);
    if (b->rms > 0 && !b->rms_per_row && distance_rms(&d) > b->rms) {
        sums.n_too_far++;
        note("%s, %zu positions: rms %.3g", prompt, n - first, distance_rms(&d));
    }
}

/* The row before each recorded token must have it on top, where the margin is clear. */
static void compare_continuation(const ref_case *c, const bounds *b, const char *prompt,
                                 const float *logits, size_t n_prompt)
{
    size_t n;
    size_t v = c->r->vocab_size;
    int64_t *tokens = ref_tokens(c->ref, &n, "%s%s.greedy_tokens", c->prefix, prompt);
    const float *margins = ref_floats(c->ref, n, "%s%s.greedy_margin", c->prefix, prompt);
    const float *want = ref_floats(c->ref, n, "%s%s.greedy_logprobs", c->prefix, prompt);
    distance d = {0};

    for (size_t i = 0; tokens && margins && want && i < n; i++) {
        const float *row = logits + (n_prompt + i - 1) * v;
        float got = logprob_of(row, v, tokens[i]);

        distance_add(&d, &got, &want[i], 1);
        if ((double)margins[i] <= b->margin)
            continue;
        sums.n_tokens++;
        if (tkx__argmax(c->r->kernels, row, v) != (size_t)tokens[i]) {
            sums.n_wrong++;
            note("%s continuation %zu: another token on top (margin %.2f)", prompt, i,
                 (double)margins[i]);
        }
    }
    if (!c->r->is_moe && b->rms > 0 && distance_rms(&d) > b->rms) {
        sums.n_too_far++;
        note("%s continuation of %zu: rms of its logprobs %.3g", prompt, d.n,
             distance_rms(&d));
    }
    free(tokens);
}

static int64_t *joined_tokens(const ref_case *c, const char *prompt, size_t *n_prompt,
                              size_t *n)
{
    size_t n_more;
    int64_t *head = ref_tokens(c->ref, n_prompt, "%s.tokens", prompt);
    int64_t *more = ref_tokens(c->ref, &n_more, "%s%s.greedy_tokens", c->prefix, prompt);
    int64_t *all = head ? calloc(*n_prompt + n_more + 1, sizeof *all) : NULL;

    *n = *n_prompt + (more ? n_more : 0);
    if (all) {
        memcpy(all, head, *n_prompt * sizeof *all);
        if (more)
            memcpy(all + *n_prompt, more, n_more * sizeof *all);
    }
    free(more);
    free(head);
    return all;
}

static void check_prompt(const ref_case *c, const char *prompt)
{
    bounds b = bounds_of(c->r);
    size_t n_prompt;
    size_t n;
    int64_t *tokens = joined_tokens(c, prompt, &n_prompt, &n);
    float *logits = tokens ? calloc(n * c->r->vocab_size, sizeof *logits) : NULL;
    tkx_error *err = NULL;

    rig_restart(c->r);
    if (logits && rig_feed(c->r, tokens, n, logits, &err) == TKX_OK) {
        compare_prompt(c, &b, prompt, logits, n_prompt);
        compare_continuation(c, &b, prompt, logits, n_prompt);
    } else {
        sums.n_too_far++;
        snprintf(sums.worst, sizeof sums.worst, "%s: %.150s", prompt,
                 tkx_error_message(err));
    }
    tkx_error_free(err);
    free(logits);
    free(tokens);
}

void check_coarse(const ref_case *c)
{
    bounds b = bounds_of(c->r);
    size_t allowed;

    memset(&sums, 0, sizeof sums);
    for_prompts(c, check_prompt);
    allowed = (size_t)floor((1 - b.share) * (double)sums.n_rows + 1e-9);
    if (b.share < 1 && sums.n_rows < 20 && allowed < 1)
        allowed = 1;
    if (sums.n_rows == 0)
        conf_fail(c->report, c->name, "the file has no logits");
    else if (sums.n_far > allowed || sums.n_too_far || sums.n_wrong)
        conf_fail(c->report, c->name,
                  "%zu of %zu rows outside (%zu may be), %zu beyond any allowance, %zu "
                  "of %zu clear "
                  "tokens wrong; first: %s",
                  sums.n_far, sums.n_rows, allowed, sums.n_too_far, sums.n_wrong,
                  sums.n_tokens, sums.worst);
    else
        conf_pass(c->report, c->name);
}
