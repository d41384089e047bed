/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model/tokenizer/encoder.h - a text being encoded: what the files encode*.c share.
 *
 *     encode.c       the text, its added tokens, its normal form
 *     encode_cut.c   pieces, looked up in the word cache many at a time
 *     encode_spm.c   pieces of a SentencePiece text
 *     encode_word.c  a piece that the cache does not know, through the model
 */
#ifndef TKX_MODEL_TOKENIZER_ENCODER_H
#define TKX_MODEL_TOKENIZER_ENCODER_H

#include "model/tokenizer/tokenizer.h"

/* Words are looked up so many at a time: the memory that one waits for comes while the
   others are cut. */
#define TKX__BATCH 256

typedef struct tkx__pending_word {
    const uint8_t *text;
    tkx__cache_key key;
} tkx__pending_word;

struct tkx__encoder {
    tkx__encoder *next;
    tkx__cache cache;
    tkx__bpe_scratch bpe;
    tkx__unigram_scratch unigram;
    tkx__pretok_scratch pretok;
    tkx__buf normalized[2];
    tkx__buf prefixed; /* a text's first word with a blank before it */
    tkx__buf word;     /* an SPM word with its signs */
    tkx__ids symbols;
    /* Of the text being encoded: */
    const tkx_tokenizer *tokenizer;
    tkx__ids *ids;
    bool is_plain_text;
    const uint8_t *limit; /* end of the buffer that pieces point into */
    tkx_error **err;
    tkx__pending_word pending[TKX__BATCH]; /* pieces whose ids come next */
    size_t n_pending;
};

/* The ids of one piece, at the end of e->ids, and into the cache unless key is NULL. */
tkx_status tkx__encode_missed(tkx__encoder *e, const uint8_t *raw, size_t n,
                              const tkx__cache_key *key);

/* Those of words that the cache does not know, into the cache, as far as it is quicker to
   encode them together. */
tkx_status tkx__encode_all_missed(tkx__encoder *e, const tkx__pending_word *const *words,
                                  size_t n);

/* One piece more; its bytes must stay until pieces are flushed. */
tkx_status tkx__encode_piece(tkx__encoder *e, const uint8_t *text, size_t n);

/* The ids of all pieces so far are in e->ids after this. */
tkx_status tkx__encode_flush(tkx__encoder *e);

/* A text without added tokens; is_first: nothing of the input stands before it. */
tkx_status tkx__encode_pieces(tkx__encoder *e, const uint8_t *text, size_t n,
                              bool is_first);
tkx_status tkx__encode_spm(tkx__encoder *e, const uint8_t *text, size_t n, bool is_first);

#endif
