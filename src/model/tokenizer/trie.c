/* SPDX-License-Identifier: Apache-2.0 */
/* trie.c - building and walking. */
#include "model/tokenizer/trie.h"

#include "base/error.h"
#include "base/mem.h"

#define NO_VALUE UINT32_MAX

static tkx_status add_node(tkx__trie *trie, tkx_error **err)
{
    if (trie->n_nodes == trie->capacity) {
        size_t want = trie->capacity ? trie->capacity * 2 : 64;
        uint32_t *values;

        if (want > UINT32_MAX / 2)
            return tkx__fail(err, TKX_ERR_LIMIT, "the tokens' texts make too many nodes");
        values = tkx__realloc(trie->values, want, sizeof *values);
        if (!values)
            return tkx__fail_memory(err);
        trie->values = values;
        trie->capacity = want;
    }
    trie->values[trie->n_nodes++] = NO_VALUE;
    return TKX_OK;
}

tkx_status tkx__trie_init(tkx__trie *trie, size_t n_expected, tkx_error **err)
{
    tkx_status st;

    *trie = (tkx__trie){0};
    st = tkx__merges_init(&trie->edges, n_expected, err);
    return st == TKX_OK ? add_node(trie, err) : st;
}

void tkx__trie_clear(tkx__trie *trie)
{
    tkx__merges_clear(&trie->edges);
    tkx__free(trie->values);
    *trie = (tkx__trie){0};
}

tkx_status tkx__trie_put(tkx__trie *trie, const uint8_t *text, size_t n, uint32_t value,
                         tkx_error **err)
{
    uint32_t node = 0;

    if (n == 0)
        return TKX_OK;
    for (size_t i = 0; i < n; i++) {
        uint32_t next = (uint32_t)trie->n_nodes;
        tkx_status st;

        if (tkx__trie_step(trie, &node, text[i]))
            continue;
        st = add_node(trie, err);
        if (st == TKX_OK)
            st = tkx__merges_put(&trie->edges, node, text[i], 0, next, err);
        if (st != TKX_OK)
            return st;
        node = next;
    }
    trie->values[node] = value;
    trie->is_first[text[0]] = true;
    return TKX_OK;
}

size_t tkx__trie_longest(const tkx__trie *trie, const uint8_t *text, size_t n,
                         uint32_t *value)
{
    uint32_t node = 0;
    size_t longest = 0;

    for (size_t i = 0; i < n && tkx__trie_step(trie, &node, text[i]); i++) {
        if (trie->values[node] != NO_VALUE) {
            *value = trie->values[node];
            longest = i + 1;
        }
    }
    return longest;
}
