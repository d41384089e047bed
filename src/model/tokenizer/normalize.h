/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model/tokenizer/normalize.h - what a text goes through before it is split.
 */
#ifndef TKX_MODEL_TOKENIZER_NORMALIZE_H
#define TKX_MODEL_TOKENIZER_NORMALIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tkx/error.h>

#include "base/buf.h"
#include "model/tokenizer/charsmap.h"
#include "model/tokenizer/scan.h"

#define TKX__MAX_STEPS 16

typedef enum tkx__norm_kind {
    TKX__NORM_NFC,
    TKX__NORM_NFD,
    TKX__NORM_NFKC,
    TKX__NORM_NFKD,
    TKX__NORM_LOWERCASE,
    TKX__NORM_STRIP,
    TKX__NORM_STRIP_ACCENTS,
    TKX__NORM_PREPEND, /* text before a text that is not empty */
    TKX__NORM_REPLACE, /* every match of splitter becomes text */
    TKX__NORM_CHARSMAP
} tkx__norm_kind;

typedef struct tkx__norm_step {
    tkx__norm_kind kind;
    bool strips_left, strips_right;
    tkx__splitter splitter;
    char *text;
    size_t text_size;
    tkx__charsmap charsmap;
} tkx__norm_step;

typedef struct tkx__normalizer {
    tkx__norm_step steps[TKX__MAX_STEPS];
    size_t n_steps;
} tkx__normalizer;

void tkx__normalizer_clear(tkx__normalizer *normalizer);

/*
 * Normalise valid UTF-8.  *out is text itself when nothing changes, else one of the two
 * buffers, which the caller reuses from call to call.
 */
tkx_status tkx__normalizer_apply(const tkx__normalizer *normalizer, const uint8_t *text,
                                 size_t n, tkx__buf buffers[2], const uint8_t **out,
                                 size_t *out_size, tkx_error **err);

#endif
