/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bpe.c - the table of pairs, and merging.
 *
 * A short word keeps the rank of each adjacent pair beside it, looks for the smallest by
 * a plain scan and moves the rest down.  A long word is a doubly linked list and a binary
 * heap of (rank, position); entries that a neighbour's merge made stale are dropped when
 * popped.
 */
#include "model/tokenizer/bpe.h"

#include <stdbool.h>
#include <string.h>

#include "base/error.h"

#define SHORT_WORD 48
#define NO_RANK UINT32_MAX
#define MAX_PROBES 4096

typedef struct node {
    uint32_t prev, next; /* END: none */
} node;

typedef struct entry {
    uint64_t key;  /* rank << 32 | position */
    uint64_t pair; /* the ids it was made for */
} entry;

#define END UINT32_MAX

void tkx__bpe_scratch_clear(tkx__bpe_scratch *scratch)
{
    tkx__free(scratch->nodes);
    tkx__free(scratch->heap);
    *scratch = (tkx__bpe_scratch){0};
}

void tkx__merges_clear(tkx__merges *merges)
{
    tkx__free(merges->slots);
    tkx__free(merges->small);
    tkx__free(merges->packed);
    tkx__free(merges->made);
    *merges = (tkx__merges){0};
}

tkx_status tkx__merges_init(tkx__merges *merges, size_t n_expected, tkx_error **err)
{
    size_t n_slots = 64;
    int bits = 6;

    *merges = (tkx__merges){0};
    while (n_slots / 2 <= n_expected) {
        n_slots *= 2;
        bits++;
    }
    merges->slots = tkx__malloc(n_slots * sizeof *merges->slots);
    if (!merges->slots)
        return tkx__fail_memory(err);
    memset(merges->slots, 0xFF, n_slots * sizeof *merges->slots);
    merges->mask = n_slots - 1;
    merges->shift = 64 - bits;
    return TKX_OK;
}

static uint64_t pair_of(uint32_t left, uint32_t right)
{
    return (uint64_t)left << 32 | right;
}

static size_t place_of(const tkx__merges *merges, uint64_t pair)
{
    uint64_t h = pair * 0x9E3779B97F4A7C15u;

    h ^= h >> 32;
    return (size_t)(h * 0xD6E8FEB86659FD93u >> merges->shift);
}

static tkx_status rehash(tkx__merges *merges, tkx_error **err)
{
    tkx__merges bigger;
    tkx_status st = tkx__merges_init(&bigger, merges->n * 2, err);

    for (size_t i = 0; st == TKX_OK && i <= merges->mask; i++) {
        const tkx__merge *m = &merges->slots[i];

        if (m->pair != UINT64_MAX)
            st = tkx__merges_put(&bigger, (uint32_t)(m->pair >> 32), (uint32_t)m->pair,
                                 m->rank, m->id, err);
    }
    if (st == TKX_OK) {
        tkx__merges_clear(merges);
        *merges = bigger;
    } else {
        tkx__merges_clear(&bigger);
    }
    return st;
}

tkx_status tkx__merges_put(tkx__merges *merges, uint32_t left, uint32_t right,
                           uint32_t rank, uint32_t id, tkx_error **err)
{
    uint64_t pair = pair_of(left, right);
    size_t at;

    if ((merges->n + 1) * 2 > merges->mask + 1) {
        tkx_status st = rehash(merges, err);

        if (st != TKX_OK)
            return st;
    }
    at = place_of(merges, pair);
    for (size_t n = 0; n < MAX_PROBES; n++, at = (at + 1) & merges->mask) {
        tkx__merge *m = &merges->slots[at];

        if (m->pair != UINT64_MAX && m->pair != pair)
            continue;
        merges->n += m->pair != pair;
        *m = (tkx__merge){pair, rank, id};
        return TKX_OK;
    }
    return tkx__fail(err, TKX_ERR_PARSE,
                     "the merges collide too often (merge %u); they look made to slow a "
                     "reader down",
                     rank);
}

static const tkx__merge *find_pair(const tkx__merges *merges, uint64_t pair)
{
    size_t at = place_of(merges, pair);

    while (merges->slots[at].pair != pair) {
        if (merges->slots[at].pair == UINT64_MAX)
            return NULL;
        at = (at + 1) & merges->mask;
    }
    return &merges->slots[at];
}

const tkx__merge *tkx__merges_find(const tkx__merges *merges, uint32_t left,
                                   uint32_t right)
{
    return find_pair(merges, pair_of(left, right));
}

/* ---- the table for merging ---- */

#define ID_BITS 20
#define RANK_BITS (64 - 2 * ID_BITS)
#define MAX_ID ((1u << ID_BITS) - 1)
#define MAX_RANK ((1u << RANK_BITS) - 1)

static uint64_t packed_pair(uint32_t left, uint32_t right)
{
    return (uint64_t)left << ID_BITS | right;
}

static size_t packed_place(const tkx__merges *merges, uint64_t pair)
{
    return (size_t)(pair * 0x9E3779B97F4A7C15u >> merges->shift);
}

/* False when a chain gets too long, or two pairs have one rank. */
static bool pack(tkx__merges *to, const tkx__merge *m)
{
    uint64_t pair = packed_pair((uint32_t)(m->pair >> 32), (uint32_t)m->pair);
    size_t at = packed_place(to, pair);

    for (size_t n = 0; n < MAX_PROBES; n++, at = (at + 1) & to->mask) {
        if (to->packed[at] != UINT64_MAX)
            continue;
        if (to->made[m->rank] != NO_RANK)
            return false;
        to->packed[at] = pair << RANK_BITS | m->rank;
        to->made[m->rank] = m->id;
        return true;
    }
    return false;
}

/* Whether ids and ranks fit; *n_ranks: the largest rank, plus one. */
static bool can_pack(const tkx__merges *merges, size_t *n_ranks)
{
    *n_ranks = 0;
    for (size_t i = 0; i <= merges->mask; i++) {
        const tkx__merge *m = &merges->slots[i];

        if (m->pair == UINT64_MAX)
            continue;
        if (m->pair >> 32 > MAX_ID || (uint32_t)m->pair > MAX_ID || m->rank >= MAX_RANK ||
            m->rank / 4 > merges->n)
            return false;
        if (m->rank >= *n_ranks)
            *n_ranks = m->rank + 1;
    }
    return *n_ranks > 0;
}

/* A packed table in place of the slots; without memory or room for a rank they stay. */
static void pack_all(tkx__merges *merges)
{
    tkx__merges to = {.n = merges->n, .shift = 64 - 6, .mask = 63};
    size_t n_ranks;
    bool is_packed;

    if (!can_pack(merges, &n_ranks))
        return;
    while (to.mask / 3 * 2 <= to.n) {
        to.mask = to.mask * 2 + 1;
        to.shift--;
    }
    to.packed = tkx__realloc(NULL, to.mask + 1, sizeof *to.packed);
    to.made = tkx__realloc(NULL, n_ranks, sizeof *to.made);
    is_packed = to.packed && to.made;
    if (is_packed) {
        memset(to.packed, 0xFF, (to.mask + 1) * sizeof *to.packed);
        memset(to.made, 0xFF, n_ranks * sizeof *to.made);
    }
    for (size_t i = 0; i <= merges->mask && is_packed; i++)
        if (merges->slots[i].pair != UINT64_MAX)
            is_packed = pack(&to, &merges->slots[i]);
    if (!is_packed) {
        tkx__merges_clear(&to);
        return;
    }
    to.small = merges->small;
    merges->small = NULL;
    tkx__merges_clear(merges);
    *merges = to;
}

tkx_status tkx__merges_finish(tkx__merges *merges, tkx_error **err)
{
    const size_t n = (size_t)TKX__SMALL_IDS * TKX__SMALL_IDS;

    if (!merges->slots || merges->small)
        return TKX_OK;
    merges->small = tkx__malloc(n * sizeof *merges->small);
    if (!merges->small)
        return tkx__fail_memory(err);
    memset(merges->small, 0xFF, n * sizeof *merges->small);
    for (size_t i = 0; i <= merges->mask; i++) {
        const tkx__merge *m = &merges->slots[i];
        uint64_t left = m->pair >> 32, right = (uint32_t)m->pair;

        if (left < TKX__SMALL_IDS && right < TKX__SMALL_IDS)
            merges->small[left * TKX__SMALL_IDS + right] = m->rank;
    }
    pack_all(merges);
    return TKX_OK;
}

/* NO_RANK when the pair does not merge. */
static inline uint32_t rank_of(const tkx__merges *merges, uint32_t left, uint32_t right)
{
    const tkx__merge *m;

    if (merges->small && (left | right) < TKX__SMALL_IDS)
        return merges->small[left * TKX__SMALL_IDS + right];
    if (merges->packed) {
        uint64_t pair = packed_pair(left, right);

        for (size_t at = packed_place(merges, pair);; at = (at + 1) & merges->mask) {
            uint64_t slot = merges->packed[at];

            if (slot >> RANK_BITS == pair)
                return (uint32_t)slot & MAX_RANK;
            if (slot == UINT64_MAX)
                return NO_RANK;
        }
    }
    m = find_pair(merges, pair_of(left, right));
    return m ? m->rank : NO_RANK;
}

/* What a pair of that rank becomes. */
static inline uint32_t made_of(const tkx__merges *merges, uint32_t rank, uint32_t left,
                               uint32_t right)
{
    return merges->packed ? merges->made[rank]
                          : find_pair(merges, pair_of(left, right))->id;
}

/* ---- short words ---- */

static size_t merge_short(const tkx__merges *merges, uint32_t *symbols, size_t n)
{
    uint32_t ranks[SHORT_WORD]; /* of the pair that begins at i */

    for (size_t i = 0; i + 1 < n; i++)
        ranks[i] = rank_of(merges, symbols[i], symbols[i + 1]);
    while (n > 1) {
        size_t best = 0;

        for (size_t i = 1; i + 1 < n; i++)
            if (ranks[i] < ranks[best])
                best = i;
        if (ranks[best] == NO_RANK)
            break;
        symbols[best] = made_of(merges, ranks[best], symbols[best], symbols[best + 1]);
        n--;
        for (size_t i = best + 1; i < n; i++) {
            symbols[i] = symbols[i + 1];
            ranks[i - 1] = ranks[i];
        }
        if (best + 1 < n)
            ranks[best] = rank_of(merges, symbols[best], symbols[best + 1]);
        if (best > 0)
            ranks[best - 1] = rank_of(merges, symbols[best - 1], symbols[best]);
    }
    return n;
}

/* ---- long words ---- */

typedef struct heap {
    tkx__bpe_scratch *scratch;
    entry *items;
    size_t n;
} heap;

static bool heap_push(heap *h, uint64_t key, uint64_t pair)
{
    size_t at = h->n;

    if (h->n == h->scratch->heap_capacity) {
        size_t want = h->n ? h->n * 2 : 256;
        entry *items = tkx__realloc(h->items, want, sizeof *items);

        if (!items)
            return false;
        h->items = h->scratch->heap = items;
        h->scratch->heap_capacity = want;
    }
    h->n++;
    while (at > 0 && h->items[(at - 1) / 2].key > key) {
        h->items[at] = h->items[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    h->items[at] = (entry){key, pair};
    return true;
}

static entry heap_pop(heap *h)
{
    entry top = h->items[0];
    entry last = h->items[--h->n];
    size_t at = 0;

    for (;;) {
        size_t child = 2 * at + 1;

        if (child >= h->n)
            break;
        if (child + 1 < h->n && h->items[child + 1].key < h->items[child].key)
            child++;
        if (h->items[child].key >= last.key)
            break;
        h->items[at] = h->items[child];
        at = child;
    }
    if (h->n > 0)
        h->items[at] = last;
    return top;
}

static bool push_pair(heap *h, const tkx__merges *merges, const uint32_t *symbols,
                      uint32_t left, uint32_t right)
{
    uint32_t rank;

    if (left == END || right == END)
        return true;
    rank = rank_of(merges, symbols[left], symbols[right]);
    return rank == NO_RANK || heap_push(h, (uint64_t)rank << 32 | left,
                                        pair_of(symbols[left], symbols[right]));
}

/* A symbol that was merged into its left neighbour. */
#define DEAD UINT32_MAX

static bool merge_heap(const tkx__merges *merges, uint32_t *symbols, size_t n,
                       node *nodes, heap *h)
{
    for (size_t i = 0; i < n; i++)
        nodes[i] = (node){i ? (uint32_t)i - 1 : END, i + 1 < n ? (uint32_t)i + 1 : END};
    for (uint32_t i = 0; i + 1 < n; i++)
        if (!push_pair(h, merges, symbols, i, i + 1))
            return false;
    while (h->n > 0) {
        entry top = heap_pop(h);
        uint32_t left = (uint32_t)top.key;
        uint32_t right = nodes[left].next;

        if (symbols[left] == DEAD || right == END ||
            pair_of(symbols[left], symbols[right]) != top.pair)
            continue;
        symbols[left] =
            made_of(merges, (uint32_t)(top.key >> 32), symbols[left], symbols[right]);
        symbols[right] = DEAD;
        nodes[left].next = nodes[right].next;
        if (nodes[left].next != END)
            nodes[nodes[left].next].prev = left;
        if (!push_pair(h, merges, symbols, nodes[left].prev, left) ||
            !push_pair(h, merges, symbols, left, nodes[left].next))
            return false;
    }
    return true;
}

static tkx_status merge_long(const tkx__merges *merges, uint32_t *symbols, size_t *n,
                             tkx__bpe_scratch *scratch, tkx_error **err)
{
    heap h = {.scratch = scratch, .items = scratch->heap};
    size_t kept = 0;

    if (*n > scratch->nodes_capacity) {
        void *nodes = tkx__realloc(scratch->nodes, *n, sizeof(node));

        if (!nodes)
            return tkx__fail_memory(err);
        scratch->nodes = nodes;
        scratch->nodes_capacity = *n;
    }
    if (!merge_heap(merges, symbols, *n, scratch->nodes, &h))
        return tkx__fail_memory(err);
    for (size_t i = 0; i < *n; i++)
        if (symbols[i] != DEAD)
            symbols[kept++] = symbols[i];
    *n = kept;
    return TKX_OK;
}

tkx_status tkx__bpe_merge(const tkx__merges *merges, uint32_t *symbols, size_t *n,
                          tkx__bpe_scratch *scratch, tkx_error **err)
{
    if (*n < 2)
        return TKX_OK;
    if (*n > SHORT_WORD)
        return merge_long(merges, symbols, n, scratch, err);
    *n = merge_short(merges, symbols, *n);
    return TKX_OK;
}
