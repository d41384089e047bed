// SPDX-License-Identifier: Apache-2.0
/*
 * adapter_arrange.c - an adapter's matrices as the steps of the fast mode read them.
 *
 * Every token reads all of them: the copies stand in one block of large pages, in the
 * order in which a step comes to them, in half precision where that holds their values,
 * and each B in strips where the kernels multiply those (kernels/avx2_narrow.c).
 */
#include <string.h>

#include "base/error.h"
#include "base/large.h"
#include "base/mem.h"
#include "infer/adapter_in.h"

/* Values so small that half precision is coarser than usual are harmless beside larger
   ones, not alone. */
#define HALF_LARGEST 65504.0f
#define HALF_SMALLEST 0x1p-12f

#define ALIGNMENT ((size_t)64)

/* Magnitudes compare as their bits do, infinities and NaN above all numbers. */
static bool fits_half(const tkx__matrix *m)
{
    const unsigned char *data = m->data;
    uint32_t max = 0;
    float largest;

    if (m->type != TKX__W_F32)
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
typedef struct arranging {
    tkx__adapter *adapter;
    const tkx__kernels *kernels;
    unsigned char *block;
    size_t at;
    bool is_short;
} arranging;

/* Room for a copy; NULL while counting. */
static unsigned char *take(arranging *g, size_t n_rows, size_t row_size)
{
    size_t at = g->at;
    size_t bytes;

    if (!tkx__mul(n_rows, row_size, &bytes) || !tkx__add(bytes, ALIGNMENT - 1, &bytes) ||
        !tkx__add(at, bytes / ALIGNMENT * ALIGNMENT, &g->at))
        g->is_short = true;
    return g->block && !g->is_short ? g->block + at : NULL;
}

/* The file's floats may stand anywhere. */
static void to_half(const tkx__kernels *k, const unsigned char *from, size_t n,
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

static void copy(const arranging *g, const tkx__matrix *from, tkx__matrix *to,
                 unsigned char *at)
{
    if (to->type == from->type)
        memcpy(at, from->data, from->n_rows * from->row_size);
    else
        to_half(g->kernels, from->data, from->n_rows * from->n_cols, at);
    to->data = at;
}

/* Into strips where it stands, a few rows at a time. */
static void pack(const arranging *g, tkx__matrix *m, unsigned char *at)
{
    unsigned char rows[8 * 64 * sizeof(float)];
    tkx__matrix eight = *m;

    if (8 * m->row_size > sizeof rows || !tkx__matrix_can_pack(g->kernels, m))
        return;
    eight.data = rows;
    eight.n_rows = 8;
    for (size_t r = 0; r < m->n_rows; r += 8) {
        memcpy(rows, at + r * m->row_size, 8 * m->row_size);
        tkx__matrix_pack(g->kernels, &eight, 0, 8, at + r * m->row_size);
    }
    m->is_packed = true;
}

static void arrange(arranging *g, tkx__matrix *m, bool is_b)
{
    tkx__matrix made = *m;
    unsigned char *at;

    if (!m->data)
        return;
    if (fits_half(m)) {
        made.type = TKX__W_F16;
        made.row_size = m->n_cols * sizeof(uint16_t);
    }
    at = take(g, made.n_rows, made.row_size);
    if (!at)
        return;
    copy(g, m, &made, at);
    if (is_b)
        pack(g, &made, at);
    tkx__mapped_forget(&g->adapter->files.mapped, m->data, m->n_rows * m->row_size);
    *m = made;
}

/* A of the matrices that share an input, then their B. */
static void arrange_layer(arranging *g, layer_loras *layer)
{
    static const int first[] = {TKX__MAT_Q, TKX__MAT_O, TKX__MAT_GATE, TKX__MAT_DOWN,
                                TKX__MAT_ROUTER};

    for (int group = 0; group < 4; group++) {
        for (int m = first[group]; m < first[group + 1]; m++)
            arrange(g, &layer->dense[m].a, false);
        for (int m = first[group]; m < first[group + 1]; m++)
            arrange(g, &layer->dense[m].b, true);
    }
}

static void arrange_all(arranging *g)
{
    tkx__adapter *a = g->adapter;

    for (size_t i = 0; i < a->n_layers; i++)
        arrange_layer(g, &a->layers[i]);
    arrange(g, &a->head.a, false);
    arrange(g, &a->head.b, true);
}

tkx_status tkx__adapter_arrange(tkx__adapter *a, const tkx__kernels *kernels,
                                tkx_error **err)
{
    arranging g = {.adapter = a, .kernels = kernels};

    if (a->arranged)
        return TKX_OK;
    arrange_all(&g);
    if (g.is_short)
        return tkx__fail_memory(err);
    if (g.at == 0)
        return TKX_OK;
    g.block = tkx__large_alloc(g.at, false, &a->arranged);
    if (!g.block)
        return tkx__fail_memory(err);
    g.at = 0;
    arrange_all(&g);
    return TKX_OK;
}
