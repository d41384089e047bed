/* SPDX-License-Identifier: Apache-2.0 */
/*
 * infer/graph.h - one forward step of a model over a batch of sequences.
 *
 * A graph binds weights, kernels, a thread pool and a KV cache, and owns the scratch
 * memory.  A step takes new tokens of any number of sequences (prompt pieces and single
 * tokens alike), writes their keys and values, and hands out logits for the tokens asked
 * for.  What a token gets does not depend on what else is in the step, nor on how its
 * prompt was cut.
 *
 * Thread: one at a time (the compute thread).  No step allocates but the second, which
 * brings quantised weights into kernel order (graph_pack.c).
 */
#ifndef TKX_INFER_GRAPH_H
#define TKX_INFER_GRAPH_H

#include <stddef.h>
#include <stdint.h>

#include <tkx/error.h>

#include "infer/adapter.h"
#include "infer/kernels/kernels.h"
#include "infer/kv.h"
#include "infer/threads.h"
#include "model/weights.h"

typedef struct tkx__graph tkx__graph;

/* Different adapters in one step. */
#define TKX__GRAPH_MAX_ADAPTERS 16

typedef struct tkx__graph_options {
    tkx__compute compute;
    size_t max_tokens; /* of a step, all parts together; 0: 512 */
    size_t max_parts;  /* of a step; 0: max_tokens */
    size_t max_logits; /* rows of logits held at once; 0: 32 */
    bool keep_order;   /* never bring weights into kernel order (same results, slower) */
} tkx__graph_options;

/* Consecutive new tokens of one sequence. */
typedef struct tkx__step_part {
    const int64_t *tokens; /* [n_tokens] */
    size_t n_tokens;
    size_t pos; /* of tokens[0] in its sequence */
    const uint32_t
        *block_ids; /* [blocks for pos + n_tokens]; those from pos on its own */
    const tkx__adapter *adapter; /* NULL: the base */
    size_t n_logits;             /* logits are wanted for the last n_logits tokens */
} tkx__step_part;

/* Which token a row of logits belongs to: the logits that follow it. */
typedef struct tkx__logits_row {
    size_t part;
    size_t token; /* index into the part's tokens */
} tkx__logits_row;

/*
 * Takes rows of logits [n_rows][vocab_size], valid during the call, in the order of parts
 * and tokens; called as often as the rows asked for need.  Runs on the stepping thread,
 * which may use the pool (tkx__threads_run) inside.
 */
typedef void tkx__logits_fn(void *ctx, const tkx__logits_row *rows, size_t n_rows,
                            const float *logits);

/* weights, kernels, pool and kv are borrowed and must outlive the graph. */
tkx_status tkx__graph_new(const tkx__weights *weights, const tkx__kernels *kernels,
                          tkx__threads *pool, tkx__kv *kv,
                          const tkx__graph_options *options, tkx__graph **out,
                          tkx_error **err);
void tkx__graph_free(tkx__graph *graph);

size_t tkx__graph_max_tokens(const tkx__graph *graph);
size_t tkx__graph_max_parts(const tkx__graph *graph);
/* Bytes of scratch memory a graph with these options takes (work buffers included). */
size_t tkx__graph_scratch_bytes(const tkx__model_config *config,
                                const tkx__graph_options *options);

/* Make room for an adapter's rank, once before its first step; may allocate. */
tkx_status tkx__graph_admit(tkx__graph *graph, const tkx__adapter *adapter,
                            tkx_error **err);

/*
 * Errors: INVALID_ARGUMENT for a token id outside the vocabulary, more tokens or parts
 *         than the limits, too many adapters or one that was not admitted; nothing is
 * computed then.
 */
tkx_status tkx__graph_step(tkx__graph *graph, const tkx__step_part *parts, size_t n_parts,
                           tkx__logits_fn *fn, void *ctx, tkx_error **err);

#endif
