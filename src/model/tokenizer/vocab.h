/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model/tokenizer/vocab.h - the tokens of a vocabulary by id, and ids by text.
 *
 * A token's text is what the model's own side sees: for byte-level vocabularies the bytes
 * that the token stands for, else its spelling.  Texts lie in one block.  Ids without a
 * token are allowed.  Immutable once loaded.
 */
#ifndef TKX_MODEL_TOKENIZER_VOCAB_H
#define TKX_MODEL_TOKENIZER_VOCAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tkx/error.h>

#define TKX__MAX_VOCAB (1u << 22)
#define TKX__NO_ID UINT32_MAX

enum {
    TKX__TOKEN_DEFINED = 1,
    TKX__TOKEN_SPECIAL = 2, /* left out by decoding that skips special tokens */
    TKX__TOKEN_ADDED = 4,   /* found in the text before anything else */
    TKX__TOKEN_BYTE = 8,    /* <0xHH> */
    TKX__TOKEN_LITERAL =
        16, /* byte-level: its spelling is no sequence of byte characters */
    TKX__TOKEN_RENAMED = 32 /* decodes to another text, which lies behind its own */
};

typedef struct tkx__token {
    uint32_t at;
    uint32_t size;
    uint8_t flags;
    uint8_t byte; /* of a TKX__TOKEN_BYTE */
} tkx__token;

typedef struct tkx__vocab_slot {
    uint32_t tag; /* upper half of the hash */
    uint32_t id;  /* TKX__NO_ID: free */
} tkx__vocab_slot;

typedef struct tkx__vocab {
    uint8_t *texts;
    size_t texts_size;
    size_t texts_capacity;
    tkx__token *tokens; /* [n_tokens] */
    size_t n_tokens;    /* largest id + 1 */
    size_t tokens_capacity;
    tkx__vocab_slot *slots; /* texts that the model may produce */
    void *slots_block;      /* what they were allocated as */
    size_t slot_mask;
    size_t n_indexed;
    bool has_equals; /* of two equal texts one is not found */
} tkx__vocab;

void tkx__vocab_clear(tkx__vocab *vocab);

/* Room for about n tokens with total bytes of text. */
tkx_status tkx__vocab_reserve(tkx__vocab *vocab, size_t n, size_t total, tkx_error **err);

/* Set the token of an id (its text may be replaced).  LIMIT for ids from TKX__MAX_VOCAB.
 */
tkx_status tkx__vocab_set(tkx__vocab *vocab, uint64_t id, const void *text, size_t size,
                          unsigned flags, tkx_error **err);

/* Have the token that was set last decode to another text. */
tkx_status tkx__vocab_rename(tkx__vocab *vocab, uint32_t id, const void *text,
                             size_t size, tkx_error **err);

/* Make the texts of all ids findable that have flags `with` and none of `without`; of
   equal texts the one with the largest id is found. */
tkx_status tkx__vocab_index_all(tkx__vocab *vocab, unsigned with, unsigned without,
                                tkx_error **err);

/* TKX__NO_ID when no indexed token has this text. */
uint32_t tkx__vocab_find(const tkx__vocab *vocab, const void *text, size_t size);

typedef struct tkx__vocab_query {
    const uint8_t *text;
    size_t size;
    uint64_t hash;
    uint32_t id; /* the answer */
} tkx__vocab_query;

/* The same for many: the memory that one waits for comes while others are looked at. */
void tkx__vocab_find_all(const tkx__vocab *vocab, tkx__vocab_query *queries, size_t n);

static inline bool tkx__vocab_has(const tkx__vocab *vocab, uint64_t id)
{
    return id < vocab->n_tokens && (vocab->tokens[id].flags & TKX__TOKEN_DEFINED) != 0;
}

static inline const uint8_t *tkx__vocab_text(const tkx__vocab *vocab, uint32_t id)
{
    return vocab->texts + vocab->tokens[id].at;
}

/* What an id decodes to. */
const uint8_t *tkx__vocab_shown(const tkx__vocab *vocab, uint32_t id, size_t *size);

#endif
