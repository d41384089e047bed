/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bpe.c - merging.
 *
 * A short word keeps the rank of each adjacent pair beside it and looks for the smallest
 * by a plain scan, with hardly a branch that depends on the word: a processor guesses
 * those wrong every other time, and then waits longer than for the table.  A long word is
 * a doubly linked list and a binary heap of (rank, position); entries that a neighbour's
 * merge made stale are dropped when popped.
 */
#include "model/tokenizer/bpe.h"

#include <stdbool.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"

#define SHORT_WORD 48

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

static uint64_t pair_of(uint32_t left, uint32_t right)
{
    return (uint64_t)left << 32 | right;
}

/* ---- short words ---- */

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

/*
 * Symbols stay where they are; `alive` has a bit for each that was not merged into the
 * one on its left.  Nobody stands at both ends, so that neighbours always exist.
 */
static size_t merge_short(const tkx__merges *merges, uint32_t *symbols, size_t n)
{
    uint64_t keys[SHORT_WORD + 8]; /* rank << 32 | place, of the pair that begins there */
    uint32_t at[SHORT_WORD + 2];
    const size_t n_keys = (n + 8) & ~(size_t)7;
    uint64_t alive = (UINT64_C(1) << (n + 2)) - 1;
    size_t kept = 0;

    at[0] = at[n + 1] = tkx__merges_nobody(merges);
    memcpy(at + 1, symbols, n * sizeof *symbols);
    keys[0] = UINT64_MAX;
    for (size_t i = 1; i < n; i++)
        keys[i] = (uint64_t)tkx__merges_first_rank(merges, at[i], at[i + 1]) << 32 | i;
    for (size_t i = n; i < n_keys; i++)
        keys[i] = UINT64_MAX;
    for (;;) {
        const uint64_t best = smallest(keys, n_keys);
        const uint32_t rank = (uint32_t)(best >> 32);
        const unsigned i = (uint32_t)best;
        uint64_t behind;
        unsigned left, right;
        uint32_t id;

        if (rank == TKX__NO_RANK)
            break;
        behind = alive & UINT64_MAX << i << 1;
        right = (unsigned)__builtin_ctzll(behind);
        left = 63 - (unsigned)__builtin_clzll(alive & ((UINT64_C(1) << i) - 1));
        id = tkx__merges_made(merges, rank, at[i], at[right]);
        at[i] = id;
        alive ^= UINT64_C(1) << right;
        behind &= behind - 1;
        keys[right] = UINT64_MAX;
        right = (unsigned)__builtin_ctzll(behind);
        keys[i] = (uint64_t)tkx__merges_rank(merges, id, at[right]) << 32 | i;
        keys[left] = (uint64_t)tkx__merges_rank(merges, at[left], id) << 32 | left;
    }
    for (size_t i = 1; i <= n; i++) {
        symbols[kept] = at[i];
        kept += alive >> i & 1;
    }
    return kept;
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
    rank = tkx__merges_rank(merges, symbols[left], symbols[right]);
    return rank == TKX__NO_RANK || heap_push(h, (uint64_t)rank << 32 | left,
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
        symbols[left] = tkx__merges_made(merges, (uint32_t)(top.key >> 32), symbols[left],
                                         symbols[right]);
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
