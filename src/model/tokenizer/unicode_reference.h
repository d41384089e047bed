/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model/tokenizer/unicode_reference.h - where the reference tokenizers' Unicode is of
 * another version than our libraries': their normal forms know Unicode 9, their lower
 * case Unicode 17.
 */
#ifndef TKX_MODEL_TOKENIZER_UNICODE_REFERENCE_H
#define TKX_MODEL_TOKENIZER_UNICODE_REFERENCE_H

#include <stdbool.h>
#include <stdint.h>

/* Marks and decompositions that came later: the normal forms leave them alone. */
bool tkx__unicode_is_newer(uint32_t cp);

/* What StripAccents takes away. */
bool tkx__unicode_is_accent(uint32_t cp);

/* One character's lower case; U+0130, which has two, is the caller's. */
uint32_t tkx__unicode_lower(uint32_t cp);

#endif
