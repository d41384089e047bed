/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model/quantise.h - rows of floats as blocks of a quantised type.
 *
 * Bit for bit what the reference quantiser of the GGUF tools writes without an importance
 * matrix.
 */
#ifndef TKX_MODEL_QUANTISE_H
#define TKX_MODEL_QUANTISE_H

#include <stdbool.h>
#include <stddef.h>

#include "model/dtype.h"

/* Can floats be made into that type here? */
static inline bool tkx__quantise_has(tkx__dtype dtype)
{
    return dtype == TKX__DTYPE_Q8_0 || dtype == TKX__DTYPE_Q4_0;
}

/* n floats, a multiple of 32, into n / 32 blocks. */
void tkx__quantise_row(tkx__dtype dtype, const float *in, size_t n, void *out);

#endif
