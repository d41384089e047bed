/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_custom_loss.c - an uploaded loss: what is read is also run, on short inputs. */
#include "fuzz/fuzz.h"
#include "mock_server/graph.h"

enum { N = 4, MAX_BYTES = 4096 };

static volatile double sink;

static void run(const graph *g)
{
    static const double data[N] = {-0.5, -1.25, -2, -0.125};
    graph_tensor inputs[GRAPH_MAX_INPUTS];
    double loss, gradient[N], metrics[GRAPH_MAX_METRICS];

    for (size_t i = 0; i < g->n_inputs; i++) {
        inputs[i] = (graph_tensor){.data = data, .n_dims = (size_t)g->inputs[i].rank};
        inputs[i].dims[0] = inputs[i].n_dims == 2 ? N / 2 : N;
        inputs[i].dims[1] = 2;
    }
    if (graph_run(g, inputs, &loss, gradient, metrics, NULL) == TKX_OK)
        sink = loss + gradient[N - 1];
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    const jv *root;
    graph g;
    tkx__arena arena;

    if (size > MAX_BYTES) /* long graphs are slow and find nothing more */
        return 0;
    tkx__arena_init(&arena, 4096, (size_t)64 << 20);
    if (jv_parse(&arena, (const char *)bytes, size, &root, NULL) == TKX_OK &&
        graph_read(&arena, root, &g, NULL) == TKX_OK)
        run(&g);
    tkx__arena_clear(&arena);
    return 0;
}
