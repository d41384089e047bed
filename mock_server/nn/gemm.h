/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nn/gemm.h - matrix products, row-major, one thread each.
 *
 * OpenBLAS does them with its own threading off: a product's bits then depend on its
 * shape alone, and the caller spreads independent products over threads.
 */
#ifndef MOCK_NN_GEMM_H
#define MOCK_NN_GEMM_H

#include <stddef.h>

/* Turn off OpenBLAS's own threads, for the whole process. */
void nn_gemm_init(void);

/* c[m, n] = alpha * a[m, k] * b[n, k]^T + beta * c; ld* are row strides. */
void nn_gemm_nt(size_t m, size_t n, size_t k, float alpha, const float *a, size_t lda,
                const float *b, size_t ldb, float beta, float *c, size_t ldc);
/* c[m, n] = alpha * a[m, k] * b[k, n] + beta * c */
void nn_gemm_nn(size_t m, size_t n, size_t k, float alpha, const float *a, size_t lda,
                const float *b, size_t ldb, float beta, float *c, size_t ldc);
/* c[m, n] = alpha * a[k, m]^T * b[k, n] + beta * c */
void nn_gemm_tn(size_t m, size_t n, size_t k, float alpha, const float *a, size_t lda,
                const float *b, size_t ldb, float beta, float *c, size_t ldc);

/*
 * y[m, n] = x[m, k] * w[n, k]^T for few rows: each row's bits are the same whatever m is,
 * which keeps a sequence's tokens free of the rest of its batch.
 */
void nn_rows_nt(size_t m, size_t n, size_t k, const float *x, size_t ldx, const float *w,
                float *y, size_t ldy);

#endif
