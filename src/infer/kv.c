/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kv.c - a pool of counted KV blocks.
 *
 * One allocation holds all blocks, each with its layers side by side.  Free blocks stand
 * on a stack; a block is zeroed when it is taken, so that nothing of an earlier sequence
 * can reach a sum, not even multiplied by zero.
 */
#include "infer/kv.h"

#include <string.h>

#include "base/error.h"
#include "base/mem.h"

#define ALIGNMENT ((size_t)64)

struct tkx__kv {
    tkx__kv_memory elsewhere; /* functions NULL: in memory, below */
    tkx__kv_shape shape;
    size_t n_layers;
    size_t layer_bytes;
    size_t block_bytes;
    size_t n_blocks;
    unsigned char *memory; /* as allocated */
    unsigned char *blocks; /* aligned */
    uint32_t *n_refs;      /* [n_blocks] */
    uint32_t *available;   /* stack of free ids, [n_available] */
    size_t n_available;
};

static tkx__kv_shape shape_of(const tkx__model_config *config, bool is_f16)
{
    return (tkx__kv_shape){
        .is_f16 = is_f16, .n_kv_heads = config->n_kv_heads, .head_dim = config->head_dim};
}

size_t tkx__kv_bytes_per_block(const tkx__model_config *config, bool is_f16)
{
    tkx__kv_shape shape = shape_of(config, is_f16);
    size_t bytes;

    return tkx__mul(tkx__kv_block_size(&shape), config->n_layers, &bytes) ? bytes : 0;
}

static bool allocate_blocks(tkx__kv *kv)
{
    size_t bytes;

    if (!tkx__mul(kv->block_bytes, kv->n_blocks, &bytes) ||
        !tkx__add(bytes, ALIGNMENT, &bytes))
        return false;
    kv->memory = tkx__malloc(bytes);
    if (!kv->memory)
        return false;
    kv->blocks = kv->memory + (ALIGNMENT - (uintptr_t)kv->memory % ALIGNMENT) % ALIGNMENT;
    return true;
}

static bool allocate_counts(tkx__kv *kv)
{
    kv->n_refs = tkx__calloc(kv->n_blocks, sizeof *kv->n_refs);
    kv->available = tkx__calloc(kv->n_blocks, sizeof *kv->available);
    if (!kv->n_refs || !kv->available)
        return false;
    /* Low ids first: memory is touched in order. */
    for (size_t i = 0; i < kv->n_blocks; i++)
        kv->available[i] = (uint32_t)(kv->n_blocks - 1 - i);
    kv->n_available = kv->n_blocks;
    return true;
}

static tkx_status make(size_t n_blocks, tkx__kv **out, tkx_error **err)
{
    if (n_blocks == 0 || n_blocks >= TKX__KV_NONE)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT, "a KV cache of %zu blocks",
                         n_blocks);
    *out = tkx__calloc(1, sizeof **out);
    if (!*out)
        return tkx__fail_memory(err);
    (*out)->n_blocks = n_blocks;
    return TKX_OK;
}

tkx_status tkx__kv_new(const tkx__model_config *config, bool is_f16, size_t n_blocks,
                       tkx__kv **out, tkx_error **err)
{
    tkx__kv *kv = NULL;
    tkx_status st = make(n_blocks, &kv, err);

    if (st != TKX_OK)
        return st;
    kv->shape = shape_of(config, is_f16);
    kv->n_layers = config->n_layers;
    kv->layer_bytes = tkx__kv_block_size(&kv->shape);
    kv->block_bytes = tkx__kv_bytes_per_block(config, is_f16);
    if (kv->block_bytes == 0 || !allocate_blocks(kv) || !allocate_counts(kv)) {
        tkx__kv_free(kv);
        return tkx__fail(err, TKX_ERR_NO_MEMORY,
                         "no memory for a KV cache of %zu blocks of %zu bytes", n_blocks,
                         tkx__kv_bytes_per_block(config, is_f16));
    }
    *out = kv;
    return TKX_OK;
}

tkx_status tkx__kv_new_on(const tkx__kv_memory *memory, size_t n_blocks, tkx__kv **out,
                          tkx_error **err)
{
    tkx__kv *kv = NULL;
    tkx_status st = make(n_blocks, &kv, err);

    if (st != TKX_OK)
        return st;
    kv->elsewhere = *memory;
    if (!allocate_counts(kv)) {
        tkx__kv_free(kv);
        return tkx__fail_memory(err);
    }
    *out = kv;
    return TKX_OK;
}

void tkx__kv_free(tkx__kv *kv)
{
    if (!kv)
        return;
    tkx__free(kv->memory);
    tkx__free(kv->n_refs);
    tkx__free(kv->available);
    tkx__free(kv);
}

static unsigned char *block_at(const tkx__kv *kv, uint32_t id)
{
    return kv->blocks + (size_t)id * kv->block_bytes;
}

static uint32_t take(tkx__kv *kv)
{
    uint32_t id;

    if (kv->n_available == 0)
        return TKX__KV_NONE;
    id = kv->available[--kv->n_available];
    kv->n_refs[id] = 1;
    return id;
}

uint32_t tkx__kv_alloc(tkx__kv *kv)
{
    uint32_t id = take(kv);

    if (id != TKX__KV_NONE && kv->elsewhere.clear)
        kv->elsewhere.clear(kv->elsewhere.ctx, id);
    else if (id != TKX__KV_NONE)
        memset(block_at(kv, id), 0, kv->block_bytes);
    return id;
}

void tkx__kv_ref(tkx__kv *kv, uint32_t id)
{
    kv->n_refs[id]++;
}

void tkx__kv_unref(tkx__kv *kv, uint32_t id)
{
    if (--kv->n_refs[id] == 0)
        kv->available[kv->n_available++] = id;
}

size_t tkx__kv_n_refs(const tkx__kv *kv, uint32_t id)
{
    return kv->n_refs[id];
}

uint32_t tkx__kv_copy(tkx__kv *kv, uint32_t id)
{
    uint32_t copy = take(kv);

    if (copy != TKX__KV_NONE && kv->elsewhere.copy)
        kv->elsewhere.copy(kv->elsewhere.ctx, copy, id);
    else if (copy != TKX__KV_NONE)
        memcpy(block_at(kv, copy), block_at(kv, id), kv->block_bytes);
    return copy;
}

size_t tkx__kv_n_blocks(const tkx__kv *kv)
{
    return kv->n_blocks;
}

size_t tkx__kv_n_available(const tkx__kv *kv)
{
    return kv->n_available;
}

tkx__kv_shape tkx__kv_get_shape(const tkx__kv *kv)
{
    return kv->shape;
}

void *tkx__kv_layer(const tkx__kv *kv, size_t layer)
{
    return kv->blocks + layer * kv->layer_bytes;
}

size_t tkx__kv_stride(const tkx__kv *kv)
{
    return kv->block_bytes;
}
