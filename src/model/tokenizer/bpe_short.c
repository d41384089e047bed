/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bpe_short.c - merging short words, several at a time.
 *
 * A word keeps the rank of each adjacent pair beside it and looks for the smallest by a
 * plain scan, with hardly a branch that depends on the word: a processor guesses those
 * wrong every other time, and then waits longer than for the table.  Each merge makes two
 * new pairs, whose slots are nearly never in the nearest cache; while they are on their
 * way, other words merge.
 */
#include <string.h>

#include "model/tokenizer/bpe.h"

#define N_LANES 8

/*
 * A word being merged.  Symbols stay where they are; `alive` has a bit for each that was
 * not merged into the one on its left.  Nobody stands at both ends, so that neighbours
 * always exist.
 */
typedef struct lane {
    uint64_t keys[TKX__BPE_SHORT + 8]; /* rank << 32 | place of the pair's left symbol */
    uint32_t at[TKX__BPE_SHORT + 2];
    uint64_t alive;
    size_t n, n_keys;
    unsigned left, merged, right; /* of the pairs whose ranks are not in keys yet */
    tkx__merge_place places[2];   /* theirs, in a packed table */
    uint32_t *symbols;
    size_t *n_left;
} lane;

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

static void begin(lane *l, const tkx__merges *merges, uint32_t *symbols, size_t *n)
{
    l->symbols = symbols;
    l->n_left = n;
    l->n = *n;
    l->alive = (UINT64_C(1) << (l->n + 2)) - 1;
    l->at[0] = l->at[l->n + 1] = tkx__merges_nobody(merges);
    memcpy(l->at + 1, symbols, l->n * sizeof *symbols);
    l->keys[0] = UINT64_MAX;
    for (size_t i = 1; i < l->n; i++)
        l->keys[i] =
            tkx__bpe_key(tkx__merges_first_rank(merges, l->at[i], l->at[i + 1]), i);
    l->n_keys = l->n;
    do
        l->keys[l->n_keys++] = UINT64_MAX;
    while (l->n_keys % 8 != 0);
}

/* Merge the best pair, and fetch the new ones; false when none is left. */
static inline bool merge(lane *l, const tkx__merges *merges)
{
    const uint64_t best = smallest(l->keys, l->n_keys);
    const uint32_t rank = (uint32_t)(best >> 32);
    const unsigned i = (uint32_t)best;
    uint64_t behind;
    unsigned right;

    if (rank == TKX__NO_RANK)
        return false;
    behind = l->alive & UINT64_MAX << i << 1;
    right = (unsigned)__builtin_ctzll(behind);
    l->at[i] = tkx__merges_made(merges, rank, l->at[i], l->at[right]);
    l->alive ^= UINT64_C(1) << right;
    l->keys[right] = UINT64_MAX;
    l->merged = i;
    l->right = (unsigned)__builtin_ctzll(behind & (behind - 1));
    l->left = 63 - (unsigned)__builtin_clzll(l->alive & ((UINT64_C(1) << i) - 1));
    if (merges->packed) {
        l->places[0] = tkx__merges_fetch(merges, l->at[l->left], l->at[i]);
        l->places[1] = tkx__merges_fetch(merges, l->at[i], l->at[l->right]);
    }
    return true;
}

static inline void rank_new_pairs(lane *l, const tkx__merges *merges)
{
    const uint32_t id = l->at[l->merged];
    uint32_t ranks[2];

    if (merges->packed) {
        ranks[0] = tkx__merges_rank_at(l->places[0]);
        ranks[1] = tkx__merges_rank_at(l->places[1]);
    } else {
        ranks[0] = tkx__merges_rank(merges, l->at[l->left], id);
        ranks[1] = tkx__merges_rank(merges, id, l->at[l->right]);
    }
    l->keys[l->left] = tkx__bpe_key(ranks[0], l->left);
    l->keys[l->merged] = tkx__bpe_key(ranks[1], l->merged);
}

static void end(const lane *l)
{
    size_t kept = 0;

    for (size_t i = 1; i <= l->n; i++) {
        l->symbols[kept] = l->at[i];
        kept += l->alive >> i & 1;
    }
    *l->n_left = kept;
}

size_t tkx__bpe_merge_short(const tkx__merges *merges, uint32_t *symbols, size_t n)
{
    lane l;

    begin(&l, merges, symbols, &n);
    while (merge(&l, merges))
        rank_new_pairs(&l, merges);
    end(&l);
    return n;
}

/* A lane's next word that merges at all; false when there is none. */
static bool take_word(lane *l, const tkx__merges *merges, tkx__bpe_word *words, size_t n,
                      size_t *next)
{
    while (*next < n) {
        tkx__bpe_word *word = &words[(*next)++];

        begin(l, merges, word->symbols, &word->n);
        if (merge(l, merges))
            return true;
    }
    return false;
}

void tkx__bpe_merge_words(const tkx__merges *merges, tkx__bpe_word *words, size_t n)
{
    lane lanes[N_LANES];
    size_t n_lanes = 0, next = 0;

    while (n_lanes < N_LANES && take_word(&lanes[n_lanes], merges, words, n, &next))
        n_lanes++;
    while (n_lanes > 0) {
        for (size_t i = 0; i < n_lanes;) {
            lane *l = &lanes[i];

            rank_new_pairs(l, merges);
            if (!merge(l, merges)) {
                end(l);
                if (!take_word(l, merges, words, n, &next)) {
                    *l = lanes[--n_lanes];
                    continue;
                }
            }
            i++;
        }
    }
}
