/* SPDX-License-Identifier: Apache-2.0 */
/* weights.c - opening a model's files; where a matrix is, and a row of it. */
#include "model/weights.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/large.h"
#include "base/mem.h"
#include "model/blocks.h"
#include "model/hf_dir.h"
#include "model/mapped.h"
#include "model/weights_in.h"

struct tkx__weights_own {
    tkx__hf_dir *hf;
    tkx__gguf *gguf;
    tkx__arena arena;  /* vectors, layers, the path */
    tkx__mapped block; /* of tkx__weights_own_block() */
};

static tkx_status open_dir(tkx__weights *w, tkx_error **err)
{
    tkx_status st = tkx__config_from_dir(w->path, &w->config, err);

    if (st == TKX_OK)
        st = tkx__hf_dir_open(w->path, &w->own->hf, err);
    if (st != TKX_OK)
        return st;
    w->size_bytes = tkx__hf_dir_size_bytes(w->own->hf);
    return tkx__weights_load(w, tkx__hf_dir_tensors(w->own->hf), &w->own->arena, err);
}

static tkx_status open_gguf(tkx__weights *w, tkx_error **err)
{
    tkx_status st = tkx__gguf_open(w->path, &w->own->gguf, err);

    if (st != TKX_OK)
        return st;
    w->is_gguf = true;
    w->gguf = w->own->gguf;
    w->size_bytes = tkx__gguf_size_bytes(w->gguf);
    st = tkx__config_from_gguf(w->gguf, w->path, &w->config, err);
    if (st != TKX_OK)
        return st;
    w->is_qk_interleaved = w->config.arch == TKX__ARCH_LLAMA;
    return tkx__weights_load(w, tkx__gguf_tensors(w->gguf), &w->own->arena, err);
}

tkx_status tkx__weights_open(const char *path, tkx__weights **out, tkx_error **err)
{
    tkx__weights *w;
    struct stat sb;
    tkx_status st;

    if (stat(path, &sb) != 0)
        return tkx__fail_errno(err, errno, "open the model %s", path);
    w = tkx__calloc(1, sizeof *w);
    if (!w)
        return tkx__fail_memory(err);
    w->own = tkx__calloc(1, sizeof *w->own);
    if (w->own)
        tkx__arena_init(&w->own->arena, 1 << 14, SIZE_MAX);
    w->path = w->own ? tkx__arena_strndup(&w->own->arena, path, strlen(path)) : NULL;
    if (!w->path)
        st = tkx__fail_memory(err);
    else
        st = S_ISDIR(sb.st_mode) ? open_dir(w, err) : open_gguf(w, err);
    if (st == TKX_OK) {
        *out = w;
        return TKX_OK;
    }
    tkx__weights_free(w);
    return st;
}

void tkx__weights_free(tkx__weights *weights)
{
    if (!weights)
        return;
    if (weights->own) {
        tkx__hf_dir_free(weights->own->hf);
        tkx__gguf_free(weights->own->gguf);
        tkx__arena_clear(&weights->own->arena);
        tkx__mapped_close(&weights->own->block);
        tkx__free(weights->own);
    }
    tkx__free(weights);
}

void *tkx__weights_own_block(tkx__weights *weights, size_t size_bytes)
{
    tkx__mapped_close(&weights->own->block);
    if (tkx__mapped_anonymous(&weights->own->block, size_bytes, NULL) == TKX_OK)
        tkx__large_advise((void *)(uintptr_t)weights->own->block.data, size_bytes);
    return (void *)(uintptr_t)weights->own->block.data;
}

bool tkx__weights_holds(const tkx__weights *weights, const void *byte)
{
    const struct tkx__weights_own *own = weights->own;

    return (own->gguf && tkx__gguf_holds(own->gguf, byte)) ||
           (own->hf && tkx__hf_dir_holds(own->hf, byte));
}

void tkx__weights_forget(const tkx__weights *weights, const void *bytes, size_t size)
{
    const struct tkx__weights_own *own = weights->own;

    if (own->gguf)
        tkx__gguf_forget(own->gguf, bytes, size);
    if (own->hf)
        tkx__hf_dir_forget(own->hf, bytes, size);
}

const tkx__stored *tkx__weights_matrix(const tkx__weights *weights, size_t layer,
                                       tkx__layer_matrix matrix, size_t expert)
{
    const tkx__layer_weights *l = &weights->layers[layer];

    if (l->experts && matrix >= TKX__MAT_GATE && matrix <= TKX__MAT_DOWN)
        return &l->experts[(size_t)(matrix - TKX__MAT_GATE) * weights->config.n_experts +
                           expert];
    return &l->matrices[matrix];
}

size_t tkx__weights_stored_row(const tkx__weights *weights, tkx__layer_matrix matrix,
                               size_t row)
{
    size_t half = weights->config.head_dim / 2;
    size_t head = row / (2 * half);
    size_t i = row % (2 * half);

    if (!weights->is_qk_interleaved || (matrix != TKX__MAT_Q && matrix != TKX__MAT_K))
        return row;
    return head * 2 * half + (i < half ? 2 * i : 2 * (i - half) + 1);
}

void tkx__stored_row(const tkx__stored *stored, size_t row, float *out)
{
    tkx__blocks_decode(stored->dtype,
                       (const unsigned char *)stored->data + row * stored->row_bytes,
                       stored->n_cols, out);
}
