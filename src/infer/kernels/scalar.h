/* SPDX-License-Identifier: Apache-2.0 */
/*
 * infer/kernels/scalar.h - parts of the reference that other sets use for their tails.
 */
#ifndef TKX_INFER_KERNELS_SCALAR_H
#define TKX_INFER_KERNELS_SCALAR_H

#include "infer/kernels/table.h"

void tkx__scalar_quantize(tkx__act_form form, const float *x, size_t n, uint8_t *row);
float tkx__scalar_dot_q(tkx__wtype type, const uint8_t *w, const uint8_t *act, size_t n);
float tkx__scalar_dot_f(tkx__wtype type, const uint8_t *w, const float *x, size_t n);
void tkx__scalar_decode(tkx__wtype type, const void *src, size_t n, float *out);

#endif
