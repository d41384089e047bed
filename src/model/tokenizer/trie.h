/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model/tokenizer/trie.h - texts by their bytes: which of them begin at a place.
 *
 * Edges (node, byte) -> node lie in one flat hash, the one that merges use.  Node 0 is
 * the root.  Immutable once built.
 */
#ifndef TKX_MODEL_TOKENIZER_TRIE_H
#define TKX_MODEL_TOKENIZER_TRIE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tkx/error.h>

#include "model/tokenizer/merges.h"

typedef struct tkx__trie {
    tkx__merges edges;
    uint32_t *values; /* [n_nodes]; UINT32_MAX: no text ends here */
    size_t n_nodes;
    size_t capacity;
    bool is_first[256]; /* bytes that begin a text */
} tkx__trie;

tkx_status tkx__trie_init(tkx__trie *trie, size_t n_expected, tkx_error **err);
void tkx__trie_clear(tkx__trie *trie);

/* A text that is there already gets the new value.  Empty texts are left out. */
tkx_status tkx__trie_put(tkx__trie *trie, const uint8_t *text, size_t n, uint32_t value,
                         tkx_error **err);

/* The child of a node; false when there is none. */
static inline bool tkx__trie_step(const tkx__trie *trie, uint32_t *node, uint8_t byte)
{
    const tkx__merge *edge = tkx__merges_find(&trie->edges, *node, byte);

    if (!edge)
        return false;
    *node = edge->id;
    return true;
}

/* The longest text that text[0..n) begins with: its length (0: none) and value. */
size_t tkx__trie_longest(const tkx__trie *trie, const uint8_t *text, size_t n,
                         uint32_t *value);

#endif
