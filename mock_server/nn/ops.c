/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ops.c - norms, rotation, SwiGLU, exponentials.
 *
 * Sums that norms and softmax divide by are taken in double.
 */
#include "mock_server/nn/ops.h"

#include <math.h>

#include "mock_server/nn/vec.h"

/* Sum of a[i] * b[i] in double, eight lanes. */
static inline double dot_double(const float *a, const float *b, size_t n)
{
    double lanes[8] = {0}, sum;
    size_t i = 0;

    for (; i + 8 <= n; i += 8)
        for (size_t j = 0; j < 8; j++)
            lanes[j] += (double)a[i + j] * (double)b[i + j];
    sum = ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) +
          ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7]));
    for (; i < n; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

NN_FAST
void nn_rms_norm(size_t m, size_t n, const float *x, size_t ldx, const float *weight,
                 double eps, float *y, size_t ldy, float *rstd)
{
    for (size_t r = 0; r < m; r++) {
        const float *from = x + r * ldx;
        float *to = y + r * ldy;
        float s = (float)(1 / sqrt(dot_double(from, from, n) / (double)n + eps));

        rstd[r] = s;
        for (size_t i = 0; i < n; i++)
            to[i] = from[i] * s * weight[i];
    }
}

/* With g = dy * weight: dx = rstd * (g - x * rstd^2 * mean(g * x)). */
NN_FAST
void nn_rms_norm_back(size_t m, size_t n, const float *x, size_t ldx, const float *weight,
                      const float *rstd, const float *dy, size_t lddy, float *dx,
                      size_t lddx, bool add)
{
    for (size_t r = 0; r < m; r++) {
        const float *xr = x + r * ldx, *dyr = dy + r * lddy;
        float *to = dx + r * lddx;
        float s = rstd[r], c;
        double lanes[8] = {0}, sum = 0;
        size_t i = 0;

        for (; i + 8 <= n; i += 8)
            for (size_t j = 0; j < 8; j++)
                lanes[j] += (double)(dyr[i + j] * weight[i + j]) * (double)xr[i + j];
        for (size_t j = 0; j < 8; j++)
            sum += lanes[j];
        for (; i < n; i++)
            sum += (double)(dyr[i] * weight[i]) * (double)xr[i];
        c = (float)(sum * (double)s * (double)s / (double)n);
        if (add)
            for (i = 0; i < n; i++)
                to[i] += s * (dyr[i] * weight[i] - xr[i] * c);
        else
            for (i = 0; i < n; i++)
                to[i] = s * (dyr[i] * weight[i] - xr[i] * c);
    }
}

NN_FAST
static void rotate(size_t half, size_t n_heads, const float *restrict cosine,
                   const float *restrict sine, float sign, float *restrict row)
{
    for (size_t h = 0; h < n_heads; h++) {
        float *restrict a = row + h * 2 * half, *restrict b = a + half;

        for (size_t i = 0; i < half; i++) {
            float x = a[i], y = b[i], s = sign * sine[i];

            a[i] = x * cosine[i] - y * s;
            b[i] = y * cosine[i] + x * s;
        }
    }
}

void nn_rotate(const nn_base *base, size_t p, size_t n_heads, float *row)
{
    size_t half = base->config.head_dim / 2;

    rotate(half, n_heads, base->rope_cos + p * half, base->rope_sin + p * half, 1, row);
}

void nn_rotate_back(const nn_base *base, size_t p, size_t n_heads, float *row)
{
    size_t half = base->config.head_dim / 2;

    rotate(half, n_heads, base->rope_cos + p * half, base->rope_sin + p * half, -1, row);
}

NN_FAST
void nn_swiglu(size_t m, size_t f, const float *gate_up, float *act)
{
    for (size_t r = 0; r < m; r++) {
        const float *gate = gate_up + r * 2 * f, *up = gate + f;
        float *restrict to = act + r * f;

        for (size_t i = 0; i < f; i++)
            to[i] = gate[i] / (1.0f + nn_expf(-gate[i])) * up[i];
    }
}

NN_FAST
void nn_swiglu_back(size_t m, size_t f, const float *dact, float *gate_up)
{
    for (size_t r = 0; r < m; r++) {
        float *restrict gate = gate_up + r * 2 * f, *restrict up = gate + f;
        const float *restrict d = dact + r * f;

        for (size_t i = 0; i < f; i++) {
            float sigmoid = 1.0f / (1.0f + nn_expf(-gate[i]));
            float silu = gate[i] * sigmoid;
            float dsilu = sigmoid * (1.0f + gate[i] * (1.0f - sigmoid));

            gate[i] = d[i] * up[i] * dsilu;
            up[i] = d[i] * silu;
        }
    }
}

NN_FAST
double nn_exp_row(float *z, size_t n, float *max)
{
    float top[NN_LANES], m = z[0];
    double lanes[8] = {0}, sum = 0;
    size_t i = 0;

    for (size_t j = 0; j < NN_LANES; j++)
        top[j] = m;
    for (; i + NN_LANES <= n; i += NN_LANES)
        for (size_t j = 0; j < NN_LANES; j++)
            top[j] = z[i + j] > top[j] ? z[i + j] : top[j];
    for (; i < n; i++)
        m = z[i] > m ? z[i] : m;
    for (size_t j = 0; j < NN_LANES; j++)
        m = top[j] > m ? top[j] : m;
    for (i = 0; i < n; i++)
        z[i] = nn_expf(z[i] - m);
    for (i = 0; i + 8 <= n; i += 8)
        for (size_t j = 0; j < 8; j++)
            lanes[j] += (double)z[i + j];
    for (size_t j = 0; j < 8; j++)
        sum += lanes[j];
    for (; i < n; i++)
        sum += (double)z[i];
    *max = m;
    return sum;
}

NN_FAST
void nn_scale_row(float *row, size_t n, float by)
{
    for (size_t i = 0; i < n; i++)
        row[i] *= by;
}

NN_FAST
void nn_add_row(float *restrict to, const float *restrict row, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] += row[i];
}

NN_FAST
float nn_dot_row(const float *a, const float *b, size_t n)
{
    return nn_dot(a, b, n);
}

NN_FAST
void nn_axpy_row(float c, const float *restrict x, float *restrict y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] += c * x[i];
}
