/* SPDX-License-Identifier: Apache-2.0 */
/*
 * forward_backward_join.c - one result of several chunks.
 *
 * Outputs follow each other; metrics are reduced by what stands behind the last colon of
 * their name.  Only metrics that every chunk reports survive.  A finished step never
 * fails for the name of a metric: an unknown reduction is a mean weighted by outputs.
 */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "types/forward_backward_output.h"
#include "types/owned.h"

typedef struct job {
    tkx_forward_backward_output **parts;
    size_t n_parts;
    tkx__arena *arena;
    tkx_metric *metrics; /* of the result */
    size_t n_metrics;
} job;

static const tkx_metric *find(const job *j, size_t part, const char *name)
{
    return tkx_metric_find(j->parts[part]->metrics, j->parts[part]->n_metrics, name);
}

static double weighted_mean(const job *j, const char *name)
{
    double sum = 0;
    double plain = 0;
    double weight = 0;

    for (size_t i = 0; i < j->n_parts; i++) {
        double value = find(j, i, name)->value;
        size_t n = j->parts[i]->n_outputs;

        plain += value;
        weight += (double)n;
        if (n)
            sum += value * (double)n;
    }
    return weight > 0 ? sum / weight : plain / (double)j->n_parts;
}

static double total(const job *j, const char *name)
{
    double sum = 0;

    for (size_t i = 0; i < j->n_parts; i++)
        sum += find(j, i, name)->value;
    return sum;
}

/* One NaN makes all of it one. */
static double extreme(const job *j, const char *name, int sign)
{
    double best = find(j, 0, name)->value;

    for (size_t i = 1; i < j->n_parts; i++) {
        double value = find(j, i, name)->value;

        if (isnan(value) || (sign > 0 ? value >= best : value <= best))
            best = value;
        if (isnan(best))
            break;
    }
    return best;
}

/* Truncated to an integer, modulo 2^64; what is no number counts as 0. */
static uint64_t as_integer(const tkx_metric *metric)
{
    double v = trunc(metric->value);
    double rest;

    if (metric->has_exact)
        return metric->exact;
    if (!isfinite(v))
        return 0;
    rest = fmod(fabs(v), 18446744073709551616.0);
    return v < 0 ? 0 - (uint64_t)rest : (uint64_t)rest;
}

static uint64_t hash_sum(const job *j, const char *name)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < j->n_parts; i++)
        sum += as_integer(find(j, i, name));
    return sum;
}

/* "name_3" */
static const char *numbered(job *j, const char *name, size_t number)
{
    size_t n = strlen(name);
    char *text = tkx__arena_alloc(j->arena, n + 24, 1);
    char digits[24];
    size_t n_digits = 0;

    if (!text)
        return NULL;
    memcpy(text, name, n);
    text[n++] = '_';
    for (; number; number /= 10)
        digits[n_digits++] = (char)('0' + number % 10);
    while (n_digits)
        text[n++] = digits[--n_digits];
    text[n] = '\0';
    return text;
}

static bool keep_all(job *j, const char *name)
{
    for (size_t i = 0; i < j->n_parts; i++) {
        tkx_metric *to = &j->metrics[j->n_metrics++];

        *to = *find(j, i, name);
        to->name = i ? numbered(j, name, i) : name;
        if (!to->name)
            return false;
    }
    return true;
}

static bool reduce(job *j, const char *name)
{
    const char *colon = strrchr(name, ':');
    const char *how = colon ? colon + 1 : "mean";
    tkx_metric *to;

    if (strcmp(how, "unique") == 0)
        return keep_all(j, name);
    to = &j->metrics[j->n_metrics++];
    *to = (tkx_metric){.name = name};
    if (strcmp(how, "sum") == 0) {
        to->value = total(j, name);
    } else if (strcmp(how, "min") == 0) {
        to->value = extreme(j, name, -1);
    } else if (strcmp(how, "max") == 0) {
        to->value = extreme(j, name, 1);
    } else if (strcmp(how, "slack") == 0) {
        to->value = extreme(j, name, 1) - weighted_mean(j, name);
    } else if (strcmp(how, "hash2") == 0 || strcmp(how, "hash_unordered") == 0) {
        to->has_exact = true;
        to->exact = hash_sum(j, name);
        to->value = (double)to->exact;
    } else {
        to->value = weighted_mean(j, name);
    }
    return true;
}

static bool is_everywhere(const job *j, const char *name)
{
    for (size_t i = 1; i < j->n_parts; i++)
        if (!find(j, i, name))
            return false;
    return true;
}

static bool join_metrics(job *j)
{
    const tkx_forward_backward_output *first = j->parts[0];
    size_t most;

    if (!tkx__mul(first->n_metrics, j->n_parts, &most))
        return false;
    j->metrics = tkx__arena_zalloc(j->arena, most ? most : 1, sizeof *j->metrics);
    if (!j->metrics)
        return false;
    for (size_t i = 0; i < first->n_metrics; i++) {
        const char *name = first->metrics[i].name;

        if (find(j, 0, name) == &first->metrics[i] && is_everywhere(j, name) &&
            !reduce(j, name))
            return false;
    }
    return true;
}

static bool join_outputs(const job *j, tkx_forward_backward_output *out)
{
    tkx_loss_fn_output *outputs;
    size_t n = 0;

    for (size_t i = 0; i < j->n_parts; i++)
        n += j->parts[i]->n_outputs;
    outputs = tkx__arena_alloc(j->arena, n ? n : 1, sizeof *outputs);
    if (!outputs)
        return false;
    for (size_t i = 0; i < j->n_parts; i++) {
        const tkx_forward_backward_output *part = j->parts[i];

        if (part->n_outputs)
            memcpy(outputs + out->n_outputs, part->loss_fn_outputs,
                   part->n_outputs * sizeof *outputs);
        out->n_outputs += part->n_outputs;
    }
    out->loss_fn_outputs = outputs;
    return true;
}

tkx_status tkx__forward_backward_output_join(tkx_forward_backward_output **parts,
                                             size_t n_parts,
                                             tkx_forward_backward_output **out,
                                             tkx_error **err)
{
    job j = {.parts = parts, .n_parts = n_parts};
    tkx_forward_backward_output *whole = NULL;
    bool ok;

    if (n_parts == 1) {
        *out = parts[0];
        parts[0] = NULL;
        return TKX_OK;
    }
    *out = NULL;
    if (n_parts == 0)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "forward_backward: no results to join");
    whole = tkx__owned_new(sizeof *whole, 4096, SIZE_MAX / 4, &j.arena);
    ok = whole && join_outputs(&j, whole) && join_metrics(&j);
    if (ok) {
        whole->loss_fn_output_type = parts[0]->loss_fn_output_type;
        whole->metrics = j.metrics;
        whole->n_metrics = j.n_metrics;
    }
    for (size_t i = 0; i < n_parts; i++) {
        if (ok)
            tkx__owned_adopt(whole, parts[i]);
        else
            tkx__owned_free(parts[i]);
        parts[i] = NULL;
    }
    if (!ok) {
        tkx__owned_free(whole);
        return tkx__fail_memory(err);
    }
    *out = whole;
    return TKX_OK;
}
