/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model/tokenizer/scan_block.h - where pieces begin in 64 bytes of ASCII, all at once.
 *
 * A scanner finds one piece after the other and waits for each.  Here the classes of 64
 * characters become bit masks, and the rules of an expression a few shifts of them.  What
 * cannot be told from those 64 bytes alone is left to the scanners, so that both always
 * say the same.
 */
#ifndef TKX_MODEL_TOKENIZER_SCAN_BLOCK_H
#define TKX_MODEL_TOKENIZER_SCAN_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TKX__BLOCK 64

/*
 * A piece begins at text[0], and text[0..64) may be read.  Bit i of the answer, i > 0:
 * one begins at text[i]; below the highest bit that is set, no other bit is missing.  0:
 * the first piece does not end here, or that cannot be told.
 */
typedef uint64_t tkx__block_fn(const uint8_t *text);

struct tkx__pretok;

/* NULL when there is none for these cuts, or none on this machine. */
tkx__block_fn *tkx__block_for(const struct tkx__pretok *pretok);

#endif
