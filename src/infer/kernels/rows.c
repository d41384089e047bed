// SPDX-License-Identifier: Apache-2.0
/*
 * rows.c - operations on one row of floats, through the chosen set.
 *
 * Rotation is written once: single multiplications and additions, which a compiler may
 * turn into vectors without changing a bit.
 */
#include <math.h>

#include "infer/kernels/exact.h"
#include "infer/kernels/table.h"

void tkx__matrix_row(const tkx__kernels *k, const tkx__matrix *w, size_t row, float *out)
{
    k->decode(w->type, (const uint8_t *)w->data + row * w->row_size, w->n_cols, out);
}

void tkx__rmsnorm(const tkx__kernels *k, float *y, const float *x, const float *w,
                  size_t n, float eps)
{
    k->rmsnorm(y, x, w, n, eps);
}

void tkx__rope_row(const float *inv_freq, size_t n_freqs, size_t pos, float *cos_out,
                   float *sin_out)
{
    for (size_t i = 0; i < n_freqs; i++) {
        double angle = (double)pos * (double)inv_freq[i];

        cos_out[i] = (float)cos(angle);
        sin_out[i] = (float)sin(angle);
    }
}

static void rotate_halves(float *x, size_t n, const float *c, const float *s)
{
    float *y = x + n;

    for (size_t i = 0; i < n; i++) {
        float a = x[i];
        float b = y[i];

        x[i] = a * c[i] - b * s[i];
        y[i] = b * c[i] + a * s[i];
    }
}

static void rotate_pairs(float *x, size_t n, const float *c, const float *s)
{
    for (size_t i = 0; i < n; i++) {
        float a = x[2 * i];
        float b = x[2 * i + 1];

        x[2 * i] = a * c[i] - b * s[i];
        x[2 * i + 1] = b * c[i] + a * s[i];
    }
}

void tkx__rope_apply(const tkx__kernels *k, float *x, size_t n_heads, size_t head_dim,
                     size_t n_freqs, const float *cos_row, const float *sin_row,
                     bool interleaved)
{
    (void)k;
    for (size_t h = 0; h < n_heads; h++) {
        if (interleaved)
            rotate_pairs(x + h * head_dim, n_freqs, cos_row, sin_row);
        else
            rotate_halves(x + h * head_dim, n_freqs, cos_row, sin_row);
    }
}

void tkx__swiglu(const tkx__kernels *k, float *out, const float *gate, const float *up,
                 size_t n)
{
    k->swiglu(out, gate, up, n);
}

void tkx__axpy(const tkx__kernels *k, float *y, float scale, const float *x, size_t n)
{
    k->axpy(y, scale, x, n);
}

void tkx__softmax(const tkx__kernels *k, float *x, size_t n)
{
    double sum = k->sum_exp(x, n, k->max(x, n), 1, x);

    for (size_t i = 0; i < n; i++)
        x[i] = (float)((double)x[i] / sum);
}

double tkx__logsumexp(const tkx__kernels *k, const float *x, size_t n)
{
    float max = k->max(x, n);

    return log(k->sum_exp(x, n, max, 1, NULL)) + (double)max;
}

size_t tkx__argmax(const tkx__kernels *k, const float *x, size_t n)
{
    float max = k->max(x, n);

    for (size_t i = 0; i < n; i++)
        if (x[i] == max)
            return i;
    return 0;
}
