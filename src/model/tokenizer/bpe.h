/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model/tokenizer/bpe.h - byte-pair merging: of all adjacent pairs that may merge, the
 * one of lowest rank (leftmost of equals) merges first, until none can.
 *
 * Short words merge by a plain search for the best pair; long ones through a heap, so that
 * a word of n symbols costs O(n log n).
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

/* The order of merging: by rank, then from the left. */
static inline uint64_t tkx__bpe_key(uint32_t rank, size_t place)
{
    return rank * (UINT64_C(1) << 32) + place;
}

/* What is left of symbols[0..n), n <= TKX__BPE_SHORT, merged in place (bpe_short.c). */
#define TKX__BPE_SHORT 48
size_t tkx__bpe_merge_short(const tkx__merges *merges, uint32_t *symbols, size_t n);

/* The same of many words (bpe_words.c). */
#define TKX__BPE_WORD 16

typedef struct tkx__bpe_word {
    uint32_t symbols[TKX__BPE_WORD];
    size_t n;
} tkx__bpe_word;

void tkx__bpe_merge_words(const tkx__merges *merges, tkx__bpe_word *words, size_t n);

/* Merge symbols[0..n) of any length in place; *n becomes what is left.  NO_MEMORY only. */
tkx_status tkx__bpe_merge(const tkx__merges *merges, uint32_t *symbols, size_t *n,
                          tkx__bpe_scratch *scratch, tkx_error **err);

#endif
