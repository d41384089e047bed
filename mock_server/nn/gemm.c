/* SPDX-License-Identifier: Apache-2.0 */
/* gemm.c - matrix products, each on the thread that asks for it. */
#include "mock_server/nn/gemm.h"

#include <cblas.h>

#include "mock_server/nn/vec.h"

void nn_gemm_init(void)
{
    openblas_set_num_threads(1);
}

static void gemm(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, size_t m, size_t n, size_t k,
                 float alpha, const float *a, size_t lda, const float *b, size_t ldb,
                 float beta, float *c, size_t ldc)
{
    if (m == 0 || n == 0)
        return;
    cblas_sgemm(CblasRowMajor, ta, tb, (blasint)m, (blasint)n, (blasint)k, alpha, a,
                (blasint)lda, b, (blasint)ldb, beta, c, (blasint)ldc);
}

void nn_gemm_nt(size_t m, size_t n, size_t k, float alpha, const float *a, size_t lda,
                const float *b, size_t ldb, float beta, float *c, size_t ldc)
{
    gemm(CblasNoTrans, CblasTrans, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

void nn_gemm_nn(size_t m, size_t n, size_t k, float alpha, const float *a, size_t lda,
                const float *b, size_t ldb, float beta, float *c, size_t ldc)
{
    gemm(CblasNoTrans, CblasNoTrans, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

void nn_gemm_tn(size_t m, size_t n, size_t k, float alpha, const float *a, size_t lda,
                const float *b, size_t ldb, float beta, float *c, size_t ldc)
{
    gemm(CblasTrans, CblasNoTrans, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

/* Four rows of x share one pass over a row of w. */
NN_FAST
static void four_rows(size_t n, size_t k, const float *x, size_t ldx, const float *w,
                      float *y, size_t ldy)
{
    for (size_t o = 0; o < n; o++)
        for (size_t r = 0; r < 4; r++)
            y[r * ldy + o] = nn_dot(x + r * ldx, w + o * k, k);
}

NN_FAST
static void one_row(size_t n, size_t k, const float *x, const float *w, float *y)
{
    for (size_t o = 0; o < n; o++)
        y[o] = nn_dot(x, w + o * k, k);
}

void nn_rows_nt(size_t m, size_t n, size_t k, const float *x, size_t ldx, const float *w,
                float *y, size_t ldy)
{
    size_t i = 0;

    for (; i + 4 <= m; i += 4)
        four_rows(n, k, x + i * ldx, ldx, w, y + i * ldy, ldy);
    for (; i < m; i++)
        one_row(n, k, x + i * ldx, w, y + i * ldy);
}
