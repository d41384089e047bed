/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model/tokenizer/bpe.h - byte-pair merging: of all adjacent pairs that may merge, the
 * one of lowest rank (leftmost of equals) merges first, until none can.
 *
 * The table is a flat hash of pairs, immutable once loaded; where ids and ranks are small
 * enough, which they nearly always are, it ends up as one word a pair, so that most of it
 * stays in the processor's caches.  Short words merge in place; long ones through a heap,
 * so that a word of n symbols costs O(n log n).
 */
#ifndef TKX_MODEL_TOKENIZER_BPE_H
#define TKX_MODEL_TOKENIZER_BPE_H

#include <stddef.h>
#include <stdint.h>

#include <tkx/error.h>

#include "model/tokenizer/ids.h"

typedef struct tkx__merge {
    uint64_t pair; /* left << 32 | right; UINT64_MAX: free */
    uint32_t rank;
    uint32_t id;
} tkx__merge;

/* Ids below this are mostly single bytes: the pairs that every word begins with. */
#define TKX__SMALL_IDS 256

typedef struct tkx__merges {
    tkx__merge *slots; /* NULL once packed */
    uint32_t *small;   /* rank of [left * TKX__SMALL_IDS + right]; NULL: look up */
    uint64_t *packed;  /* pair and rank; UINT64_MAX: free */
    uint32_t *made;    /* by rank; with packed */
    size_t mask;       /* of slots or packed */
    size_t n;
    int shift; /* 64 - log2 of their number */
} tkx__merges;

/* What merging long words needs; reused from word to word. */
typedef struct tkx__bpe_scratch {
    void *nodes; /* links of a long word */
    size_t nodes_capacity;
    void *heap;
    size_t heap_capacity;
} tkx__bpe_scratch;

void tkx__bpe_scratch_clear(tkx__bpe_scratch *scratch);

tkx_status tkx__merges_init(tkx__merges *merges, size_t n_expected, tkx_error **err);
void tkx__merges_clear(tkx__merges *merges);

/* A pair that is there already gets the new rank and id. */
tkx_status tkx__merges_put(tkx__merges *merges, uint32_t left, uint32_t right,
                           uint32_t rank, uint32_t id, tkx_error **err);

/* Once all pairs are there: make the table fit for merging. */
tkx_status tkx__merges_finish(tkx__merges *merges, tkx_error **err);

/* NULL when the pair does not merge; before tkx__merges_finish() only. */
const tkx__merge *tkx__merges_find(const tkx__merges *merges, uint32_t left,
                                   uint32_t right);

/* Merge symbols[0..n) in place; *n becomes what is left.  NO_MEMORY only. */
tkx_status tkx__bpe_merge(const tkx__merges *merges, uint32_t *symbols, size_t *n,
                          tkx__bpe_scratch *scratch, tkx_error **err);

#endif
