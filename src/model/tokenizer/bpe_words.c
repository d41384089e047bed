/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bpe_words.c - merging many words of few symbols.
 *
 * A merge makes two new pairs.  What the filter says of them, and then their slots, are
 * nearly never in the nearest cache; so N_LANES words take each step together, and while
 * one waits for memory the others go on.  A pair's rank and place share 32 bits, a word
 * has 16 of them, and the smallest is found without a branch: a processor would guess
 * those wrong every other time.
 */
#include <stdbool.h>
#include <string.h>

#include "model/tokenizer/bpe.h"

#define N_LANES 8
#define PLACE_BITS 4
#define NEVER (INT32_MAX >> PLACE_BITS << PLACE_BITS) /* a pair that does not merge */

typedef int32_t four __attribute__((vector_size(16)));

/*
 * A word being merged.  Symbols stay where they are; `alive` has a bit for each that was
 * not merged into the one on its left.  Nobody stands at both ends, so that neighbours
 * always exist.
 */
typedef struct lane {
    union {
        int32_t of[TKX__BPE_WORD]; /* rank, place; by the place of a pair's left symbol */
        four all[TKX__BPE_WORD / 4];
    } keys;
    uint32_t at[TKX__BPE_WORD + 2];
    uint32_t alive;
    unsigned left, merged, right; /* of the pairs whose keys are not known yet */
    tkx__merge_place places[2];   /* theirs */
    tkx__bpe_word *word;
} lane;

typedef struct queue {
    tkx__bpe_word *words;
    size_t n;
} queue;

static inline int32_t key_of(uint32_t rank, unsigned place)
{
    return (int32_t)((rank << PLACE_BITS & (uint32_t)NEVER) | place);
}

static inline four least(four a, four b)
{
    const four which = a < b;

    return (a & which) | (b & ~which);
}

static inline int32_t smallest(const four *keys)
{
    const four all = least(least(keys[0], keys[1]), least(keys[2], keys[3]));
    const int32_t a = all[0] < all[1] ? all[0] : all[1];
    const int32_t b = all[2] < all[3] ? all[2] : all[3];

    return a < b ? a : b;
}

static void begin(lane *l, const tkx__merges *merges, tkx__bpe_word *word)
{
    const unsigned n = (unsigned)word->n;

    l->word = word;
    l->alive = (UINT32_C(1) << (n + 2)) - 1;
    l->at[0] = l->at[n + 1] = tkx__merges_nobody(merges);
    memcpy(l->at + 1, word->symbols, n * sizeof *l->at);
    l->keys.of[0] = NEVER;
    for (unsigned i = 1; i < n; i++)
        l->keys.of[i] = key_of(tkx__merges_first_rank(merges, l->at[i], l->at[i + 1]), i);
    for (unsigned i = n > 0 ? n : 1; i < TKX__BPE_WORD; i++)
        l->keys.of[i] = NEVER;
}

/* Merge the best pair; false when none is left. */
static inline bool merge(lane *l, const tkx__merges *merges)
{
    const int32_t best = smallest(l->keys.all);
    const unsigned i = (unsigned)best % TKX__BPE_WORD;
    uint32_t behind;
    unsigned right;

    if (best >= NEVER)
        return false;
    behind = l->alive & UINT32_MAX << i << 1;
    right = (unsigned)__builtin_ctz(behind);
    l->at[i] =
        tkx__merges_made(merges, (uint32_t)best >> PLACE_BITS, l->at[i], l->at[right]);
    l->alive ^= UINT32_C(1) << right;
    l->keys.of[right % TKX__BPE_WORD] = NEVER; /* a last symbol has no pair */
    l->merged = i;
    l->right = (unsigned)__builtin_ctz(behind & (behind - 1));
    l->left = 31 - (unsigned)__builtin_clz(l->alive & ((UINT32_C(1) << i) - 1));
    return true;
}

static inline void fetch_new_pairs(lane *l, const tkx__merges *merges)
{
    const uint32_t id = l->at[l->merged];

    l->places[0] = tkx__merges_fetch(merges, l->at[l->left], id);
    l->places[1] = tkx__merges_fetch(merges, id, l->at[l->right]);
}

static inline void rank_new_pairs(lane *l)
{
    l->keys.of[l->left] = key_of(tkx__merges_rank_at(l->places[0]), l->left);
    l->keys.of[l->merged] = key_of(tkx__merges_rank_at(l->places[1]), l->merged);
}

static void end(const lane *l)
{
    size_t kept = 0;

    for (size_t i = 1; i <= l->word->n; i++) {
        l->word->symbols[kept] = l->at[i];
        kept += l->alive >> i & 1;
    }
    l->word->n = kept;
}

/* A lane's next word that merges at all; false when there is none. */
static bool take_word(lane *l, const tkx__merges *merges, queue *waiting)
{
    while (waiting->n > 0) {
        begin(l, merges, waiting->words++);
        waiting->n--;
        if (merge(l, merges))
            return true;
    }
    return false;
}

static void merge_packed(const tkx__merges *merges, queue waiting)
{
    lane lanes[N_LANES];
    size_t n = 0;

    while (n < N_LANES && take_word(&lanes[n], merges, &waiting))
        n++;
    while (n > 0) {
        for (size_t i = 0; i < n; i++)
            fetch_new_pairs(&lanes[i], merges);
        for (size_t i = 0; i < n; i++)
            rank_new_pairs(&lanes[i]);
        for (size_t i = 0; i < n;) {
            if (!merge(&lanes[i], merges)) {
                end(&lanes[i]);
                if (!take_word(&lanes[i], merges, &waiting)) {
                    lanes[i] = lanes[--n];
                    continue;
                }
            }
            i++;
        }
    }
}

void tkx__bpe_merge_words(const tkx__merges *merges, tkx__bpe_word *words, size_t n)
{
    if (merges->packed)
        merge_packed(merges, (queue){words, n});
    else
        for (size_t i = 0; i < n; i++)
            words[i].n = tkx__bpe_merge_short(merges, words[i].symbols, words[i].n);
}
