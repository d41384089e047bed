/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nn/ops.h - row-wise operations and their derivatives; m rows, row-major.
 */
#ifndef MOCK_NN_OPS_H
#define MOCK_NN_OPS_H

#include "mock_server/nn/base.h"

/* y[m, n] = x * rstd * weight, rstd[m] = 1 / sqrt(mean(x^2) + eps); row strides ldx,
   ldy. */
void nn_rms_norm(size_t m, size_t n, const float *x, size_t ldx, const float *weight,
                 double eps, float *y, size_t ldy, float *rstd);
/* dx = (or, with add, +=) the derivative through the norm; dx may be dy when add is
 * false. */
void nn_rms_norm_back(size_t m, size_t n, const float *x, size_t ldx, const float *weight,
                      const float *rstd, const float *dy, size_t lddy, float *dx,
                      size_t lddx, bool add);

/* Rotate n_heads heads of one row to position p (half-split pairs); back undoes it. */
void nn_rotate(const nn_base *base, size_t p, size_t n_heads, float *row);
void nn_rotate_back(const nn_base *base, size_t p, size_t n_heads, float *row);

/* act[m, f] = silu(gate) * up, of gate_up[m, 2f] with gate first. */
void nn_swiglu(size_t m, size_t f, const float *gate_up, float *act);
/* gate_up becomes its own derivative, given that of act. */
void nn_swiglu_back(size_t m, size_t f, const float *dact, float *gate_up);

/* z[n] becomes exp(z - max); returns the sum of these, *max gets the maximum. */
double nn_exp_row(float *z, size_t n, float *max);
void nn_scale_row(float *row, size_t n, float by);
void nn_add_row(float *to, const float *row, size_t n);
/* Rows i and j meet: a float dot product in fixed lanes. */
float nn_dot_row(const float *a, const float *b, size_t n);
void nn_axpy_row(float c, const float *x, float *y, size_t n);

#endif
