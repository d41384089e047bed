/* SPDX-License-Identifier: Apache-2.0 */
/*
 * infer/kv.h - the KV cache: a pool of counted blocks of TKX__KV_BLOCK positions.
 *
 * A block id stands for those positions in every layer.  Sequences hold arrays of ids, so
 * a shared prefix is shared ids; a block that several sequences hold is never written.
 * Thread: one at a time (the compute thread).
 */
#ifndef TKX_INFER_KV_H
#define TKX_INFER_KV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tkx/error.h>

#include "infer/kernels/kernels.h"
#include "model/config.h"

#define TKX__KV_NONE UINT32_MAX

typedef struct tkx__kv tkx__kv;

/* Bytes of one block over all layers; 0 when that overflows. */
size_t tkx__kv_bytes_per_block(const tkx__model_config *config, bool is_f16);
/* Blocks that hold n_tok positions. */
static inline size_t tkx__kv_blocks_for(size_t n_tok)
{
    return n_tok / TKX__KV_BLOCK + (n_tok % TKX__KV_BLOCK != 0);
}

/* A pool of n_blocks; memory is touched when blocks are first used. */
tkx_status tkx__kv_new(const tkx__model_config *config, bool is_f16, size_t n_blocks,
                       tkx__kv **out, tkx_error **err);
void tkx__kv_free(tkx__kv *kv);

/*
 * Blocks whose memory lies elsewhere, as on a device; numbers and counts stay here.
 * Thread: the compute thread.
 */
typedef struct tkx__kv_memory {
    void (*clear)(void *ctx, uint32_t id);
    void (*copy)(void *ctx, uint32_t to, uint32_t from);
    void *ctx; /* its owner frees it after the pool */
} tkx__kv_memory;

/* A pool over such memory; it has no tkx__kv_layer(). */
tkx_status tkx__kv_new_on(const tkx__kv_memory *memory, size_t n_blocks, tkx__kv **out,
                          tkx_error **err);

/* A zeroed block with one reference; TKX__KV_NONE when all are taken.  Never allocates.
 */
uint32_t tkx__kv_alloc(tkx__kv *kv);
void tkx__kv_ref(tkx__kv *kv, uint32_t id);
void tkx__kv_unref(tkx__kv *kv, uint32_t id); /* the last one gives it back */
size_t tkx__kv_n_refs(const tkx__kv *kv, uint32_t id);
/* A block of its own with the same content (one reference); the source is untouched. */
uint32_t tkx__kv_copy(tkx__kv *kv, uint32_t id);

size_t tkx__kv_n_blocks(const tkx__kv *kv);
size_t tkx__kv_n_available(const tkx__kv *kv);

/* For the graph: shape, and where layer i of block 0 lies; blocks are stride bytes apart.
 */
tkx__kv_shape tkx__kv_get_shape(const tkx__kv *kv);
void *tkx__kv_layer(const tkx__kv *kv, size_t layer);
size_t tkx__kv_stride(const tkx__kv *kv);

#endif
