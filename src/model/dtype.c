/* SPDX-License-Identifier: Apache-2.0 */
/* dtype.c - the table of element types. */
#include "model/dtype.h"

#include <string.h>

#include "base/mem.h"

static const tkx__dtype_info table[TKX__N_DTYPES] = {
    /* name, GGUF id, in safetensors, elements and bytes of a block, alignment */
    [TKX__DTYPE_F32] = {"F32", 0, true, 1, 4, 4},
    [TKX__DTYPE_F16] = {"F16", 1, true, 1, 2, 2},
    [TKX__DTYPE_BF16] = {"BF16", 30, true, 1, 2, 2},
    [TKX__DTYPE_Q8_0] = {"Q8_0", 8, false, 32, 34, 2},
    [TKX__DTYPE_Q4_0] = {"Q4_0", 2, false, 32, 18, 2},
    [TKX__DTYPE_Q4_1] = {"Q4_1", 3, false, 32, 20, 2},
    [TKX__DTYPE_Q5_0] = {"Q5_0", 6, false, 32, 22, 2},
    [TKX__DTYPE_Q5_1] = {"Q5_1", 7, false, 32, 24, 2},
    [TKX__DTYPE_Q2_K] = {"Q2_K", 10, false, 256, 84, 2},
    [TKX__DTYPE_Q3_K] = {"Q3_K", 11, false, 256, 110, 2},
    [TKX__DTYPE_Q4_K] = {"Q4_K", 12, false, 256, 144, 2},
    [TKX__DTYPE_Q5_K] = {"Q5_K", 13, false, 256, 176, 2},
    [TKX__DTYPE_Q6_K] = {"Q6_K", 14, false, 256, 210, 2},
    [TKX__DTYPE_F64] = {"F64", 28, true, 1, 8, 8},
    [TKX__DTYPE_I8] = {"I8", 24, true, 1, 1, 1},
    [TKX__DTYPE_I16] = {"I16", 25, true, 1, 2, 2},
    [TKX__DTYPE_I32] = {"I32", 26, true, 1, 4, 4},
    [TKX__DTYPE_I64] = {"I64", 27, true, 1, 8, 8},
    [TKX__DTYPE_U8] = {"U8", -1, true, 1, 1, 1},
    [TKX__DTYPE_U16] = {"U16", -1, true, 1, 2, 2},
    [TKX__DTYPE_U32] = {"U32", -1, true, 1, 4, 4},
    [TKX__DTYPE_U64] = {"U64", -1, true, 1, 8, 8},
    [TKX__DTYPE_BOOL] = {"BOOL", -1, true, 1, 1, 1},
    [TKX__DTYPE_F8_E4M3] = {"F8_E4M3", -1, true, 1, 1, 1},
    [TKX__DTYPE_F8_E5M2] = {"F8_E5M2", -1, true, 1, 1, 1},
    [TKX__DTYPE_IQ4_NL] = {"IQ4_NL", 20, false, 32, 18, 2},
    [TKX__DTYPE_IQ4_XS] = {"IQ4_XS", 23, false, 256, 136, 2},
    [TKX__DTYPE_MXFP4] = {"MXFP4", 39, false, 32, 17, 1},
};

const tkx__dtype_info *tkx__dtype_get(tkx__dtype dtype)
{
    return &table[dtype];
}

const char *tkx__dtype_name(tkx__dtype dtype)
{
    return table[dtype].name;
}

bool tkx__dtype_from_gguf(uint32_t id, tkx__dtype *out)
{
    for (int i = 0; i < TKX__N_DTYPES; i++) {
        if (table[i].gguf_id >= 0 && (uint32_t)table[i].gguf_id == id) {
            *out = (tkx__dtype)i;
            return true;
        }
    }
    return false;
}

bool tkx__dtype_from_safetensors(const char *name, size_t n, tkx__dtype *out)
{
    for (int i = 0; i < TKX__N_DTYPES; i++) {
        if (table[i].in_safetensors && strlen(table[i].name) == n &&
            memcmp(table[i].name, name, n) == 0) {
            *out = (tkx__dtype)i;
            return true;
        }
    }
    return false;
}

bool tkx__dtype_row_bytes(tkx__dtype dtype, size_t n, size_t *bytes)
{
    const tkx__dtype_info *info = &table[dtype];

    if (n % info->block_elements != 0)
        return false;
    return tkx__mul(n / info->block_elements, info->block_bytes, bytes);
}
