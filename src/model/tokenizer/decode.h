/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model/tokenizer/decode.h - tokens to text, whole or one at a time.
 *
 * A decoder is what remains of the file's decoder list: either byte-level (tokens are
 * bytes, the text is their lossy UTF-8) or by text: replace a character in each token,
 * join runs of byte tokens, take characters off the start.
 */
#ifndef TKX_MODEL_TOKENIZER_DECODE_H
#define TKX_MODEL_TOKENIZER_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "model/tokenizer/vocab.h"

#define TKX__MAX_REPLACEMENTS 4
#define TKX__MAX_REPLACEMENT_BYTES 16

typedef struct tkx__replacement {
    uint8_t from[TKX__MAX_REPLACEMENT_BYTES];
    uint8_t to[TKX__MAX_REPLACEMENT_BYTES];
    size_t from_size; /* > 0 */
    size_t to_size;
} tkx__replacement;

typedef struct tkx__decoder {
    bool is_byte_level;
    bool has_byte_tokens; /* <0xHH> tokens are bytes */
    bool is_spaced;       /* no decoder in the file: tokens are joined by blanks */
    bool drops_in_first;  /* Metaspace: the first token loses every replaced sign */
    tkx__replacement replacements[TKX__MAX_REPLACEMENTS];
    size_t n_replacements;
    uint8_t strip[4]; /* one character, taken off the text's start up to n_strip times */
    size_t strip_size;
    size_t n_strip;
} tkx__decoder;

/* A text being decoded. */
typedef struct tkx__decoding {
    const tkx__decoder *decoder;
    const tkx__vocab *vocab;
    bool skips_special;
    bool is_streaming; /* release the characters of a byte run before the run ends */
    bool is_first;     /* no token yet */
    bool
        is_bad_run; /* the byte run was found ill-formed after characters were released */
    size_t n_strip; /* left */
    tkx__buf bytes; /* undecided: an unfinished character, or a whole byte run */
    tkx__buf text;  /* decoded; the caller empties it */
} tkx__decoding;

void tkx__decoding_init(tkx__decoding *d, const tkx__decoder *decoder,
                        const tkx__vocab *vocab, bool skips_special, bool is_streaming);
void tkx__decoding_clear(tkx__decoding *d);

/* Failures show in the status of the two buffers. */
void tkx__decoding_push(tkx__decoding *d, int64_t id);
void tkx__decoding_finish(tkx__decoding *d);
tkx_status tkx__decoding_status(const tkx__decoding *d, tkx_error **err);

#endif
