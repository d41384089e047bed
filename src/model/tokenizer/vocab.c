/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vocab.c - tokens in an array, texts in one block, and an open-addressing index whose
 * slots keep half of the hash, so that a miss seldom reads a text.
 *
 * A chain of slots longer than MAX_PROBES does not come about by chance: such a file is
 * refused, rather than letting it make every lookup slow.
 */
#include "model/tokenizer/vocab.h"

#include <string.h>

#include "base/error.h"
#include "base/large.h"
#include "base/mem.h"
#include "model/tokenizer/hash.h"

#define MAX_TEXTS ((size_t)1 << 30)
#define MAX_PROBES 4096
#define BLOCK 64 /* texts whose slots are fetched together */

void tkx__vocab_clear(tkx__vocab *vocab)
{
    tkx__free(vocab->texts);
    tkx__free(vocab->tokens);
    tkx__free(vocab->slots_block);
    *vocab = (tkx__vocab){0};
}

/* An array of capacity > want elements; the old one stays on failure. */
static bool grow(void *array, size_t *capacity, size_t want, size_t size)
{
    void **place = array;
    size_t next = *capacity ? *capacity : 256;
    void *bigger;

    while (next <= want)
        next *= 2;
    bigger = tkx__realloc(*place, next, size);
    if (!bigger)
        return false;
    tkx__large_advise((char *)bigger + *capacity * size, (next - *capacity) * size);
    *place = bigger;
    *capacity = next;
    return true;
}

static bool grow_tokens(tkx__vocab *vocab, size_t want)
{
    void *place = vocab->tokens;
    bool is_grown = grow(&place, &vocab->tokens_capacity, want, sizeof *vocab->tokens);

    vocab->tokens = place;
    return is_grown;
}

static bool grow_texts(tkx__vocab *vocab, size_t want)
{
    void *place = vocab->texts;
    bool is_grown = grow(&place, &vocab->texts_capacity, want, 1);

    vocab->texts = place;
    return is_grown;
}

tkx_status tkx__vocab_reserve(tkx__vocab *vocab, size_t n, size_t total, tkx_error **err)
{
    if (n > TKX__MAX_VOCAB || total > MAX_TEXTS)
        return tkx__fail(err, TKX_ERR_LIMIT,
                         "a vocabulary of %zu tokens is larger than %u", n,
                         TKX__MAX_VOCAB);
    if ((n >= vocab->tokens_capacity && !grow_tokens(vocab, n)) ||
        (total >= vocab->texts_capacity && !grow_texts(vocab, total)))
        return tkx__fail_memory(err);
    return TKX_OK;
}

static tkx_status add_text(tkx__vocab *vocab, const void *text, size_t size,
                           tkx_error **err)
{
    if (size > MAX_TEXTS - vocab->texts_size)
        return tkx__fail(err, TKX_ERR_LIMIT, "the tokens' texts pass 1 GiB");
    if (vocab->texts_size + size >= vocab->texts_capacity &&
        !grow_texts(vocab, vocab->texts_size + size))
        return tkx__fail_memory(err);
    if (size > 0)
        memcpy(vocab->texts + vocab->texts_size, text, size);
    vocab->texts_size += size;
    return TKX_OK;
}

tkx_status tkx__vocab_set(tkx__vocab *vocab, uint64_t id, const void *text, size_t size,
                          unsigned flags, tkx_error **err)
{
    const size_t at = vocab->texts_size;
    tkx__token *token;
    tkx_status st;

    if (id >= TKX__MAX_VOCAB)
        return tkx__fail(err, TKX_ERR_LIMIT, "token id %llu is larger than %u",
                         (unsigned long long)id, TKX__MAX_VOCAB - 1);
    if (id >= vocab->tokens_capacity && !grow_tokens(vocab, (size_t)id))
        return tkx__fail_memory(err);
    st = add_text(vocab, text, size, err);
    if (st != TKX_OK)
        return st;
    for (; vocab->n_tokens <= id; vocab->n_tokens++)
        vocab->tokens[vocab->n_tokens] = (tkx__token){0};
    token = &vocab->tokens[id];
    token->at = (uint32_t)at;
    token->size = (uint32_t)size;
    token->flags = (uint8_t)(flags | TKX__TOKEN_DEFINED);
    return TKX_OK;
}

tkx_status tkx__vocab_rename(tkx__vocab *vocab, uint32_t id, const void *text,
                             size_t size, tkx_error **err)
{
    const uint32_t n = (uint32_t)size;
    tkx_status st = add_text(vocab, &n, sizeof n, err);

    if (st == TKX_OK)
        st = add_text(vocab, text, size, err);
    if (st == TKX_OK)
        vocab->tokens[id].flags |= TKX__TOKEN_RENAMED;
    return st;
}

const uint8_t *tkx__vocab_shown(const tkx__vocab *vocab, uint32_t id, size_t *size)
{
    const tkx__token *token = &vocab->tokens[id];
    const uint8_t *text = tkx__vocab_text(vocab, id);
    uint32_t n;

    *size = token->size;
    if (!(token->flags & TKX__TOKEN_RENAMED))
        return text;
    memcpy(&n, text + token->size, sizeof n);
    *size = n;
    return text + token->size + sizeof n;
}

static bool is_text(const tkx__vocab *vocab, uint32_t id, const void *text, size_t size)
{
    return vocab->tokens[id].size == size &&
           (size == 0 || memcmp(tkx__vocab_text(vocab, id), text, size) == 0);
}

/* The slot of a text, or the free one where it would go; NULL after too many steps. */
static tkx__vocab_slot *probe(const tkx__vocab *vocab, uint64_t hash, const void *text,
                              size_t size)
{
    size_t at = (size_t)hash & vocab->slot_mask;
    uint32_t tag = (uint32_t)(hash >> 32);

    for (size_t n = 0; n < MAX_PROBES; n++, at = (at + 1) & vocab->slot_mask) {
        tkx__vocab_slot *slot = &vocab->slots[at];

        if (slot->id == TKX__NO_ID)
            return slot;
        if (slot->tag == tag && is_text(vocab, slot->id, text, size))
            return slot;
    }
    return NULL;
}

static tkx_status put(tkx__vocab *vocab, uint32_t id, uint64_t hash, tkx_error **err)
{
    const uint8_t *text = tkx__vocab_text(vocab, id);
    tkx__vocab_slot *slot = probe(vocab, hash, text, vocab->tokens[id].size);

    if (!slot)
        return tkx__fail(err, TKX_ERR_PARSE,
                         "the vocabulary's texts collide too often (token %u); it looks "
                         "made to slow a reader down",
                         id);
    vocab->n_indexed += slot->id == TKX__NO_ID;
    vocab->has_equals |= slot->id != TKX__NO_ID;
    slot->tag = (uint32_t)(hash >> 32);
    slot->id = id;
    return TKX_OK;
}

static uint64_t hash_of(const tkx__vocab *vocab, uint32_t id)
{
    return tkx__hash_bytes(tkx__vocab_text(vocab, id), vocab->tokens[id].size);
}

/* Ids of a block, their slots on the way. */
static tkx_status put_block(tkx__vocab *vocab, const uint32_t *ids, size_t n,
                            tkx_error **err)
{
    uint64_t hashes[BLOCK];
    tkx_status st = TKX_OK;

    for (size_t i = 0; i < n; i++) {
        hashes[i] = hash_of(vocab, ids[i]);
        __builtin_prefetch(&vocab->slots[(size_t)hashes[i] & vocab->slot_mask], 1);
    }
    for (size_t i = 0; i < n && st == TKX_OK; i++)
        st = put(vocab, ids[i], hashes[i], err);
    return st;
}

static bool make_slots(tkx__vocab *vocab)
{
    size_t n_slots = 512;

    while (n_slots < (vocab->n_tokens + 1) * 2)
        n_slots *= 2;
    tkx__free(vocab->slots_block);
    vocab->slots =
        tkx__large_alloc(n_slots * sizeof *vocab->slots, false, &vocab->slots_block);
    vocab->slot_mask = n_slots - 1;
    vocab->n_indexed = 0;
    vocab->has_equals = false;
    if (vocab->slots)
        memset(vocab->slots, 0xFF, n_slots * sizeof *vocab->slots);
    return vocab->slots != NULL;
}

tkx_status tkx__vocab_index_all(tkx__vocab *vocab, unsigned with, unsigned without,
                                tkx_error **err)
{
    uint32_t ids[BLOCK];
    size_t n = 0;
    tkx_status st = TKX_OK;

    if (!make_slots(vocab))
        return tkx__fail_memory(err);
    for (size_t id = 0; id < vocab->n_tokens && st == TKX_OK; id++) {
        if ((vocab->tokens[id].flags & (with | without)) == with)
            ids[n++] = (uint32_t)id;
        if (n == BLOCK || id + 1 == vocab->n_tokens) {
            st = put_block(vocab, ids, n, err);
            n = 0;
        }
    }
    return st;
}

uint32_t tkx__vocab_find(const tkx__vocab *vocab, const void *text, size_t size)
{
    tkx__vocab_slot *slot;

    if (!vocab->slots)
        return TKX__NO_ID;
    slot = probe(vocab, tkx__hash_bytes(text, size), text, size);
    return slot ? slot->id : TKX__NO_ID;
}

void tkx__vocab_find_all(const tkx__vocab *vocab, tkx__vocab_query *queries, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        queries[i].id = TKX__NO_ID;
        queries[i].hash = tkx__hash_bytes(queries[i].text, queries[i].size);
        if (vocab->slots)
            __builtin_prefetch(&vocab->slots[(size_t)queries[i].hash & vocab->slot_mask]);
    }
    for (size_t i = 0; i < n && vocab->slots; i++) {
        const tkx__vocab_slot *slot =
            &vocab->slots[(size_t)queries[i].hash & vocab->slot_mask];

        queries[i].id = slot->id; /* likely; certain below */
        if (slot->id != TKX__NO_ID)
            __builtin_prefetch(&vocab->tokens[slot->id]);
    }
    for (size_t i = 0; i < n && vocab->slots; i++)
        if (queries[i].id != TKX__NO_ID)
            __builtin_prefetch(tkx__vocab_text(vocab, queries[i].id));
    for (size_t i = 0; i < n && vocab->slots; i++) {
        const tkx__vocab_slot *slot =
            probe(vocab, queries[i].hash, queries[i].text, queries[i].size);

        queries[i].id = slot ? slot->id : TKX__NO_ID;
    }
}
