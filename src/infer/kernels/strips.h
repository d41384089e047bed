/* SPDX-License-Identifier: Apache-2.0 */
/*
 * infer/kernels/strips.h - weights in kernel order: strips of 8 rows.
 *
 * A strip holds, block of columns after block of columns, what the file has of 8 rows,
 * element by element: the scale of row 0, of row 1, ..; then 4 bytes of row 0, 4 of row
 * 1, ..  An element at offset o of a file's block lies at 8 o + (its size) r of the
 * strip's block, so a strip takes the bytes of its 8 rows, and 32 bytes of it meet the 8
 * lanes of a register.  Numbers whose bits the file keeps apart are brought together
 * inside those words, so that most cost a mask:
 *
 *   Q5_0, Q5_1: words 1 .. 4 hold columns 0 .. 15 in their low 5 bits and the upper 3
 *               bits of columns 16 .. 31 above; word 0 the lower 2 of those, in order.
 *   Q6_K:       three words hold quarters 0, 1 and 2 of 128 columns, and in their
 *               uppermost two bits those of quarter 3.
 *
 * Sums of integers are exact in any order: a strip gives the bits that the file's order
 * gives.
 */
#ifndef TKX_INFER_KERNELS_STRIPS_H
#define TKX_INFER_KERNELS_STRIPS_H

#include "infer/kernels/table.h"

#define TKX__STRIP_ROWS 8

/* The elements of a block: 2-byte ones, then 4-byte ones, both at their file offset. */
typedef struct tkx__strip_shape {
    size_t half_at;
    size_t n_halves;
    size_t word_at;
    size_t n_words;
} tkx__strip_shape;

/* Plain types have blocks of one column; only narrow matrices of theirs become strips. */
#define TKX__NARROW_COLS 64
tkx__strip_shape tkx__strip_shape_of(tkx__wtype type);

/* n_blocks blocks of 8 rows to strip order; out has 8 n_blocks blocks. */
void tkx__strip_pack(tkx__wtype type, const uint8_t *const rows[TKX__STRIP_ROWS],
                     size_t n_blocks, uint8_t *out);

/* Row r (0..7) of n_blocks blocks of a strip in the file's order. */
void tkx__strip_row(tkx__wtype type, const uint8_t *strip, size_t r, size_t n_blocks,
                    uint8_t *out);

#endif
