/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model/tokenizer/unigram.h - the most likely cut of a text into tokens with scores.
 */
#ifndef TKX_MODEL_TOKENIZER_UNIGRAM_H
#define TKX_MODEL_TOKENIZER_UNIGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tkx/error.h>

#include "model/tokenizer/ids.h"
#include "model/tokenizer/trie.h"
#include "model/tokenizer/vocab.h"

typedef struct tkx__unigram {
    tkx__trie trie; /* value: id */
    double *scores; /* [n_scores], natural log */
    size_t n_scores;
    double unk_score;
    uint32_t unk_id; /* TKX__NO_ID: none */
    bool has_byte_fallback;
    uint32_t byte_ids[256];
} tkx__unigram;

typedef struct tkx__unigram_scratch {
    void *nodes;
    size_t capacity;
} tkx__unigram_scratch;

void tkx__unigram_clear(tkx__unigram *unigram);
void tkx__unigram_scratch_clear(tkx__unigram_scratch *scratch);

/* Append the ids of valid UTF-8 text[0..n).  INVALID_ARGUMENT: a character that no token
   spells, in a vocabulary without an unknown token. */
tkx_status tkx__unigram_encode(const tkx__unigram *unigram, const tkx__vocab *vocab,
                               const uint8_t *text, size_t n,
                               tkx__unigram_scratch *scratch, tkx__ids *ids,
                               tkx_error **err);

#endif
