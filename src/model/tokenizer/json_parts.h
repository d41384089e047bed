/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model/tokenizer/json_parts.h - the parts of a tokenizer.json around the model:
 * normaliser, pre-tokenizer, decoder, post-processor.
 *
 * Each is an object with a "type", or a Sequence of them, or null.  What is not offered
 * is an UNSUPPORTED error that names the type.
 */
#ifndef TKX_MODEL_TOKENIZER_JSON_PARTS_H
#define TKX_MODEL_TOKENIZER_JSON_PARTS_H

#include "model/tokenizer/component.h"
#include "model/tokenizer/tokenizer.h"
#include "json/reader.h"

/* Raw texts of values in the file; size 0: absent. */
tkx_status tkx__parts_normalizer(tkx_tokenizer *t, tkx__json_text raw, tkx__arena *arena,
                                 tkx_error **err);
/* Sets is_byte_level as well. */
tkx_status tkx__parts_pretok(tkx_tokenizer *t, tkx__json_text raw, tkx__arena *arena,
                             tkx_error **err);
tkx_status tkx__parts_decoder(tkx_tokenizer *t, tkx__json_text raw, tkx__arena *arena,
                              tkx_error **err);
/* After the vocabulary: special tokens are named there by their text. */
tkx_status tkx__parts_post(tkx_tokenizer *t, tkx__json_text raw, tkx__arena *arena,
                           tkx_error **err);

/* ---- for the files json_*.c ---- */

/* UNSUPPORTED: the part's type is none of those offered. */
tkx_status tkx__parts_unsupported(const char *part, const tkx__component *c,
                                  const char *offered, tkx_error **err);
/* What a Metaspace (as pre-tokenizer or decoder) prepends, and its sign. */
tkx_status tkx__parts_scheme(const tkx__component *c, tkx__prepend *out, tkx_error **err);
tkx_status tkx__parts_sign(const tkx__component *c, uint8_t sign[4], size_t *size,
                           tkx_error **err);

#endif
