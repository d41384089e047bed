/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loss.c - cross_entropy, importance_sampling, ppo, cispo, dro, gspo.
 *
 * The table of docs/design/trainer.md, "Losses", row by row.  No division by any count
 * anywhere.  A weight of 0 gives e = 0 even where l is -inf: selected, not multiplied.
 */
#include "mock_server/nn/loss.h"

#include <math.h>
#include <string.h>

#include "mock_server/nn/fail.h"

static const struct {
    const char *name;
    nn_loss_kind kind;
    double low, high;
} known[] = {
    {"cross_entropy", NN_CROSS_ENTROPY, 0, 0},
    {"importance_sampling", NN_IMPORTANCE_SAMPLING, 0, 0},
    {"ppo", NN_PPO, 0.8, 1.2},
    {"cispo", NN_CISPO, 0.0, 4.0},
    {"dro", NN_DRO, 0, 0},
    {"gspo", NN_GSPO, 0.8, 1.2},
    {"custom", NN_CUSTOM, 0, 0},
};

static const double default_beta =
    0.05; /* of the official example; no default is stated */

static bool is_clipped_kind(nn_loss_kind kind)
{
    return kind == NN_PPO || kind == NN_CISPO || kind == NN_GSPO;
}

static double *find_param(nn_loss_plan *plan, const char *key)
{
    if (is_clipped_kind(plan->kind) && strcmp(key, "clip_low_threshold") == 0)
        return &plan->low;
    if (is_clipped_kind(plan->kind) && strcmp(key, "clip_high_threshold") == 0)
        return &plan->high;
    if (plan->kind == NN_DRO && strcmp(key, "beta") == 0)
        return &plan->beta;
    return NULL;
}

tkx_status nn_loss_parse(const nn_loss *loss, nn_loss_plan *plan, tkx_error **err)
{
    size_t which = 0, n_known = sizeof known / sizeof *known;

    while (which < n_known && strcmp(known[which].name, loss->name) != 0)
        which++;
    if (which == n_known)
        return nn_fail_user(err, TKX_ERR_INVALID_ARGUMENT,
                            "unknown loss_fn '%.64s'; this server has cross_entropy, "
                            "importance_sampling, ppo, cispo, dro and gspo",
                            loss->name);
    *plan = (nn_loss_plan){.kind = known[which].kind,
                           .low = known[which].low,
                           .high = known[which].high,
                           .beta = default_beta,
                           .custom = loss->custom};
    if (plan->kind == NN_CUSTOM && !loss->custom)
        return nn_fail_user(err, TKX_ERR_INVALID_ARGUMENT,
                            "loss_fn custom: loss_fn_config has no loss_id");
    for (size_t i = 0; i < loss->n_params; i++) {
        double *to = find_param(plan, loss->params[i].key);

        if (!to)
            return nn_fail_user(err, TKX_ERR_INVALID_ARGUMENT,
                                "loss_fn_config of %s has no key '%.64s'", loss->name,
                                loss->params[i].key);
        if (!isfinite(loss->params[i].value))
            return nn_fail_user(err, TKX_ERR_INVALID_ARGUMENT,
                                "loss_fn_config: %s is not a finite number",
                                loss->params[i].key);
        *to = loss->params[i].value;
    }
    if (plan->low > plan->high)
        return nn_fail_user(err, TKX_ERR_INVALID_ARGUMENT,
                            "loss_fn_config of %s: clip_low_threshold %g is above "
                            "clip_high_threshold %g",
                            loss->name, plan->low, plan->high);
    return TKX_OK;
}

/* An input that must be there (or may, unless is_required) with n finite elements. */
static tkx_status check_input(const nn_input *input, const char *name, size_t n,
                              bool is_required, size_t index, tkx_error **err)
{
    if (!input->data || input->n == 0) {
        if (!is_required || n == 0)
            return TKX_OK;
        return nn_fail_user(err, TKX_ERR_INVALID_ARGUMENT,
                            "datum %zu: loss_fn_inputs lacks '%s'", index, name);
    }
    if (input->n != n)
        return nn_fail_user(err, TKX_ERR_INVALID_ARGUMENT,
                            "datum %zu: '%s' has %zu elements, expected %zu", index, name,
                            input->n, n);
    for (size_t i = 0; i < n; i++)
        if (!isfinite(input->data[i]))
            return nn_fail_user(err, TKX_ERR_INVALID_ARGUMENT,
                                "datum %zu: '%s'[%zu] is not a finite number", index,
                                name, i);
    return TKX_OK;
}

static tkx_status check_tokens(const char *name, const int64_t *tokens, size_t n,
                               size_t vocab_size, size_t index, tkx_error **err)
{
    for (size_t i = 0; i < n; i++)
        if (tokens[i] < 0 || (uint64_t)tokens[i] >= vocab_size)
            return nn_fail_user(err, TKX_ERR_INVALID_ARGUMENT,
                                "datum %zu: %s[%zu] is %lld, outside the vocabulary of "
                                "%zu tokens",
                                index, name, i, (long long)tokens[i], vocab_size);
    return TKX_OK;
}

static tkx_status check_shapes(const nn_loss_plan *plan, const nn_datum *d, size_t index,
                               size_t max_context, tkx_error **err)
{
    size_t n_wanted;

    if (d->n_tokens == 0)
        return nn_fail_user(err, TKX_ERR_INVALID_ARGUMENT,
                            "datum %zu: model_input has no tokens", index);
    if (d->n_tokens > max_context)
        return nn_fail_user(err, TKX_ERR_LIMIT,
                            "datum %zu: %zu tokens do not fit the context of %zu", index,
                            d->n_tokens, max_context);
    if (d->k == 0 || __builtin_mul_overflow(d->n_tokens, d->k, &n_wanted) ||
        d->n_targets != n_wanted)
        return nn_fail_user(
            err, TKX_ERR_INVALID_ARGUMENT,
            "datum %zu: 'target_tokens' has %zu elements, expected %zu for "
            "%zu input tokens (shape [N] or [N, K])",
            index, d->n_targets, d->n_tokens * (d->k ? d->k : 1), d->n_tokens);
    if ((d->k > 1 || d->is_matrix) && plan->kind != NN_CROSS_ENTROPY &&
        plan->kind != NN_CUSTOM)
        return nn_fail_user(err, TKX_ERR_INVALID_ARGUMENT,
                            "datum %zu: only cross_entropy takes (N, K) targets", index);
    return TKX_OK;
}

tkx_status nn_loss_check(const nn_loss_plan *plan, const nn_datum *d, size_t index,
                         size_t vocab_size, size_t max_context, bool needs_weights,
                         tkx_error **err)
{
    bool is_ce = plan->kind == NN_CROSS_ENTROPY, is_clipped = is_clipped_kind(plan->kind);
    size_t n = d->n_tokens;
    tkx_status st = check_shapes(plan, d, index, max_context, err);

    if (st == TKX_OK)
        st = check_tokens("model_input", d->tokens, n, vocab_size, index, err);
    if (st == TKX_OK)
        st = check_tokens("target_tokens", d->targets, d->n_targets, vocab_size, index,
                          err);
    if (plan->kind == NN_CUSTOM) /* its inputs are its own affair */
        return st;
    if (st == TKX_OK)
        st = check_input(&d->weights, "weights", d->n_targets, is_ce && needs_weights,
                         index, err);
    if (st == TKX_OK)
        st = check_input(&d->logprobs, "logprobs", n, !is_ce, index, err);
    if (st == TKX_OK)
        st = check_input(&d->advantages, "advantages", n, !is_ce, index, err);
    if (st == TKX_OK && is_clipped)
        st = check_input(&d->clip_low, "clip_low_threshold", n, false, index, err);
    if (st == TKX_OK && is_clipped)
        st = check_input(&d->clip_high, "clip_high_threshold", n, false, index, err);
    if (st == TKX_OK && plan->kind == NN_GSPO)
        st = check_input(&d->sequence_ratio_mask, "sequence_ratio_mask", n, false, index,
                         err);
    return st;
}

static double input_at(const nn_input *input, size_t t, double otherwise)
{
    return input->data && input->n > 0 ? (double)input->data[t] : otherwise;
}

/* Top-k targets: every cell has its own weight, e_t is the row's sum. */
static void eval_cross_entropy(const nn_datum *d, size_t first, size_t n,
                               const double *logprobs, double *e, double *g)
{
    for (size_t t = 0; t < n; t++) {
        e[t] = 0;
        for (size_t j = 0; j < d->k; j++) {
            double w = input_at(&d->weights, (first + t) * d->k + j, 1);

            g[t * d->k + j] = -w;
            if (w != 0)
                e[t] -= w * logprobs[t * d->k + j];
        }
    }
}

/* -min(r a, clip(r) a): flat (g = 0) exactly where the clipped term is the smaller
   one. */
static void eval_clipped(double r, double a, double low, double high, double *e,
                         double *g)
{
    double bounded = r < low ? low : r > high ? high : r;

    *e = -fmin(r * a, bounded * a);
    *g = (a > 0 && r > high) || (a < 0 && r < low) ? 0 : -r * a;
}

static void eval_one(const nn_loss_plan *plan, const nn_datum *d, size_t t, double l,
                     double ratio, double *e, double *g)
{
    double q = (double)d->logprobs.data[t], a = (double)d->advantages.data[t];
    double low = input_at(&d->clip_low, t, plan->low);
    double high = input_at(&d->clip_high, t, plan->high);
    double r = exp(l - q), bounded = r < low ? low : r > high ? high : r;

    switch (plan->kind) {
    case NN_CROSS_ENTROPY:
    case NN_CUSTOM:
        break;
    case NN_IMPORTANCE_SAMPLING:
        *e = *g = -r * a;
        break;
    case NN_PPO:
        eval_clipped(r, a, low, high, e, g);
        break;
    case NN_GSPO:
        eval_clipped(ratio, a, low, high, e, g);
        break;
    case NN_CISPO:
        *e = -bounded * a * l;
        *g = -bounded * a;
        break;
    case NN_DRO:
        *e = -(l * a - plan->beta / 2 * (l - q) * (l - q));
        *g = -a + plan->beta * (l - q);
        break;
    }
}

void nn_loss_eval(const nn_loss_plan *plan, const nn_datum *d, size_t first, size_t n,
                  const double *logprobs, double ratio, double *e, double *g)
{
    if (plan->kind == NN_CROSS_ENTROPY) {
        eval_cross_entropy(d, first, n, logprobs, e, g);
        return;
    }
    if (plan->kind == NN_CUSTOM) /* e and g come from nn_loss_custom() */
        return;
    for (size_t t = 0; t < n; t++) {
        double w = input_at(&d->weights, first + t, 1);

        if (w == 0) {
            e[t] = g[t] = 0;
            continue;
        }
        eval_one(plan, d, first + t, logprobs[t], ratio, &e[t], &g[t]);
        e[t] *= w;
        g[t] *= w;
    }
}

void nn_loss_custom(const nn_loss_plan *plan, const nn_datum *d, const double *logprobs,
                    double *e, double *g)
{
    plan->custom->eval(plan->custom->ctx, d, logprobs, &e[0], g);
    for (size_t t = 1; t < d->n_tokens; t++)
        e[t] = 0;
}

double nn_loss_ratio(const nn_datum *d, const double *logprobs)
{
    double sum = 0, total = 0;

    for (size_t t = 0; t < d->n_tokens; t++) {
        double m = input_at(&d->sequence_ratio_mask, t, 1);

        if (m != 0) {
            sum += m * (logprobs[t] - (double)d->logprobs.data[t]);
            total += m;
        }
    }
    return total > 0 ? exp(sum / total) : 1;
}
