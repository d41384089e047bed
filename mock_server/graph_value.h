/* SPDX-License-Identifier: Apache-2.0 */
/*
 * graph_value.h - tensors that remember how they were made, so that derivatives find the
 * way back.  All made in one tape's arena.
 */
#ifndef MOCK_GRAPH_VALUE_H
#define MOCK_GRAPH_VALUE_H

#include "base/error.h"
#include "mock_server/graph.h"

typedef struct gv gv;
struct gv {
    gv *made_before; /* in the order of making, backwards */
    double *data;
    double *grad; /* NULL: none has come yet */
    size_t n;
    size_t dims[GRAPH_MAX_DIMS];
    size_t n_dims;
    /*
     * How it was made: element i came from element from[p][i] of parents[p] (NULL: i),
     * with the derivative slope[p][i] (NULL: 1).  A reduction turns that round: element i
     * of parents[0] went into element into[i] of this one.
     */
    gv *parents[2];
    size_t *from[2];
    double *slope[2];
    size_t *into;
};

typedef struct tape {
    tkx__arena arena;
    gv *last;
    tkx_error **err;
    const char *doing; /* the operation under way, for messages */
} tape;

/* NULL for all of these: t->err says why. */
gv *gv_new(tape *t, const size_t *dims, size_t n_dims);
gv *gv_number(tape *t, double value);
void *tape_take(tape *t, size_t n, size_t size); /* zeroed */
gv *tape_fail(tape *t, const char *what);        /* always NULL */

/* y = f(x), dy/dx = s, element by element; s may be NULL in place of 0. */
typedef void gv_unary(double x, double *y, double *s);
gv *gv_map(tape *t, gv *x, gv_unary *fn);
/* y = f(a, b) over the common shape (dimensions of 1, or none, repeat). */
typedef void gv_binary(double a, double b, double *y, double *da, double *db);
gv *gv_map2(tape *t, gv *a, gv *b, gv_binary *fn);

/* Elements of x in another order or shape: element i is from[i]. */
gv *gv_pick(tape *t, gv *x, const size_t *dims, size_t n_dims, size_t *from);

/* Dimensions dims[n] of x fold into one element each (n 0: all of them). */
typedef enum gv_fold { FOLD_SUM, FOLD_MEAN, FOLD_MAX, FOLD_MIN, FOLD_LOGSUMEXP } gv_fold;
gv *gv_reduce(tape *t, gv *x, const int64_t *dims, size_t n, bool keeps, gv_fold fold);
gv *gv_cumsum(tape *t, gv *x, int64_t dim);

/* Derivatives of y (one element) by everything behind it. */
bool gv_back(tape *t, gv *y);

#endif
