/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model/tokenizer/spm.h - SentencePiece-style BPE read from the text as it is.
 *
 * Blanks are the sign U+2581 and no expression cuts pieces out before merging.  Pieces
 * can still be told apart: where two neighbouring bytes are such that no merge joins the
 * one to the other, a text is cut.
 */
#ifndef TKX_MODEL_TOKENIZER_SPM_H
#define TKX_MODEL_TOKENIZER_SPM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tkx/tokenizer.h>

#include "model/tokenizer/pretok.h"

typedef struct tkx__spm {
    bool is_used;
    bool is_always_prefixed; /* a sign before every text, even one that begins with it */
    tkx__prepend prepend;    /* else, Metaspace's rule */
    bool has_cuts;
    uint64_t cuts[65536 / 64]; /* bit left << 8 | right: nothing merges across */
} tkx__spm;

/* Fill the cuts of a tokenizer whose vocabulary and merges are complete. */
void tkx__spm_find_cuts(tkx_tokenizer *tokenizer);

/* The end of the piece that begins at text[at], at < n. */
size_t tkx__spm_piece_end(const tkx__spm *spm, const uint8_t *text, size_t at, size_t n);

#endif
