// SPDX-License-Identifier: Apache-2.0
/*
 * rows.c - operations on one row of floats, through the chosen set.
 *
 * Rotation is written once: single multiplications and additions, which a compiler may
 * turn into vectors without changing a bit.
 */
#include <math.h>

#include "infer/kernels/exact.h"
#include "infer/kernels/strips.h"

/* Some blocks at a time, so that no row needs memory of its own. */
static void decode_packed(const tkx__kernels *k, const tkx__matrix *w, size_t row,
                          float *out)
{
    size_t block = tkx__wtype_block_cols(w->type);
    size_t size = tkx__wtype_block_size(w->type);
    size_t at_once = block == 32 ? 16 : block == 1 ? TKX__NARROW_COLS : 2;
    size_t n_blocks = w->n_cols / block;
    const uint8_t *strip =
        (const uint8_t *)w->data + row / TKX__STRIP_ROWS * TKX__STRIP_ROWS * w->row_size;
    uint8_t buf[16 * 34];

    for (size_t b = 0; b < n_blocks; b += at_once) {
        size_t n = n_blocks - b < at_once ? n_blocks - b : at_once;

        tkx__strip_row(w->type, strip + b * size * TKX__STRIP_ROWS, row % TKX__STRIP_ROWS,
                       n, buf);
        k->decode(w->type, buf, n * block, out + b * block);
    }
}

void tkx__matrix_row(const tkx__kernels *k, const tkx__matrix *w, size_t row, float *out)
{
    const uint8_t *data = w->data;

    if (w->is_packed)
        decode_packed(k, w, row, out);
    else
        k->decode(w->type, data + row * w->row_size, w->n_cols, out);
}

bool tkx__matrix_can_pack(const tkx__kernels *k, const tkx__matrix *w)
{
    bool is_plain = tkx__wtype_block_cols(w->type) == 1;
    bool is_narrow = w->n_cols <= TKX__NARROW_COLS && w->n_cols % 8 == 0;

    return k->pack && !w->is_packed && w->data && w->n_rows % TKX__STRIP_ROWS == 0 &&
           (!is_plain || is_narrow);
}

void tkx__matrix_pack(const tkx__kernels *k, const tkx__matrix *w, size_t first, size_t n,
                      void *out)
{
    size_t n_blocks = w->n_cols / tkx__wtype_block_cols(w->type);
    uint8_t *to = out;

    for (size_t r = first; r < first + n; r += TKX__STRIP_ROWS) {
        const uint8_t *rows[TKX__STRIP_ROWS];

        for (size_t i = 0; i < TKX__STRIP_ROWS; i++)
            rows[i] = (const uint8_t *)w->data + (r + i) * w->row_size;
        k->pack(w->type, rows, n_blocks, to + r * w->row_size);
    }
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

void tkx__to_half(const tkx__kernels *k, const float *x, size_t n, uint16_t *out)
{
    k->f16_pack(x, n, out);
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
