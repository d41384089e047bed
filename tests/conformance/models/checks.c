/* SPDX-License-Identifier: Apache-2.0 */
/* checks.c - recorded arrays and distances. */
#include "models/checks.h"

#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const tkx__tensor *find(const tkx__safetensors *ref, tkx__dtype dtype, size_t n,
                               const char *fmt, va_list args)
{
    char name[256];
    const tkx__tensor *t;

    vsnprintf(name, sizeof name, fmt, args);
    t = tkx__tensors_find(tkx__safetensors_tensors(ref), name);
    return t && t->dtype == dtype && (n == 0 || t->n_elements == n) ? t : NULL;
}

const tkx__tensor *ref_find(const tkx__safetensors *ref, tkx__dtype dtype, size_t n,
                            const char *fmt, ...)
{
    va_list args;
    const tkx__tensor *t;

    va_start(args, fmt);
    t = find(ref, dtype, n, fmt, args);
    va_end(args);
    return t;
}

const float *ref_floats(const tkx__safetensors *ref, size_t n, const char *fmt, ...)
{
    va_list args;
    const tkx__tensor *t;

    va_start(args, fmt);
    t = find(ref, TKX__DTYPE_F32, n, fmt, args);
    va_end(args);
    return t ? t->data : NULL;
}

int64_t *ref_tokens(const tkx__safetensors *ref, size_t *n, const char *fmt, ...)
{
    va_list args;
    const tkx__tensor *t;
    int64_t *ids;

    va_start(args, fmt);
    t = find(ref, TKX__DTYPE_I32, 0, fmt, args);
    va_end(args);
    *n = t ? t->n_elements : 0;
    ids = t ? calloc(t->n_elements + 1, sizeof *ids) : NULL;
    for (size_t i = 0; ids && i < *n; i++)
        ids[i] = ((const int32_t *)t->data)[i];
    return ids;
}

void distance_add(distance *d, const float *got, const float *want, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double diff = fabs((double)got[i] - (double)want[i]);

        if (!(diff <= d->max)) { /* NaN too */
            d->max = isnan(diff) ? INFINITY : diff;
            d->worst = d->n + i;
            d->want = want[i];
            d->got = got[i];
        }
        d->sum_sq += diff * diff;
    }
    d->n += n;
}

double distance_rms(const distance *d)
{
    return d->n ? sqrt(d->sum_sq / (double)d->n) : 0;
}

double correlation(const float *a, const float *b, size_t n)
{
    double ma = 0;
    double mb = 0;
    double ab = 0;
    double aa = 0;
    double bb = 0;

    for (size_t i = 0; i < n; i++) {
        ma += (double)a[i] / (double)n;
        mb += (double)b[i] / (double)n;
    }
    for (size_t i = 0; i < n; i++) {
        ab += ((double)a[i] - ma) * ((double)b[i] - mb);
        aa += ((double)a[i] - ma) * ((double)a[i] - ma);
        bb += ((double)b[i] - mb) * ((double)b[i] - mb);
    }
    return aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : 0;
}

float logprob_of(const float *logits, size_t n, int64_t id)
{
    double max = -INFINITY;
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        max = fmax(max, (double)logits[i]);
    for (size_t i = 0; i < n; i++)
        sum += exp((double)logits[i] - max);
    return (float)((double)logits[id] - max - log(sum));
}

/* "p33.tokens" */
static bool is_prompt(const char *name)
{
    size_t n = 1;

    if (name[0] != 'p' || !isdigit((unsigned char)name[1]))
        return false;
    while (isdigit((unsigned char)name[n]))
        n++;
    return strcmp(name + n, ".tokens") == 0;
}

void for_prompts(const ref_case *c, prompt_fn *fn)
{
    const tkx__tensors *table = tkx__safetensors_tensors(c->ref);
    char prompt[64];

    for (size_t i = 0; i < table->n; i++) {
        if (!is_prompt(table->items[i].name))
            continue;
        snprintf(prompt, sizeof prompt, "%.*s", (int)strcspn(table->items[i].name, "."),
                 table->items[i].name);
        fn(c, prompt);
    }
}
