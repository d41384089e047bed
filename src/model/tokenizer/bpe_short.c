/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bpe_short.c - merging a word that is short, but not one of the many (bpe_words.c).
 *
 * The rank of each adjacent pair lies beside the word, and the smallest is looked for by a
 * plain scan, with hardly a branch that depends on the word.
 */
#include <stdbool.h>
#include <string.h>

#include "model/tokenizer/bpe.h"

/*
 * A word being merged.  Symbols stay where they are; `alive` has a bit for each that was
 * not merged into the one on its left.  Nobody stands at both ends, so that neighbours
 * always exist.
 */
typedef struct word {
    uint64_t keys[TKX__BPE_SHORT + 8]; /* rank << 32 | place of the pair's left symbol */
    uint32_t at[TKX__BPE_SHORT + 2];
    uint64_t alive;
    size_t n_keys;
} word;

/* Of keys[0..n), n a multiple of eight. */
static inline uint64_t smallest(const uint64_t *keys, size_t n)
{
    uint64_t best = UINT64_MAX;

    for (size_t i = 0; i < n; i += 8) {
        uint64_t a = keys[i] < keys[i + 1] ? keys[i] : keys[i + 1];
        uint64_t b = keys[i + 2] < keys[i + 3] ? keys[i + 2] : keys[i + 3];
        uint64_t c = keys[i + 4] < keys[i + 5] ? keys[i + 4] : keys[i + 5];
        uint64_t d = keys[i + 6] < keys[i + 7] ? keys[i + 6] : keys[i + 7];

        a = a < b ? a : b;
        c = c < d ? c : d;
        a = a < c ? a : c;
        best = a < best ? a : best;
    }
    return best;
}

static void begin(word *w, const tkx__merges *merges, const uint32_t *symbols, size_t n)
{
    w->alive = (UINT64_C(1) << (n + 2)) - 1;
    w->at[0] = w->at[n + 1] = tkx__merges_nobody(merges);
    memcpy(w->at + 1, symbols, n * sizeof *symbols);
    w->keys[0] = UINT64_MAX;
    for (size_t i = 1; i < n; i++)
        w->keys[i] =
            tkx__bpe_key(tkx__merges_first_rank(merges, w->at[i], w->at[i + 1]), i);
    w->n_keys = n;
    do
        w->keys[w->n_keys++] = UINT64_MAX;
    while (w->n_keys % 8 != 0);
}

static void rank_pair(word *w, const tkx__merges *merges, unsigned left, unsigned right)
{
    w->keys[left] =
        tkx__bpe_key(tkx__merges_rank(merges, w->at[left], w->at[right]), left);
}

/* Merge the best pair; false when none is left. */
static bool merge(word *w, const tkx__merges *merges)
{
    const uint64_t best = smallest(w->keys, w->n_keys);
    const uint32_t rank = (uint32_t)(best >> 32);
    const unsigned i = (uint32_t)best;
    uint64_t behind;
    unsigned right;

    if (rank == TKX__NO_RANK)
        return false;
    behind = w->alive & UINT64_MAX << i << 1;
    right = (unsigned)__builtin_ctzll(behind);
    w->at[i] = tkx__merges_made(merges, rank, w->at[i], w->at[right]);
    w->alive ^= UINT64_C(1) << right;
    w->keys[right] = UINT64_MAX;
    rank_pair(w, merges,
              63 - (unsigned)__builtin_clzll(w->alive & ((UINT64_C(1) << i) - 1)), i);
    rank_pair(w, merges, i, (unsigned)__builtin_ctzll(behind & (behind - 1)));
    return true;
}

size_t tkx__bpe_merge_short(const tkx__merges *merges, uint32_t *symbols, size_t n)
{
    size_t kept = 0;
    word w;

    begin(&w, merges, symbols, n);
    while (merge(&w, merges))
        ;
    for (size_t i = 1; i <= n; i++)
        if (w.alive >> i & 1)
            symbols[kept++] = w.at[i];
    return kept;
}
