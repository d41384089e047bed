/* SPDX-License-Identifier: Apache-2.0 */
/* graph_value.c - elementwise, rearranging and folding operations, and the way back. */
#include "mock_server/graph_value.h"

#include <math.h>
#include <string.h>

enum { MAX_ELEMENTS = 1 << 26 };

gv *tape_fail(tape *t, const char *what)
{
    tkx__fail(t->err, TKX_ERR_INVALID_ARGUMENT, "custom loss, %s: %s", t->doing, what);
    return NULL;
}

void *tape_take(tape *t, size_t n, size_t size)
{
    void *p = tkx__arena_zalloc(&t->arena, n ? n : 1, size);

    if (!p)
        tkx__fail(t->err, TKX_ERR_LIMIT,
                  "custom loss, %s: the graph takes too much memory for this datum",
                  t->doing);
    return p;
}

gv *gv_new(tape *t, const size_t *dims, size_t n_dims)
{
    gv *v;
    size_t n = 1;

    if (n_dims > GRAPH_MAX_DIMS)
        return tape_fail(t, "more than four dimensions");
    for (size_t d = 0; d < n_dims; d++)
        if (__builtin_mul_overflow(n, dims[d], &n) || n > MAX_ELEMENTS)
            return tape_fail(t, "the tensor is too large");
    v = tape_take(t, 1, sizeof *v);
    if (!v)
        return NULL;
    v->data = tape_take(t, n, sizeof *v->data);
    if (!v->data)
        return NULL;
    if (n_dims)
        memcpy(v->dims, dims, n_dims * sizeof *dims);
    v->n_dims = n_dims;
    v->n = n;
    v->made_before = t->last;
    t->last = v;
    return v;
}

gv *gv_number(tape *t, double value)
{
    gv *v = gv_new(t, NULL, 0);

    if (v)
        v->data[0] = value;
    return v;
}

gv *gv_map(tape *t, gv *x, gv_unary *fn)
{
    gv *y = gv_new(t, x->dims, x->n_dims);

    if (!y || !(y->slope[0] = tape_take(t, y->n, sizeof(double))))
        return NULL;
    y->parents[0] = x;
    for (size_t i = 0; i < y->n; i++)
        fn(x->data[i], &y->data[i], &y->slope[0][i]);
    return y;
}

/* The shape that both repeat into; false when they do not fit. */
static bool common_shape(const gv *a, const gv *b, size_t dims[GRAPH_MAX_DIMS],
                         size_t *n_dims)
{
    *n_dims = a->n_dims > b->n_dims ? a->n_dims : b->n_dims;
    for (size_t d = 0; d < *n_dims; d++) { /* from the last one on */
        size_t x = d < a->n_dims ? a->dims[a->n_dims - 1 - d] : 1;
        size_t y = d < b->n_dims ? b->dims[b->n_dims - 1 - d] : 1;

        if (x != y && x != 1 && y != 1)
            return false;
        dims[*n_dims - 1 - d] = x == 1 ? y : x;
    }
    return true;
}

/* For each element of the shape, which element of x it repeats. */
static size_t *repeat(tape *t, const gv *x, const size_t *dims, size_t n_dims, size_t n)
{
    size_t *from = tape_take(t, n, sizeof *from);

    for (size_t i = 0; from && i < n; i++) {
        size_t rest = i, at = 0, step = 1;

        for (size_t d = 0; d < n_dims; d++) {
            size_t size = dims[n_dims - 1 - d], here = rest % size;

            rest /= size;
            if (d >= x->n_dims)
                continue;
            at += x->dims[x->n_dims - 1 - d] == 1 ? 0 : here * step;
            step *= x->dims[x->n_dims - 1 - d];
        }
        from[i] = at;
    }
    return from;
}

gv *gv_map2(tape *t, gv *a, gv *b, gv_binary *fn)
{
    size_t dims[GRAPH_MAX_DIMS], n_dims;
    gv *y;

    if (!common_shape(a, b, dims, &n_dims))
        return tape_fail(t, "the shapes do not fit each other");
    y = gv_new(t, dims, n_dims);
    if (!y)
        return NULL;
    y->parents[0] = a;
    y->parents[1] = b;
    for (int p = 0; p < 2; p++) {
        y->from[p] = repeat(t, y->parents[p], dims, n_dims, y->n);
        y->slope[p] = tape_take(t, y->n, sizeof(double));
        if (!y->from[p] || !y->slope[p])
            return NULL;
    }
    for (size_t i = 0; i < y->n; i++)
        fn(a->data[y->from[0][i]], b->data[y->from[1][i]], &y->data[i], &y->slope[0][i],
           &y->slope[1][i]);
    return y;
}

gv *gv_pick(tape *t, gv *x, const size_t *dims, size_t n_dims, size_t *from)
{
    gv *y = gv_new(t, dims, n_dims);

    if (!y)
        return NULL;
    y->parents[0] = x;
    y->from[0] = from;
    for (size_t i = 0; i < y->n; i++)
        y->data[i] = x->data[from ? from[i] : i];
    return y;
}

/* --- folding --------------------------------------------------------------------- */

/* Marks the dimensions that go; false when one is not there. */
static bool mark(const gv *x, const int64_t *dims, size_t n, bool goes[GRAPH_MAX_DIMS])
{
    for (size_t d = 0; d < GRAPH_MAX_DIMS; d++)
        goes[d] = n == 0;
    for (size_t i = 0; i < n; i++) {
        int64_t d = dims[i] < 0 ? dims[i] + (int64_t)x->n_dims : dims[i];

        if (d == 0 && x->n_dims == 0)
            continue;
        if (d < 0 || d >= (int64_t)x->n_dims)
            return false;
        goes[d] = true;
    }
    return true;
}

/* Where each element of x goes, and the shape of the outcome. */
static gv *make_folded(tape *t, gv *x, const bool *goes, bool keeps)
{
    size_t dims[GRAPH_MAX_DIMS], n_dims = 0;
    gv *y;

    for (size_t d = 0; d < x->n_dims; d++)
        if (!goes[d] || keeps)
            dims[n_dims++] = goes[d] ? 1 : x->dims[d];
    y = gv_new(t, dims, n_dims);
    if (!y || !(y->into = tape_take(t, x->n, sizeof *y->into)) ||
        !(y->slope[0] = tape_take(t, x->n, sizeof(double))))
        return NULL;
    y->parents[0] = x;
    for (size_t i = 0; i < x->n; i++) {
        size_t rest = i, at = 0, step = 1;

        for (size_t d = x->n_dims; d-- > 0;) {
            size_t here = rest % x->dims[d];

            rest /= x->dims[d];
            if (goes[d])
                continue;
            at += here * step;
            step *= x->dims[d];
        }
        y->into[i] = at;
    }
    return y;
}

static void fold_sum(gv *y, const gv *x, bool is_mean)
{
    double share = is_mean && x->n ? (double)y->n / (double)x->n : 1;

    for (size_t i = 0; i < x->n; i++) {
        y->data[y->into[i]] += x->data[i] * share;
        y->slope[0][i] = share;
    }
}

/* The first of the largest (smallest) ones gets all of the derivative. */
static bool fold_extreme(tape *t, gv *y, const gv *x, double sign)
{
    size_t *best = tape_take(t, y->n, sizeof *best); /* index + 1 */

    for (size_t i = 0; best && i < x->n; i++) {
        size_t *b = &best[y->into[i]];

        if (*b == 0 || sign * x->data[i] > sign * x->data[*b - 1])
            *b = i + 1;
    }
    for (size_t i = 0; best && i < y->n; i++)
        if (best[i]) {
            y->data[i] = x->data[best[i] - 1];
            y->slope[0][best[i] - 1] = 1;
        }
    return best != NULL;
}

static bool fold_logsumexp(tape *t, gv *y, const gv *x)
{
    double *max = tape_take(t, y->n, sizeof *max);
    double *sum = tape_take(t, y->n, sizeof *sum);

    if (!max || !sum)
        return false;
    for (size_t i = 0; i < y->n; i++)
        max[i] = -INFINITY;
    for (size_t i = 0; i < x->n; i++)
        max[y->into[i]] = fmax(max[y->into[i]], x->data[i]);
    for (size_t i = 0; i < x->n; i++)
        sum[y->into[i]] += exp(x->data[i] - max[y->into[i]]);
    for (size_t i = 0; i < y->n; i++)
        y->data[i] = max[i] + log(sum[i]);
    for (size_t i = 0; i < x->n; i++)
        y->slope[0][i] = exp(x->data[i] - y->data[y->into[i]]);
    return true;
}

gv *gv_reduce(tape *t, gv *x, const int64_t *dims, size_t n, bool keeps, gv_fold fold)
{
    bool goes[GRAPH_MAX_DIMS], ok = true;
    gv *y;

    if (!mark(x, dims, n, goes))
        return tape_fail(t, "the tensor has no such dimension");
    y = make_folded(t, x, goes, keeps);
    if (!y)
        return NULL;
    if (x->n == 0 && fold != FOLD_SUM)
        return tape_fail(t, "there is nothing to fold");
    if (fold == FOLD_SUM || fold == FOLD_MEAN)
        fold_sum(y, x, fold == FOLD_MEAN);
    else if (fold == FOLD_LOGSUMEXP)
        ok = fold_logsumexp(t, y, x);
    else
        ok = fold_extreme(t, y, x, fold == FOLD_MAX ? 1 : -1);
    return ok ? y : NULL;
}

/* A fold for each prefix would be quadratic: it is marked by itself as second parent. */
gv *gv_cumsum(tape *t, gv *x, int64_t dim)
{
    gv *y;

    if (x->n_dims != 1 || dim < -1 || dim > 0)
        return tape_fail(t, "cumsum is offered along the one dimension of a list");
    y = gv_new(t, x->dims, 1);
    if (!y)
        return NULL;
    y->parents[0] = x;
    y->parents[1] = y;
    for (size_t i = 0; i < y->n; i++)
        y->data[i] = x->data[i] + (i ? y->data[i - 1] : 0);
    return y;
}

/* --- the way back ---------------------------------------------------------------- */

static bool need_grad(tape *t, gv *v)
{
    if (!v->grad)
        v->grad = tape_take(t, v->n, sizeof *v->grad);
    return v->grad != NULL;
}

/* What is 0 stays 0, also against an infinite slope: where() relies on it. */
static void add(double *to, double grad, const double *slope, size_t i)
{
    if (grad != 0)
        *to += slope ? (slope[i] == 0 ? 0 : grad * slope[i]) : grad;
}

static void back_one(gv *y)
{
    gv *x = y->parents[0];
    double running = 0;

    if (y->parents[1] == y) {
        for (size_t i = y->n; i-- > 0;)
            x->grad[i] += (running += y->grad[i]);
        return;
    }
    if (y->into) {
        for (size_t i = 0; i < x->n; i++)
            add(&x->grad[i], y->grad[y->into[i]], y->slope[0], i);
        return;
    }
    for (int p = 0; p < 2 && y->parents[p]; p++)
        for (size_t i = 0; i < y->n; i++)
            add(&y->parents[p]->grad[y->from[p] ? y->from[p][i] : i], y->grad[i],
                y->slope[p], i);
}

bool gv_back(tape *t, gv *y)
{
    if (!need_grad(t, y))
        return false;
    for (size_t i = 0; i < y->n; i++)
        y->grad[i] = 1;
    for (gv *v = t->last; v; v = v->made_before) {
        if (!v->grad || !v->parents[0])
            continue;
        for (int p = 0; p < 2; p++)
            if (v->parents[p] && v->parents[p] != v && !need_grad(t, v->parents[p]))
                return false;
        back_one(v);
    }
    return true;
}
