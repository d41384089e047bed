/* SPDX-License-Identifier: Apache-2.0 */
/* graph_index.c - shapes and indices: operations that move elements and change none. */
#include "mock_server/graph_args.h"

gv *graph_reshape(tape *t, const graph_args *args, gv *x)
{
    int64_t wanted[GRAPH_MAX_DIMS];
    size_t dims[GRAPH_MAX_DIMS], n, known = 1, open = GRAPH_MAX_DIMS;

    if (!graph_integers(t, args, 1, "shape", wanted, &n))
        return NULL;
    for (size_t d = 0; d < n; d++) {
        if (wanted[d] < 0)
            open = d;
        else if (__builtin_mul_overflow(known, (size_t)wanted[d], &known))
            return tape_fail(t, "the shape is too large");
        dims[d] = (size_t)wanted[d];
    }
    if (open < n)
        dims[open] = known ? x->n / known : 0;
    if (open < n ? known == 0 || x->n % known != 0 : known != x->n)
        return tape_fail(t, "the shape has another number of elements");
    return gv_pick(t, x, dims, n, NULL);
}

gv *graph_squeeze(tape *t, const graph_args *args, gv *x, bool adds)
{
    int64_t dim = 0;
    const jv *given = graph_argument(args, 1, "dim");
    size_t dims[GRAPH_MAX_DIMS + 1], n = 0, last = x->n_dims + adds;

    if (given && !graph_integer(t, args, given, &dim))
        return NULL;
    dim += dim < 0 ? (int64_t)last : 0;
    if (given && (dim < 0 || dim >= (int64_t)last))
        return tape_fail(t, "the tensor has no such dimension");
    for (size_t d = 0; d < x->n_dims; d++) {
        if (adds && (int64_t)d == dim)
            dims[n++] = 1;
        if (adds || x->dims[d] != 1 || (given && (int64_t)d != dim))
            dims[n++] = x->dims[d];
    }
    if (adds && dim == (int64_t)x->n_dims)
        dims[n++] = 1;
    return gv_pick(t, x, dims, n, NULL);
}

gv *graph_size(tape *t, const graph_args *args, gv *x)
{
    int64_t dim = 0;
    const jv *given = graph_argument(args, 1, "dim");
    gv *all;

    if (given && graph_integer(t, args, given, &dim)) {
        dim += dim < 0 ? (int64_t)x->n_dims : 0;
        if (dim < 0 || dim >= (int64_t)x->n_dims)
            return tape_fail(t, "the tensor has no such dimension");
        return gv_number(t, (double)x->dims[dim]);
    }
    all = gv_new(t, &x->n_dims, 1);
    for (size_t d = 0; all && d < x->n_dims; d++)
        all->data[d] = (double)x->dims[d];
    return all;
}

/* --- indexing -------------------------------------------------------------------- */

typedef struct cut {
    size_t dims[GRAPH_MAX_DIMS]; /* of the outcome */
    size_t n_dims;
    size_t starts[GRAPH_MAX_DIMS]; /* of each dimension of x */
    size_t steps[GRAPH_MAX_DIMS];
    size_t counts[GRAPH_MAX_DIMS];
} cut;

/* A bound of a slice, which counts from the end when negative; held inside 0 .. n. */
static bool bound(tape *t, const graph_args *args, const jv *value, size_t n,
                  size_t otherwise, size_t *out)
{
    int64_t at;

    *out = otherwise;
    if (!value || value->kind == JV_NULL)
        return true;
    if (!graph_integer(t, args, value, &at))
        return false;
    at += at < 0 ? (int64_t)n : 0;
    *out = at < 0 ? 0 : at > (int64_t)n ? n : (size_t)at;
    return true;
}

static bool take_slice(tape *t, const graph_args *args, const jv *slice, size_t n, cut *c,
                       size_t d)
{
    size_t n_parts, stop;
    const jv **parts = graph_list(&t->arena, slice, &n_parts);
    int64_t step = 1;

    if (!parts || n_parts != 3)
        return tape_fail(t, "a slice has start, stop and step") != NULL;
    if (parts[2]->kind != JV_NULL && !graph_integer(t, args, parts[2], &step))
        return false;
    if (step < 1)
        return tape_fail(t, "a slice's step is at least 1") != NULL;
    if (!bound(t, args, parts[0], n, 0, &c->starts[d]) ||
        !bound(t, args, parts[1], n, n, &stop))
        return false;
    c->steps[d] = (size_t)step;
    c->counts[d] =
        stop > c->starts[d] ? (stop - c->starts[d] + (size_t)step - 1) / (size_t)step : 0;
    c->dims[c->n_dims++] = c->counts[d];
    return true;
}

static bool take_index(tape *t, const graph_args *args, const jv *index, const gv *x,
                       cut *c, size_t d)
{
    int64_t at;

    if (d >= x->n_dims)
        return tape_fail(t, "more indices than dimensions") != NULL;
    if (index->kind == JV_OBJECT && jv_get(index, "slice"))
        return take_slice(t, args, jv_get(index, "slice"), x->dims[d], c, d);
    if (!graph_integer(t, args, index, &at))
        return false;
    at += at < 0 ? (int64_t)x->dims[d] : 0;
    if (at < 0 || at >= (int64_t)x->dims[d])
        return tape_fail(t, "an index outside of the tensor") != NULL;
    c->starts[d] = (size_t)at;
    c->steps[d] = c->counts[d] = 1;
    return true;
}

static gv *pick_cut(tape *t, gv *x, const cut *c)
{
    size_t n = 1, *from;

    for (size_t d = 0; d < x->n_dims; d++)
        n *= c->counts[d];
    from = tape_take(t, n, sizeof *from);
    for (size_t i = 0; from && i < n; i++) {
        size_t rest = i, at = 0, step = 1;

        for (size_t d = x->n_dims; d-- > 0;) {
            at += (c->starts[d] + rest % c->counts[d] * c->steps[d]) * step;
            rest /= c->counts[d];
            step *= x->dims[d];
        }
        from[i] = at;
    }
    return from ? gv_pick(t, x, c->dims, c->n_dims, from) : NULL;
}

/* x[i], x[a:b], x[..., 1:], x[:, None] */
gv *graph_getitem(tape *t, const graph_args *args, gv *x)
{
    const jv *given = graph_argument(args, 1, NULL), *one[1];
    size_t n, d = 0, n_real = 0;
    const jv **items = graph_list(&t->arena, given, &n);
    cut c = {.n_dims = 0};

    if (!given)
        return graph_squeeze(t, &(graph_args){0}, x, true); /* x[None] */
    if (!items) {
        one[0] = given;
        items = one;
        n = 1;
    }
    for (size_t i = 0; i < n; i++)
        n_real += items[i]->kind != JV_NULL &&
                  !(items[i]->kind == JV_OBJECT && jv_get(items[i], "ellipsis"));
    for (size_t i = 0; i < n; i++) {
        bool is_rest = items[i]->kind == JV_OBJECT && jv_get(items[i], "ellipsis");

        if (items[i]->kind == JV_NULL && c.n_dims < GRAPH_MAX_DIMS) {
            c.dims[c.n_dims++] = 1;
        } else if (is_rest) {
            for (; d + n_real < x->n_dims && c.n_dims < GRAPH_MAX_DIMS; d++) {
                c.counts[d] = c.dims[c.n_dims++] = x->dims[d];
                c.steps[d] = 1;
            }
        } else if (c.n_dims == GRAPH_MAX_DIMS ||
                   !take_index(t, args, items[i], x, &c, d)) {
            return t->err && *t->err ? NULL : tape_fail(t, "more than four dimensions");
        } else {
            d++;
            n_real--;
        }
    }
    for (; d < x->n_dims && c.n_dims < GRAPH_MAX_DIMS; d++) {
        c.counts[d] = c.dims[c.n_dims++] = x->dims[d];
        c.steps[d] = 1;
    }
    return d == x->n_dims ? pick_cut(t, x, &c)
                          : tape_fail(t, "more than four dimensions");
}
