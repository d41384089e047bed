/* SPDX-License-Identifier: Apache-2.0 */
/*
 * adapter_half.c - an adapter's float32 matrices in half precision.
 *
 * Every token reads all of them: the copies stand in one block of large pages, in the
 * order in which a step comes to them.
 */
#include <string.h>

#include <sys/mman.h>

#include "base/error.h"
#include "base/mem.h"
#include "infer/adapter_in.h"

/* Values so small that half precision is coarser than usual are harmless beside larger
   ones, not alone. */
#define HALF_LARGEST 65504.0f
#define HALF_SMALLEST 0x1p-12f

#define ALIGNMENT ((size_t)64)
#define LARGE_PAGE ((size_t)2 << 20)

/* Magnitudes compare as their bits do, infinities and NaN above all numbers. */
static bool fits_half(const tkx__matrix *m)
{
    const unsigned char *data = m->data;
    uint32_t max = 0;
    float largest;

    if (!data || m->type != TKX__W_F32)
        return false;
    for (size_t i = 0; i < m->n_rows * m->n_cols; i++) {
        uint32_t bits;

        memcpy(&bits, data + i * sizeof bits, sizeof bits);
        bits &= 0x7fffffff;
        max = bits > max ? bits : max;
    }
    memcpy(&largest, &max, sizeof largest);
    return largest == 0 || (largest >= HALF_SMALLEST && largest <= HALF_LARGEST);
}

/* Where the next copy goes; NULL block: only count. */
typedef struct halving {
    tkx__adapter *adapter;
    const tkx__kernels *kernels;
    unsigned char *block;
    size_t at;
    bool is_short;
} halving;

/* The file's floats may stand anywhere. */
static void pack(const tkx__kernels *k, const unsigned char *from, size_t n,
                 unsigned char *to)
{
    float some[1024];
    uint16_t halves[1024];

    for (size_t i = 0; i < n;) {
        size_t m = n - i < 1024 ? n - i : 1024;

        memcpy(some, from + i * sizeof *some, m * sizeof *some);
        tkx__to_half(k, some, m, halves);
        memcpy(to + i * sizeof *halves, halves, m * sizeof *halves);
        i += m;
    }
}

static void halve(halving *h, tkx__matrix *m)
{
    size_t n = m->n_rows * m->n_cols;
    const unsigned char *data = m->data;
    size_t at = h->at;
    size_t bytes;

    if (!fits_half(m))
        return;
    if (!tkx__mul(n, sizeof(uint16_t), &bytes) ||
        !tkx__add(bytes, ALIGNMENT - 1, &bytes) ||
        !tkx__add(at, bytes / ALIGNMENT * ALIGNMENT, &h->at)) {
        h->is_short = true;
        return;
    }
    if (!h->block)
        return;
    pack(h->kernels, data, n, h->block + at);
    tkx__mapped_forget(&h->adapter->files.mapped, data, m->n_rows * m->row_size);
    m->data = h->block + at;
    m->type = TKX__W_F16;
    m->row_size = m->n_cols * sizeof(uint16_t);
}

/* A of the matrices that share an input, then their B. */
static void halve_layer(halving *h, layer_loras *layer)
{
    static const int first[] = {TKX__MAT_Q, TKX__MAT_O, TKX__MAT_GATE, TKX__MAT_DOWN,
                                TKX__MAT_ROUTER};

    for (int group = 0; group < 4; group++) {
        for (int m = first[group]; m < first[group + 1]; m++)
            halve(h, &layer->dense[m].a);
        for (int m = first[group]; m < first[group + 1]; m++)
            halve(h, &layer->dense[m].b);
    }
}

static void halve_all(halving *h)
{
    tkx__adapter *a = h->adapter;

    for (size_t i = 0; i < a->n_layers; i++)
        halve_layer(h, &a->layers[i]);
    halve(h, &a->head.a);
    halve(h, &a->head.b);
}

tkx_status tkx__adapter_halve(tkx__adapter *a, tkx_error **err)
{
    halving h = {.adapter = a};
    size_t size;
    size_t skip;

    if (a->halves.data)
        return TKX_OK;
    if (tkx__kernels_select(NULL, &h.kernels, err) != TKX_OK)
        return TKX_ERR_UNSUPPORTED;
    halve_all(&h);
    if (h.is_short || !tkx__add(h.at, LARGE_PAGE, &size))
        return tkx__fail_memory(err);
    if (h.at == 0)
        return TKX_OK;
    if (tkx__mapped_anonymous(&a->halves, size, err) != TKX_OK)
        return TKX_ERR_NO_MEMORY;
    skip = (LARGE_PAGE - (uintptr_t)a->halves.data % LARGE_PAGE) % LARGE_PAGE;
    h.block = (unsigned char *)(uintptr_t)a->halves.data + skip;
    h.at = 0;
    /* advice: no harm when it is not taken */
    (void)madvise(h.block, size - LARGE_PAGE, MADV_HUGEPAGE);
    halve_all(&h);
    return TKX_OK;
}
