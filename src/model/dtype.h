/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model/dtype.h - how the elements of a tensor are stored, in safetensors and in GGUF.
 *
 * A type stores block_elements elements in block_bytes bytes; plain types have blocks of
 * one element.  A row of a quantised matrix is a whole number of blocks.
 */
#ifndef TKX_MODEL_DTYPE_H
#define TKX_MODEL_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum tkx__dtype {
    TKX__DTYPE_F32 = 0,
    TKX__DTYPE_F16,
    TKX__DTYPE_BF16,
    TKX__DTYPE_Q8_0,
    TKX__DTYPE_Q4_0,
    TKX__DTYPE_Q4_1,
    TKX__DTYPE_Q5_0,
    TKX__DTYPE_Q5_1,
    TKX__DTYPE_Q2_K,
    TKX__DTYPE_Q3_K,
    TKX__DTYPE_Q4_K,
    TKX__DTYPE_Q5_K,
    TKX__DTYPE_Q6_K,
    TKX__N_WEIGHT_DTYPES, /* those above can be weights of a model */

    TKX__DTYPE_F64 = TKX__N_WEIGHT_DTYPES,
    TKX__DTYPE_I8,
    TKX__DTYPE_I16,
    TKX__DTYPE_I32,
    TKX__DTYPE_I64,
    TKX__DTYPE_U8,
    TKX__DTYPE_U16,
    TKX__DTYPE_U32,
    TKX__DTYPE_U64,
    TKX__DTYPE_BOOL,
    TKX__DTYPE_F8_E4M3,
    TKX__DTYPE_F8_E5M2,
    TKX__DTYPE_IQ4_NL, /* recognised, so that a file is described; not decoded */
    TKX__DTYPE_IQ4_XS,
    TKX__DTYPE_MXFP4,
    TKX__N_DTYPES
} tkx__dtype;

typedef struct tkx__dtype_info {
    const char *name; /* as GGUF and safetensors spell it */
    int gguf_id;      /* -1: not a GGUF type */
    bool in_safetensors;
    uint16_t block_elements;
    uint16_t block_bytes;
    uint16_t alignment; /* of a block, for typed access */
} tkx__dtype_info;

/* Never NULL; dtype is a valid enumerator. */
const tkx__dtype_info *tkx__dtype_get(tkx__dtype dtype);
const char *tkx__dtype_name(tkx__dtype dtype);

/* false: no such type known. */
bool tkx__dtype_from_gguf(uint32_t id, tkx__dtype *out);
bool tkx__dtype_from_safetensors(const char *name, size_t n, tkx__dtype *out);

static inline bool tkx__dtype_is_weight(tkx__dtype dtype)
{
    return dtype < TKX__N_WEIGHT_DTYPES;
}

/* Bytes of n elements in one row; false when n is no whole number of blocks or on
   overflow. */
bool tkx__dtype_row_bytes(tkx__dtype dtype, size_t n, size_t *bytes);

#endif
