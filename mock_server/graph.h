/* SPDX-License-Identifier: Apache-2.0 */
/*
 * graph.h - losses that users wrote, as graphs of tensor operations, run and derived.
 *
 * {"name", "inputs": [{"name", "rank"}], "graph": {"format": 1, "nodes": [...]}} as
 * create_custom_loss uploads it.  A graph is checked once, then run for each datum:
 * values in double, derivatives by going back over the operations.  Values are tensors of
 * up to GRAPH_MAX_DIMS dimensions; numbers are tensors without any.
 */
#ifndef MOCK_GRAPH_H
#define MOCK_GRAPH_H

#include "base/arena.h"
#include "mock_server/jv.h"

enum {
    GRAPH_MAX_DIMS = 4,
    GRAPH_MAX_INPUTS = 16,
    GRAPH_MAX_NODES = 1000,
    GRAPH_MAX_METRICS = 32,
    GRAPH_NAME_SIZE = 96
};

typedef struct graph_input {
    char name[GRAPH_NAME_SIZE];
    int64_t rank;
} graph_input;

typedef struct graph {
    graph_input inputs[GRAPH_MAX_INPUTS]; /* the first is logprobs */
    size_t n_inputs;
    const jv **nodes; /* [n_nodes], in order; the last is the output */
    size_t n_nodes;
    char metrics[GRAPH_MAX_METRICS][GRAPH_NAME_SIZE]; /* "custom/x:mean" */
    size_t n_metrics;
} graph;

/*
 * Ownership: everything lives in arena and borrows from body.
 * Errors:    INVALID_ARGUMENT that names what is wrong or not offered.
 */
tkx_status graph_read(tkx__arena *arena, const jv *body, graph *out, tkx_error **err);

/* One input of one datum, row-major. */
typedef struct graph_tensor {
    const double *data;
    size_t dims[2];
    size_t n_dims;
} graph_tensor;

/*
 * Run it on inputs[n_inputs] (the first: logprobs): the loss, its derivative by the
 * logprobs gradient[size of logprobs], and metrics[n_metrics].
 *
 * Thread:    any, many at once on one graph.
 * Errors:    INVALID_ARGUMENT naming the operation; LIMIT when it takes too much memory.
 */
tkx_status graph_run(const graph *g, const graph_tensor *inputs, double *loss,
                     double *gradient, double *metrics, tkx_error **err);

#endif
