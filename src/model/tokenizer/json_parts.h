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

#endif
