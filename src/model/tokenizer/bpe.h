/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model/tokenizer/bpe.h - byte-pair merging: of all adjacent pairs that may merge, the
 * one of lowest rank (leftmost of equals) merges first, until none can.
 *
 * Short words merge in place; long ones through a heap, so that a word of n symbols costs
 * O(n log n).
 */
#ifndef TKX_MODEL_TOKENIZER_BPE_H
#define TKX_MODEL_TOKENIZER_BPE_H

#include <stddef.h>
#include <stdint.h>

#include <tkx/error.h>

#include "model/tokenizer/merges.h"

/* What merging long words needs; reused from word to word. */
typedef struct tkx__bpe_scratch {
    void *nodes; /* links of a long word */
    size_t nodes_capacity;
    void *heap;
    size_t heap_capacity;
} tkx__bpe_scratch;

void tkx__bpe_scratch_clear(tkx__bpe_scratch *scratch);

/* Merge symbols[0..n) in place; *n becomes what is left.  NO_MEMORY only. */
tkx_status tkx__bpe_merge(const tkx__merges *merges, uint32_t *symbols, size_t *n,
                          tkx__bpe_scratch *scratch, tkx_error **err);

#endif
