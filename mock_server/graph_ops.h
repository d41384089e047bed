/* SPDX-License-Identifier: Apache-2.0 */
/*
 * graph_ops.h - the operations that a graph may name, and how they are applied.
 */
#ifndef MOCK_GRAPH_OPS_H
#define MOCK_GRAPH_OPS_H

#include "mock_server/graph_value.h"

typedef struct graph_op graph_op;

/* By the last word of "torch.exp", "operator.mul", "clamp"; NULL: not offered. */
const graph_op *graph_op_find(const char *target);

/* The value of a node named so, or NULL. */
typedef gv *graph_lookup(void *ctx, const char *name);

/*
 * The members of a list or {"tuple": list}, numbers apart where the reader packed them;
 * n_out 0 and NULL for anything else.
 */
const jv **graph_list(tkx__arena *arena, const jv *list, size_t *n_out);

typedef struct graph_args {
    const jv **items;
    size_t n;
    const jv *named; /* kwargs */
    graph_lookup *lookup;
    void *ctx;
} graph_args;

gv *graph_op_apply(tape *t, const graph_op *op, const graph_args *args);

#endif
