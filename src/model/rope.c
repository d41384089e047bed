/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rope.c - the frequencies of the rotation under each kind of scaling.
 *
 * docs/models/llama.md has the formulas.
 */
#include <math.h>

#include "base/error.h"
#include "model/config.h"

static const double two_pi = 6.283185307179586476925;

static bool is_positive(double x)
{
    return isfinite(x) && x > 0;
}

static bool can_be_used(const tkx__rope_config *rope)
{
    bool ok = is_positive(rope->theta) && is_positive(rope->magnitude);

    if (rope->scaling != TKX__ROPE_PLAIN)
        ok = ok && is_positive(rope->factor);
    if (rope->scaling == TKX__ROPE_LLAMA3)
        ok = ok && is_positive(rope->original_max_positions) &&
             is_positive(rope->low_freq_factor) &&
             rope->high_freq_factor > rope->low_freq_factor &&
             isfinite(rope->high_freq_factor);
    if (rope->scaling == TKX__ROPE_YARN)
        ok = ok && is_positive(rope->original_max_positions) && rope->theta > 1 &&
             is_positive(rope->beta_fast) && is_positive(rope->beta_slow);
    return ok;
}

tkx_status tkx__rope_check(const tkx__rope_config *rope, const char *what,
                           tkx_error **err)
{
    if (can_be_used(rope))
        return TKX_OK;
    return tkx__fail(err, TKX_ERR_PARSE,
                     "%s: the parameters of the rotation cannot be used (base %g, factor "
                     "%g, original context %g)",
                     what, rope->theta, rope->factor, rope->original_max_positions);
}

double tkx__rope_yarn_magnitude(double factor)
{
    return factor > 1 ? 0.1 * log(factor) + 1 : 1;
}

size_t tkx__rope_yarn_reach(const tkx__rope_config *rope, size_t max_positions)
{
    double reach = rope->original_max_positions * rope->factor;

    return reach > (double)max_positions && reach <= 0x1p30 ? (size_t)reach
                                                            : max_positions;
}

/* One inverse frequency after llama3 scaling: short waves stay, long ones are divided. */
static double scale_llama3(const tkx__rope_config *rope, double freq)
{
    double turns = rope->original_max_positions * freq / two_pi;
    double blend;

    if (turns < rope->low_freq_factor)
        return freq / rope->factor;
    if (turns > rope->high_freq_factor)
        return freq;
    blend = (turns - rope->low_freq_factor) /
            (rope->high_freq_factor - rope->low_freq_factor);
    return (1 - blend) * freq / rope->factor + blend * freq;
}

typedef struct ramp {
    double low;
    double high;
} ramp;

/* The dimension that makes `turns` turns in the original context. */
static double dimension_of(const tkx__rope_config *rope, double head_dim, double turns)
{
    return head_dim * log(rope->original_max_positions / (turns * two_pi)) /
           (2 * log(rope->theta));
}

static ramp yarn_ramp(const tkx__rope_config *rope, size_t head_dim)
{
    double n = (double)head_dim;
    ramp r = {dimension_of(rope, n, rope->beta_fast),
              dimension_of(rope, n, rope->beta_slow)};

    if (!rope->is_ramp_exact) {
        r.low = floor(r.low);
        r.high = ceil(r.high);
    }
    r.low = fmax(r.low, 0);
    r.high = fmin(r.high, n - 1);
    if (r.low == r.high)
        r.high += 0.001;
    return r;
}

/* Dimensions below the ramp stay, those above are divided. */
static double scale_yarn(const tkx__rope_config *rope, ramp r, size_t i, double freq)
{
    double blend = fmin(fmax(((double)i - r.low) / (r.high - r.low), 0), 1);

    return freq / rope->factor * blend + freq * (1 - blend);
}

void tkx__rope_inv_freq(const tkx__model_config *config, float *out)
{
    const tkx__rope_config *rope = &config->rope;
    ramp r = {0, 1};

    if (rope->scaling == TKX__ROPE_YARN)
        r = yarn_ramp(rope, config->head_dim);
    for (size_t i = 0; i < config->head_dim / 2; i++) {
        double freq = pow(rope->theta, -2.0 * (double)i / (double)config->head_dim);

        if (rope->scaling == TKX__ROPE_LINEAR)
            freq /= rope->factor;
        else if (rope->scaling == TKX__ROPE_LLAMA3)
            freq = scale_llama3(rope, freq);
        else if (rope->scaling == TKX__ROPE_YARN)
            freq = scale_yarn(rope, r, i, freq);
        out[i] = (float)freq;
    }
}
