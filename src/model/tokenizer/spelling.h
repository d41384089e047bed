/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model/tokenizer/spelling.h - the printable character that a byte-level vocabulary
 * spells each byte with: itself where it is one of ! to ~, U+A1 to U+AC, U+AE to U+FF,
 * else the next of U+0100 and on.
 */
#ifndef TKX_MODEL_TOKENIZER_SPELLING_H
#define TKX_MODEL_TOKENIZER_SPELLING_H

#include <stdint.h>

/* The byte that a character stands for; -1: none. */
int tkx__spelt_byte(uint32_t cp);

uint32_t tkx__spelling_of(uint8_t byte);

#endif
