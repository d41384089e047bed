/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dimuon.c - momentum, made orthogonal, for each A and each B.
 *
 * The service's formula is not published.  Ours is muon's: M = beta1 M + G, then the
 * nearest matrix with equal singular values by five Newton-Schulz steps, times 0.2
 * sqrt(max(rows, columns)), which gives steps of AdamW's size.  Each expert's matrix is
 * one of its own.
 */
#include "mock_server/nn/dimuon.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "mock_server/nn/fail.h"
#include "mock_server/nn/gemm.h"

enum { N_ITERATIONS = 5 };

typedef struct scratch {
    float *x;    /* [small, large] */
    float *gram; /* [small, small] */
    float *poly; /* [small, small] */
    float *next; /* [small, large] */
} scratch;

typedef struct job {
    nn_model *model;
    double lr;
    scratch s;
    size_t largest; /* elements of x */
    size_t small;   /* rows of gram */
} job;

/* x[r, n] with r <= n: x <- a x + (b G + c G^2) x, G = x x^T, on the normalised x. */
static void orthogonalize(const scratch *s, size_t r, size_t n)
{
    const float a = 3.4445f, b = -4.7750f, c = 2.0315f;
    double sum = 0;
    float by;

    for (size_t i = 0; i < r * n; i++)
        sum += (double)s->x[i] * (double)s->x[i];
    by = (float)(1 / (sqrt(sum) + 1e-30));
    for (size_t i = 0; i < r * n; i++)
        s->x[i] *= by;
    for (int k = 0; k < N_ITERATIONS; k++) {
        nn_gemm_nt(r, r, n, 1, s->x, n, s->x, n, 0, s->gram, r);
        memcpy(s->poly, s->gram, r * r * sizeof *s->poly);
        nn_gemm_nn(r, r, r, c, s->gram, r, s->gram, r, b, s->poly, r);
        memcpy(s->next, s->x, r * n * sizeof *s->next);
        nn_gemm_nn(r, n, r, 1, s->poly, r, s->x, n, a, s->next, n);
        memcpy(s->x, s->next, r * n * sizeof *s->x);
    }
}

/* One matrix [rows, columns] at an offset: its momentum gives the step. */
static void step_matrix(job *j, size_t offset, size_t rows, size_t columns)
{
    const float *m = j->model->m + offset;
    float *theta = j->model->adapter.values + offset;
    bool is_tall = rows > columns;
    size_t r = is_tall ? columns : rows, n = is_tall ? rows : columns;
    double by = j->lr * 0.2 * sqrt((double)n);

    for (size_t i = 0; i < rows; i++)
        for (size_t k = 0; k < columns; k++)
            j->s.x[is_tall ? k * n + i : i * n + k] = m[i * columns + k];
    orthogonalize(&j->s, r, n);
    for (size_t i = 0; i < rows; i++)
        for (size_t k = 0; k < columns; k++)
            theta[i * columns + k] -=
                (float)(by * (double)j->s.x[is_tall ? k * n + i : i * n + k]);
}

static bool visit_matrices(const nn_adapter_tensor *t, void *user_data)
{
    job *j = user_data;
    size_t rows = t->shape[t->n_dims - 2], columns = t->shape[t->n_dims - 1];
    size_t n = rows * columns;

    for (size_t at = 0; at < t->n; at += n)
        step_matrix(j, t->offset + at, rows, columns);
    return true;
}

static bool visit_sizes(const nn_adapter_tensor *t, void *user_data)
{
    job *j = user_data;
    size_t rows = t->shape[t->n_dims - 2], columns = t->shape[t->n_dims - 1];
    size_t small = rows < columns ? rows : columns;

    if (rows * columns > j->largest)
        j->largest = rows * columns;
    if (small > j->small)
        j->small = small;
    return true;
}

tkx_status nn_dimuon_step(nn_model *model, double lr, double beta1, double clip,
                          tkx_error **err)
{
    job j = {.model = model, .lr = lr};
    float *block;
    size_t gram;

    nn_adapter_each(&model->adapter, visit_sizes, &j);
    gram = j.small * j.small;
    block = tkx__calloc(2 * j.largest + 2 * gram, sizeof *block);
    if (!block)
        return nn_fail_server(err, TKX_ERR_NO_MEMORY, "no memory for an optimiser step");
    j.s = (scratch){.x = block,
                    .next = block + j.largest,
                    .gram = block + 2 * j.largest,
                    .poly = block + 2 * j.largest + gram};
    for (size_t i = 0; i < model->adapter.n_values; i++)
        model->m[i] =
            (float)(beta1 * (double)model->m[i] + clip * (double)model->gradient[i]);
    nn_adapter_each(&model->adapter, visit_matrices, &j);
    tkx__free(block);
    return TKX_OK;
}
