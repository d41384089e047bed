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
#include "base/mem.h"
#include "model/tokenizer/hash.h"

#define MAX_TEXTS ((size_t)1 << 30)
#define MAX_PROBES 4096

void tkx__vocab_clear(tkx__vocab *vocab)
{
    tkx__free(vocab->texts);
    tkx__free(vocab->tokens);
    tkx__free(vocab->slots);
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

tkx_status tkx__vocab_set(tkx__vocab *vocab, uint64_t id, const void *text, size_t size,
                          unsigned flags, tkx_error **err)
{
    tkx__token *token;

    if (id >= TKX__MAX_VOCAB)
        return tkx__fail(err, TKX_ERR_LIMIT, "token id %llu is larger than %u",
                         (unsigned long long)id, TKX__MAX_VOCAB - 1);
    if (size > MAX_TEXTS - vocab->texts_size)
        return tkx__fail(err, TKX_ERR_LIMIT, "the tokens' texts pass 1 GiB");
    if ((id >= vocab->tokens_capacity && !grow_tokens(vocab, (size_t)id)) ||
        (vocab->texts_size + size >= vocab->texts_capacity &&
         !grow_texts(vocab, vocab->texts_size + size)))
        return tkx__fail_memory(err);
    for (; vocab->n_tokens <= id; vocab->n_tokens++)
        vocab->tokens[vocab->n_tokens] = (tkx__token){0};
    token = &vocab->tokens[id];
    token->at = (uint32_t)vocab->texts_size;
    token->size = (uint32_t)size;
    token->flags = (uint8_t)(flags | TKX__TOKEN_DEFINED);
    if (size > 0)
        memcpy(vocab->texts + vocab->texts_size, text, size);
    vocab->texts_size += size;
    return TKX_OK;
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

static tkx_status put(tkx__vocab *vocab, uint32_t id, tkx_error **err)
{
    const uint8_t *text = tkx__vocab_text(vocab, id);
    uint64_t hash = tkx__hash_bytes(text, vocab->tokens[id].size);
    tkx__vocab_slot *slot = probe(vocab, hash, text, vocab->tokens[id].size);

    if (!slot)
        return tkx__fail(err, TKX_ERR_PARSE,
                         "the vocabulary's texts collide too often (token %u); it looks "
                         "made to slow a reader down",
                         id);
    vocab->n_indexed += slot->id == TKX__NO_ID;
    slot->tag = (uint32_t)(hash >> 32);
    slot->id = id;
    return TKX_OK;
}

static tkx_status rehash(tkx__vocab *vocab, size_t n_slots, tkx_error **err)
{
    tkx__vocab_slot *old = vocab->slots;
    size_t n_old = old ? vocab->slot_mask + 1 : 0;
    tkx_status st = TKX_OK;

    vocab->slots = tkx__malloc(n_slots * sizeof *vocab->slots);
    if (!vocab->slots) {
        vocab->slots = old;
        return tkx__fail_memory(err);
    }
    memset(vocab->slots, 0xFF, n_slots * sizeof *vocab->slots);
    vocab->slot_mask = n_slots - 1;
    vocab->n_indexed = 0;
    for (size_t i = 0; i < n_old && st == TKX_OK; i++)
        if (old[i].id != TKX__NO_ID)
            st = put(vocab, old[i].id, err);
    tkx__free(old);
    return st;
}

tkx_status tkx__vocab_index(tkx__vocab *vocab, uint32_t id, tkx_error **err)
{
    size_t n_slots = vocab->slots ? vocab->slot_mask + 1 : 0;
    tkx_status st = TKX_OK;

    if (!n_slots || (vocab->n_indexed + 1) * 2 > n_slots) {
        size_t want = 512;

        while (want < (vocab->n_tokens + 1) * 2 || want < n_slots * 2)
            want *= 2;
        st = rehash(vocab, want, err);
    }
    return st == TKX_OK ? put(vocab, id, err) : st;
}

uint32_t tkx__vocab_find(const tkx__vocab *vocab, const void *text, size_t size)
{
    tkx__vocab_slot *slot;

    if (!vocab->slots)
        return TKX__NO_ID;
    slot = probe(vocab, tkx__hash_bytes(text, size), text, size);
    return slot ? slot->id : TKX__NO_ID;
}
