/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model/tokenizer/charsmap.h - a SentencePiece model's own normaliser ("Precompiled"): a
 * table of short texts and what replaces each.
 *
 * The table is a double-array trie, as SentencePiece stores it: units of 32 bits, then
 * the replacements, a NUL behind each.  Immutable once read.
 */
#ifndef TKX_MODEL_TOKENIZER_CHARSMAP_H
#define TKX_MODEL_TOKENIZER_CHARSMAP_H

#include <stddef.h>
#include <stdint.h>

#include <tkx/error.h>

#include "base/buf.h"

typedef struct tkx__charsmap {
    uint8_t *bytes; /* the whole table */
    uint32_t *units;
    size_t n_units;
    const uint8_t *texts; /* in bytes, NUL at the end */
    size_t texts_size;
} tkx__charsmap;

/* From base64. */
tkx_status tkx__charsmap_init(tkx__charsmap *map, const char *base64, size_t n,
                              tkx_error **err);
void tkx__charsmap_clear(tkx__charsmap *map);

/* Valid UTF-8 text[0..n), normalised, at the end of out. */
void tkx__charsmap_apply(const tkx__charsmap *map, const uint8_t *text, size_t n,
                         tkx__buf *out);

#endif
