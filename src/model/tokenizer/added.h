/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model/tokenizer/added.h - added tokens: texts that are one token wherever they stand,
 * found before (or, when they are "normalized", after) the normaliser.
 */
#ifndef TKX_MODEL_TOKENIZER_ADDED_H
#define TKX_MODEL_TOKENIZER_ADDED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tkx/error.h>

#include "model/tokenizer/trie.h"

typedef struct tkx__added_token {
    uint32_t id;
    bool is_special;
    bool is_single_word; /* not beside a word character */
    bool strips_left;    /* takes the blanks before it */
    bool strips_right;
} tkx__added_token;

#define TKX__FEW_FIRSTS 4

typedef struct tkx__added {
    tkx__trie trie; /* value: index in tokens */
    /* Where a text may begin, without walking the trie: */
    uint8_t firsts[TKX__FEW_FIRSTS]; /* first bytes while they are few */
    size_t n_firsts;
    uint64_t pairs[65536 / 64]; /* bit of the first two bytes, first << 8 | second */
    tkx__added_token *tokens;
    size_t n_tokens;
    size_t capacity;
    size_t n_plain; /* tokens that are not special */
} tkx__added;

tkx_status tkx__added_init(tkx__added *added, tkx_error **err);
void tkx__added_clear(tkx__added *added);
tkx_status tkx__added_put(tkx__added *added, const tkx__added_token *token,
                          const uint8_t *text, size_t n, tkx_error **err);

typedef struct tkx__added_match {
    size_t start, stop; /* with the blanks that it takes */
    uint32_t id;
} tkx__added_match;

/* Where a text is looked at; zero at first. */
typedef struct tkx__added_scan {
    size_t at;
    size_t blanks, blanks_end; /* blanks that were walked over */
} tkx__added_scan;

/*
 * The next token in valid UTF-8 text[from..n), the longest of the leftmost; false: none
 * left.  It may begin before `from`, among blanks that the one before took, as with the
 * reference.
 */
bool tkx__added_next(const tkx__added *added, const uint8_t *text, size_t n, size_t from,
                     tkx__added_scan *scan, bool skips_special, tkx__added_match *match);

#endif
