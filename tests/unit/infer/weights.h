/* SPDX-License-Identifier: Apache-2.0 */
/* weights.h - chance weights and activations for the kernel tests. */
#ifndef TESTS_UNIT_INFER_WEIGHTS_H
#define TESTS_UNIT_INFER_WEIGHTS_H

#include "infer/kernels/kernels.h"

extern const tkx__wtype all_wtypes[];
extern const size_t n_wtypes;

/* The sets that this CPU can run, scalar first; returns how many (at most 8). */
size_t usable_kernels(const tkx__kernels *out[8]);

uint32_t chance(uint32_t *state);
float chance_float(uint32_t *state); /* about -1 .. 1 */
float *chance_floats(uint32_t *state, size_t n);

/* A matrix of chance bits with finite scales; data is the caller's, free(). */
tkx__matrix chance_matrix(uint32_t *state, tkx__wtype type, size_t n_rows, size_t n_cols);

#endif
