/* SPDX-License-Identifier: Apache-2.0 */
/* graph_args.h - the arguments of a node, for the operations. */
#ifndef MOCK_GRAPH_ARGS_H
#define MOCK_GRAPH_ARGS_H

#include "mock_server/graph_ops.h"

/* The i-th argument, else the one of that name (may be NULL); NULL when absent or
   null. */
const jv *graph_argument(const graph_args *args, size_t i, const char *name);
/* A tensor: a node's value, or a number.  NULL: t->err says why. */
gv *graph_tensor_of(tape *t, const graph_args *args, const jv *value);
/* A whole number, written or computed (sizes are). */
bool graph_integer(tape *t, const graph_args *args, const jv *value, int64_t *out);
/* One number or a list of them, from argument i on (all that follow count). */
bool graph_integers(tape *t, const graph_args *args, size_t i, const char *name,
                    int64_t out[GRAPH_MAX_DIMS], size_t *n);
bool graph_flag(const graph_args *args, size_t i, const char *name);

/* Operations that move elements (graph_index.c). */
gv *graph_reshape(tape *t, const graph_args *args, gv *x);
/* Take out dimensions of 1, or (adds) put one in. */
gv *graph_squeeze(tape *t, const graph_args *args, gv *x, bool adds);
gv *graph_size(tape *t, const graph_args *args, gv *x);
gv *graph_getitem(tape *t, const graph_args *args, gv *x);

#endif
