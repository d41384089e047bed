/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bpe.c - merging a long word: a doubly linked list and a binary heap of (rank,
 * position); entries that a neighbour's merge made stale are dropped when popped.
 */
#include "model/tokenizer/bpe.h"

#include <stdbool.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"

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
    return rank == TKX__NO_RANK ||
           heap_push(h, tkx__bpe_key(rank, left), pair_of(symbols[left], symbols[right]));
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
    if (*n > TKX__BPE_SHORT)
        return merge_long(merges, symbols, n, scratch, err);
    *n = tkx__bpe_merge_short(merges, symbols, *n);
    return TKX_OK;
}
