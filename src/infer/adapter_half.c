/* SPDX-License-Identifier: Apache-2.0 */
/*
 * adapter_half.c - an adapter's float32 matrices in half precision.
 *
 * Every token reads all of them: the copies stand in one block of large pages, in the
 * order in which a step comes to them.
 */
#include <math.h>
#include <string.h>

#include <sys/mman.h>

#include "base/error.h"
#include "base/mem.h"
#include "infer/adapter_in.h"
#include "model/blocks.h"

/* Values so small that half precision is coarser than usual are harmless beside larger
   ones, not alone. */
#define HALF_LARGEST 65504.0f
#define HALF_SMALLEST 0x1p-12f

#define ALIGNMENT ((size_t)64)
#define LARGE_PAGE ((size_t)2 << 20)

static bool fits_half(const tkx__matrix *m)
{
    const unsigned char *data = m->data;
    float max = 0;

    if (!data || m->type != TKX__W_F32)
        return false;
    for (size_t i = 0; i < m->n_rows * m->n_cols; i++) {
        float v;

        memcpy(&v, data + i * sizeof v, sizeof v);
        if (!(fabsf(v) <= HALF_LARGEST))
            return false;
        max = fabsf(v) > max ? fabsf(v) : max;
    }
    return max == 0 || max >= HALF_SMALLEST;
}

/* Where the next copy goes; NULL block: only count. */
typedef struct halving {
    tkx__adapter *adapter;
    unsigned char *block;
    size_t at;
    bool is_short;
} halving;

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
    for (size_t i = 0; i < n; i++) {
        uint16_t half;
        float v;

        memcpy(&v, data + i * sizeof v, sizeof v);
        half = tkx__f32_to_f16(v);
        memcpy(h->block + at + i * sizeof half, &half, sizeof half);
    }
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
