/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unigram.c - Viterbi over byte positions.  Each position keeps the best score of a cut
 * that ends there; the first of equal ones wins.  A character that no token of its own
 * spells costs the lowest score less 10, and characters next to each other that came out
 * unknown are one unknown token, or the byte tokens of their bytes.
 */
#include "model/tokenizer/unigram.h"

#include "base/error.h"
#include "base/mem.h"
#include "model/tokenizer/utf8.h"

typedef struct node {
    double score;
    uint32_t from;
    uint32_t id;
} node;

#define UNREACHED UINT32_MAX

void tkx__unigram_clear(tkx__unigram *unigram)
{
    tkx__trie_clear(&unigram->trie);
    tkx__free(unigram->scores);
    unigram->scores = NULL;
    unigram->n_scores = 0;
}

void tkx__unigram_scratch_clear(tkx__unigram_scratch *scratch)
{
    tkx__free(scratch->nodes);
    *scratch = (tkx__unigram_scratch){0};
}

static void offer(node *nodes, size_t from, size_t to, uint32_t id, double score)
{
    if (nodes[to].from == UNREACHED || score > nodes[to].score)
        nodes[to] = (node){score, (uint32_t)from, id};
}

static void forward(const tkx__unigram *unigram, const uint8_t *text, size_t n,
                    node *nodes)
{
    for (size_t i = 1; i <= n; i++)
        nodes[i].from = UNREACHED;
    nodes[0] = (node){0.0, 0, TKX__NO_ID};
    for (size_t at = 0; at < n; at += tkx__utf8_len(text[at])) {
        size_t length = tkx__utf8_len(text[at]);
        bool has_single = false;
        uint32_t at_node = 0;

        for (size_t i = at; i < n && tkx__trie_step(&unigram->trie, &at_node, text[i]);
             i++) {
            uint32_t id = unigram->trie.values[at_node];

            if (id == UINT32_MAX)
                continue;
            offer(nodes, at, i + 1, id, nodes[at].score + unigram->scores[id]);
            has_single |= i + 1 - at == length;
        }
        if (!has_single)
            offer(nodes, at, at + length, unigram->unk_id,
                  nodes[at].score + unigram->unk_score);
    }
}

static bool have_byte_tokens(const tkx__unigram *unigram, const uint8_t *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (unigram->byte_ids[text[i]] == TKX__NO_ID)
            return false;
    return true;
}

static tkx_status add_unknown(const tkx__unigram *unigram, const tkx__vocab *vocab,
                              const uint8_t *text, size_t n, tkx__ids *ids,
                              tkx_error **err)
{
    uint32_t id = tkx__vocab_find(vocab, text, n);

    if (id != TKX__NO_ID) {
        tkx__ids_add(ids, id);
        return TKX_OK;
    }
    if (unigram->has_byte_fallback && have_byte_tokens(unigram, text, n)) {
        for (size_t i = 0; i < n; i++)
            tkx__ids_add(ids, unigram->byte_ids[text[i]]);
        return TKX_OK;
    }
    if (unigram->unk_id == TKX__NO_ID)
        return tkx__fail(
            err, TKX_ERR_INVALID_ARGUMENT,
            "no token spells '%.*s', and the vocabulary has no unknown token",
            (int)(n < 64 ? n : 64), (const char *)text);
    tkx__ids_add(ids, unigram->unk_id);
    return TKX_OK;
}

/* Turn the chain of best cuts around: nodes[i].from becomes where the token at i ends. */
static void reverse(node *nodes, size_t n)
{
    size_t to = n;
    uint32_t from = nodes[n].from, id = nodes[n].id;

    while (to > 0) {
        uint32_t next_from = nodes[from].from, next_id = nodes[from].id;

        nodes[from].from = (uint32_t)to;
        nodes[from].id = id;
        to = from;
        from = next_from;
        id = next_id;
    }
}

tkx_status tkx__unigram_encode(const tkx__unigram *unigram, const tkx__vocab *vocab,
                               const uint8_t *text, size_t n,
                               tkx__unigram_scratch *scratch, tkx__ids *ids,
                               tkx_error **err)
{
    node *nodes;

    if (n == 0)
        return TKX_OK;
    if (n >= scratch->capacity) {
        void *bigger = tkx__realloc(scratch->nodes, n + 1, sizeof(node));

        if (!bigger)
            return tkx__fail_memory(err);
        scratch->nodes = bigger;
        scratch->capacity = n + 1;
    }
    nodes = scratch->nodes;
    forward(unigram, text, n, nodes);
    reverse(nodes, n);
    for (size_t at = 0; at < n;) {
        size_t from = at;
        tkx_status st;

        if (nodes[at].id != unigram->unk_id) {
            tkx__ids_add(ids, nodes[at].id);
            at = nodes[at].from;
            continue;
        }
        while (at < n && nodes[at].id == unigram->unk_id)
            at = nodes[at].from;
        st = add_unknown(unigram, vocab, text + from, at - from, ids, err);
        if (st != TKX_OK)
            return st;
    }
    return TKX_OK;
}
