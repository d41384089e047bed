/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model/tokenizer/tokenizer.h - the parts of a tokenizer, and encoding with ids of 32
 * bits.
 *
 *     text -> added tokens cut out -> normaliser -> pieces (pretok) -> model -> ids
 *
 * What one encoding needs (caches, buffers) is an encoder; the tokenizer keeps idle ones.
 * Everything else is immutable once loaded.
 */
#ifndef TKX_MODEL_TOKENIZER_TOKENIZER_H
#define TKX_MODEL_TOKENIZER_TOKENIZER_H

#include <pthread.h>
#include <stdatomic.h>

#include <tkx/tokenizer.h>

#include "model/gguf.h"
#include "model/tokenizer/added.h"
#include "model/tokenizer/bpe.h"
#include "model/tokenizer/cache.h"
#include "model/tokenizer/decode.h"
#include "model/tokenizer/ids.h"
#include "model/tokenizer/normalize.h"
#include "model/tokenizer/pretok.h"
#include "model/tokenizer/spm.h"
#include "model/tokenizer/unigram.h"
#include "model/tokenizer/vocab.h"

typedef enum tkx__tokenizer_kind {
    TKX__TOKENIZER_BYTES,
    TKX__TOKENIZER_BPE,
    TKX__TOKENIZER_UNIGRAM
} tkx__tokenizer_kind;

/* While merging with falls_back_late, a character that is no token is this + code point.
 */
#define TKX__CHARACTER_SYMBOL TKX__MAX_VOCAB

#define TKX__MAX_AROUND 8
#define TKX__TOKENIZER_END_IDS 64

typedef struct tkx__encoder tkx__encoder;

struct tkx_tokenizer {
    atomic_int n_owners;
    tkx__tokenizer_kind kind;
    tkx__vocab vocab;

    tkx__merges merges;
    bool is_byte_level; /* pieces are bytes; else characters */
    bool has_byte_fallback;
    bool falls_back_late; /* bytes stand in for unknown characters after merging (GGUF) */
    bool fuses_unk;
    bool ignores_merges;    /* a piece that is a token is that token */
    uint32_t unk_id;        /* TKX__NO_ID: none */
    uint32_t byte_ids[256]; /* TKX__NO_ID: none */
    bool has_all_bytes;     /* none is missing */
    tkx__unigram unigram;

    tkx__added raw_added;        /* found in the text as it is */
    tkx__added normalized_added; /* found after the normaliser */
    tkx__normalizer normalizer;
    tkx__pretok pretok;
    tkx__spm spm;
    tkx__decoder decoder;

    uint32_t before[TKX__MAX_AROUND], after[TKX__MAX_AROUND]; /* TKX_ENCODE_ADD_SPECIAL */
    size_t n_before, n_after;

    int64_t bos_id;
    int64_t end_ids[TKX__TOKENIZER_END_IDS];
    size_t n_end_ids;
    char *chat_template;

    pthread_mutex_t lock;
    bool has_lock;
    tkx__encoder *idle; /* under lock */
};

/* An empty tokenizer with one owner. */
tkx_status tkx__tokenizer_new(tkx_tokenizer **out, tkx_error **err);

tkx_status tkx__tokenizer_new_bytes(tkx_tokenizer **out, tkx_error **err);
/* what names the text in errors. */
tkx_status tkx__tokenizer_from_json(const char *text, size_t size, const char *what,
                                    tkx_tokenizer **out, tkx_error **err);
tkx_status tkx__tokenizer_from_gguf(const tkx__gguf *gguf, const char *what,
                                    tkx_tokenizer **out, tkx_error **err);

/* One more; those beyond TKX__TOKENIZER_END_IDS are left out. */
void tkx__tokenizer_add_end_id(tkx_tokenizer *tokenizer, int64_t id);

/* Append the ids of a text; flags are tkx_encode_flags. */
tkx_status tkx__tokenizer_encode(const tkx_tokenizer *tokenizer, const char *text,
                                 size_t size, unsigned flags, tkx__ids *ids,
                                 tkx_error **err);

/* stream.c: as tkx_text_stream_push(), and releases all that no later token can change:
 * what stands before a character's first bytes, too. */
tkx_status tkx__text_stream_push_decided(tkx_text_stream *stream, int64_t id,
                                         const char **piece, size_t *size_bytes,
                                         tkx_error **err);

/* encode.c: encoders that wait for a next text. */
void tkx__encoders_free(tkx__encoder *list);

#endif
