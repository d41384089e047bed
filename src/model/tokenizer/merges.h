/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model/tokenizer/merges.h - which pairs of symbols merge, in what order and to what.
 *
 * A flat hash of pairs, immutable once finished.  It begins as slots of 16 bytes; where
 * ids and ranks are small enough and a rank tells the id, which is nearly always so, it
 * ends up as one word a pair with a filter before it.
 */
#ifndef TKX_MODEL_TOKENIZER_MERGES_H
#define TKX_MODEL_TOKENIZER_MERGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tkx/error.h>

typedef struct tkx__merge {
    uint64_t pair; /* left << 32 | right; UINT64_MAX: free */
    uint32_t rank;
    uint32_t id;
} tkx__merge;

#define TKX__NO_RANK UINT32_MAX

/* Pairs of so many ids, the bytes' nearly always, have a table of their own: every word
   begins with them. */
#define TKX__SMALL_IDS 256

typedef struct tkx__merges {
    tkx__merge *slots;  /* NULL once packed */
    uint64_t *packed;   /* pair and rank; UINT64_MAX: free */
    void *packed_block; /* what it was allocated as */
    uint64_t *filter;   /* with packed: a bit for each pair's hash */
    int filter_shift;
    uint32_t *made;       /* by rank, with packed; NULL: first_made + rank */
    uint32_t *small;      /* rank of [left * TKX__SMALL_IDS + right]; NULL: look up */
    uint32_t first_small; /* the id that is 0 there */
    uint32_t first_made;
    size_t mask; /* of slots or packed */
    size_t n;
    int shift; /* 64 - log2 of their number */
} tkx__merges;

tkx_status tkx__merges_init(tkx__merges *merges, size_t n_expected, tkx_error **err);
void tkx__merges_clear(tkx__merges *merges);

/* A pair that is there already gets the new rank and id.  Not once packed. */
tkx_status tkx__merges_put(tkx__merges *merges, uint32_t left, uint32_t right,
                           uint32_t rank, uint32_t id, tkx_error **err);

/* The same, into an empty table, of a whole list: the place is the rank. */
tkx_status tkx__merges_put_list(tkx__merges *merges, const tkx__merge *list, size_t n,
                                tkx_error **err);

/* Once all pairs are there: make the table fit for merging.  first_small: the least id of
   a byte.  may_pack: no symbol will be asked for but tokens; a larger one's bits would run
   into its neighbour's. */
tkx_status tkx__merges_finish(tkx__merges *merges, uint32_t first_small, bool may_pack,
                              tkx_error **err);

/* The pair in slot i <= mask, with its rank and id; false when the slot is free. */
bool tkx__merges_at(const tkx__merges *merges, size_t i, tkx__merge *merge);

/* NULL when the pair does not merge.  Not once packed. */
const tkx__merge *tkx__merges_find(const tkx__merges *merges, uint32_t left,
                                   uint32_t right);

/* ---- while merging ---- */

#define TKX__PACKED_ID_BITS 20
#define TKX__PACKED_RANK_BITS (64 - 2 * TKX__PACKED_ID_BITS)

/* No symbol: merges with none. */
static inline uint32_t tkx__merges_nobody(const tkx__merges *merges)
{
    return merges->packed ? (1u << TKX__PACKED_ID_BITS) - 1 : UINT32_MAX;
}

static inline uint64_t tkx__merges_packed_pair(uint32_t left, uint32_t right)
{
    return (uint64_t)left << TKX__PACKED_ID_BITS | right;
}

static inline uint64_t tkx__merges_packed_hash(uint64_t pair)
{
    return pair * 0x9E3779B97F4A7C15u;
}

/* A pair and where it may be. */
typedef struct tkx__merge_place {
    uint64_t pair;
    const uint64_t *slot;
} tkx__merge_place;

/* So many slots before the first place are free: where a pair is that the filter does not
   know. */
#define TKX__PACKED_NOWHERE 2

/* Have a pair's slot on its way, unless the filter, most of which stays in the caches,
   tells that there is none. */
static inline tkx__merge_place tkx__merges_fetch(const tkx__merges *merges, uint32_t left,
                                                 uint32_t right)
{
    const uint64_t pair = tkx__merges_packed_pair(left, right);
    const uint64_t hash = tkx__merges_packed_hash(pair);
    const uint64_t bit = hash >> merges->filter_shift;
    const uint64_t may_be = merges->filter[bit >> 6] >> (bit & 63) & 1;
    const uint64_t at = (hash >> merges->shift) + TKX__PACKED_NOWHERE;
    const uint64_t *slot = merges->packed + (at & (0 - may_be));

    __builtin_prefetch(slot);
    return (tkx__merge_place){pair, slot};
}

/* Its rank.  Two slots are looked at without a branch: whether a pair merges is as good as
   random, and compilers make branches of conditions. */
static inline uint32_t tkx__merges_rank_at(tkx__merge_place place)
{
    const uint64_t *slot = place.slot;
    const uint32_t ranks = (1u << TKX__PACKED_RANK_BITS) - 1;
    const uint64_t first = slot[0], second = slot[1];
    const uint32_t is_first = first >> TKX__PACKED_RANK_BITS == place.pair;
    const uint32_t is_second = second >> TKX__PACKED_RANK_BITS == place.pair;
    const uint32_t is_end = (first == UINT64_MAX) | (second == UINT64_MAX);

    if (is_first + is_second + is_end == 0)
        for (slot += 2; *slot != UINT64_MAX; slot++)
            if (*slot >> TKX__PACKED_RANK_BITS == place.pair)
                return (uint32_t)*slot & ranks;
    return ((((uint32_t)first & (0 - is_first)) | ((uint32_t)second & (0 - is_second))) &
            ranks) |
           ((is_first | is_second) - 1);
}

/* TKX__NO_RANK when the pair does not merge. */
static inline uint32_t tkx__merges_rank(const tkx__merges *merges, uint32_t left,
                                        uint32_t right)
{
    const tkx__merge *m;

    if (merges->packed)
        return tkx__merges_rank_at(tkx__merges_fetch(merges, left, right));
    m = tkx__merges_find(merges, left, right);
    return m ? m->rank : TKX__NO_RANK;
}

/* The same of two symbols that are likely bytes. */
static inline uint32_t tkx__merges_first_rank(const tkx__merges *merges, uint32_t left,
                                              uint32_t right)
{
    const uint32_t a = left - merges->first_small, b = right - merges->first_small;

    return merges->small && (a | b) < TKX__SMALL_IDS
               ? merges->small[a * TKX__SMALL_IDS + b]
               : tkx__merges_rank(merges, left, right);
}

/* What a pair of that rank becomes. */
static inline uint32_t tkx__merges_made(const tkx__merges *merges, uint32_t rank,
                                        uint32_t left, uint32_t right)
{
    if (!merges->packed)
        return tkx__merges_find(merges, left, right)->id;
    return merges->made ? merges->made[rank] : merges->first_made + rank;
}

#endif
