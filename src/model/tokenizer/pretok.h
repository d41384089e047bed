/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model/tokenizer/pretok.h - cutting a text into the pieces that the model sees, as a
 * list of steps that each cut (or prefix) the pieces of the step before.
 */
#ifndef TKX_MODEL_TOKENIZER_PRETOK_H
#define TKX_MODEL_TOKENIZER_PRETOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tkx/error.h>

#include "base/buf.h"
#include "model/tokenizer/scan.h"
#include "model/tokenizer/scan_block.h"

#define TKX__MAX_CUTS 16

typedef enum tkx__behavior {
    TKX__ISOLATED,
    TKX__REMOVED,
    TKX__MERGED_WITH_PREVIOUS,
    TKX__MERGED_WITH_NEXT,
    TKX__CONTIGUOUS
} tkx__behavior;

typedef enum tkx__cut_kind {
    TKX__CUT_SPLIT,
    TKX__CUT_PREFIX_SPACE, /* a blank before a piece that does not begin with one */
    TKX__CUT_METASPACE,    /* blanks become text; text before the piece; cut there */
    TKX__CUT_SPELL,        /* bytes become the characters that spell them */
    TKX__CUT_UNSPELL
} tkx__cut_kind;

typedef enum tkx__prepend {
    TKX__PREPEND_NEVER,
    TKX__PREPEND_FIRST,
    TKX__PREPEND_ALWAYS
} tkx__prepend;

typedef struct tkx__cut {
    tkx__cut_kind kind;
    tkx__splitter splitter;
    tkx__behavior behavior;
    bool is_inverted;
    tkx__prepend prepend; /* Metaspace */
    bool has_split;
    uint8_t sign[4];
    size_t sign_size;
} tkx__cut;

typedef struct tkx__pretok {
    tkx__cut cuts[TKX__MAX_CUTS];
    size_t n_cuts;
    bool is_plain; /* only isolated splits: pieces can be cut as the text is read */
    tkx__block_fn *block; /* of a plain one; NULL: none */
} tkx__pretok;

typedef struct tkx__piece {
    size_t at, size;
} tkx__piece;

typedef struct tkx__pieces {
    tkx__piece *items;
    size_t n, capacity;
    bool is_failed;
} tkx__pieces;

/* What cutting needs; reused from text to text. */
typedef struct tkx__pretok_scratch {
    tkx__pieces pieces[2];
    tkx__buf texts[2];
} tkx__pretok_scratch;

void tkx__pretok_clear(tkx__pretok *pretok);
/* Once all cuts are there: the quickest way for them. */
void tkx__pretok_finish(tkx__pretok *pretok);
void tkx__pretok_scratch_init(tkx__pretok_scratch *scratch);
void tkx__pretok_scratch_clear(tkx__pretok_scratch *scratch);

/* The pieces of text[0..n): *out[i].at counts from *out_text.  is_first: nothing of the
   whole input stands before this text. */
tkx_status tkx__pretok_apply(const tkx__pretok *pretok, const uint8_t *text, size_t n,
                             bool is_first, tkx__pretok_scratch *scratch,
                             const uint8_t **out_text, const tkx__pieces **out,
                             tkx_error **err);

#endif
