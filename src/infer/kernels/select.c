// SPDX-License-Identifier: Apache-2.0
/*
 * select.c - which weight types there are, and which instruction set computes.
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "infer/kernels/table.h"
#include "model/dtype.h"

/* The sets of this build, best first. */
static const tkx__kernels *const sets[] = {
#if defined(__x86_64__)
    &tkx__kernels_avx512vnni,
    &tkx__kernels_avx512,
    &tkx__kernels_avx2,
#elif defined(__aarch64__)
    &tkx__kernels_neon,
#endif
    &tkx__kernels_scalar,
};
#define N_SETS (sizeof sets / sizeof sets[0])

static tkx_status select_named(const char *name, const tkx__kernels **out,
                               tkx_error **err)
{
    for (size_t i = 0; i < N_SETS; i++) {
        if (strcmp(sets[i]->name, name) != 0)
            continue;
        if (!sets[i]->is_supported())
            return tkx__fail(err, TKX_ERR_UNSUPPORTED,
                             "kernels \"%s\": this CPU does not have those instructions",
                             name);
        *out = sets[i];
        return TKX_OK;
    }
    return tkx__fail(err, TKX_ERR_UNSUPPORTED,
                     "kernels \"%s\": not in this build; \"scalar\" always is", name);
}

tkx_status tkx__kernels_select(const char *name, const tkx__kernels **out,
                               tkx_error **err)
{
    if (!name)
        name = getenv("TKX_KERNELS");
    if (name && *name)
        return select_named(name, out, err);
    for (size_t i = 0; i < N_SETS; i++) {
        if (!sets[i]->is_verified || !sets[i]->is_supported())
            continue;
        *out = sets[i];
        return TKX_OK;
    }
    return tkx__fail(err, TKX_ERR_UNSUPPORTED, "kernels: none in this build");
}

const char *tkx__kernels_name(const tkx__kernels *kernels)
{
    return kernels->name;
}

bool tkx__wtype_is_known(unsigned type)
{
    tkx__dtype dtype;

    return tkx__dtype_from_gguf(type, &dtype) && tkx__dtype_is_weight(dtype);
}

static const tkx__dtype_info *info(tkx__wtype type)
{
    tkx__dtype dtype = TKX__DTYPE_F32;

    (void)tkx__dtype_from_gguf((uint32_t)type, &dtype);
    return tkx__dtype_get(dtype);
}

const char *tkx__wtype_name(tkx__wtype type)
{
    return info(type)->name;
}

/* Asked for every piece of work: not by a search through the formats' table. */
static const struct {
    uint16_t cols;
    uint16_t size;
} blocks[TKX__W_END] = {
    [TKX__W_F32] = {1, 4},      [TKX__W_F16] = {1, 2},      [TKX__W_BF16] = {1, 2},
    [TKX__W_Q4_0] = {32, 18},   [TKX__W_Q4_1] = {32, 20},   [TKX__W_Q5_0] = {32, 22},
    [TKX__W_Q5_1] = {32, 24},   [TKX__W_Q8_0] = {32, 34},   [TKX__W_Q2_K] = {256, 84},
    [TKX__W_Q3_K] = {256, 110}, [TKX__W_Q4_K] = {256, 144}, [TKX__W_Q5_K] = {256, 176},
    [TKX__W_Q6_K] = {256, 210},
};

size_t tkx__wtype_block_cols(tkx__wtype type)
{
    return blocks[type].cols;
}

size_t tkx__wtype_block_size(tkx__wtype type)
{
    return blocks[type].size;
}

size_t tkx__wtype_row_size(tkx__wtype type, size_t n_cols)
{
    const tkx__dtype_info *t = info(type);

    return n_cols % t->block_elements ? 0 : n_cols / t->block_elements * t->block_bytes;
}

tkx__act_form tkx__act_form_of(tkx__wtype type, tkx__compute compute)
{
    size_t block = tkx__wtype_block_cols(type);

    if (compute == TKX__COMPUTE_F32 || block == 1)
        return TKX__ACT_F32;
    return block == 32 ? TKX__ACT_Q8_32 : TKX__ACT_Q8_256;
}

size_t tkx__act_row_size(tkx__act_form form, size_t n)
{
    size_t size = n * sizeof(float);

    if (form == TKX__ACT_Q8_32)
        size = tkx__act_start_offset(form, n) + n / 32 * 4;
    else if (form == TKX__ACT_Q8_256)
        size = tkx__act_start_offset(form, n) + n / 16 * 4;
    return (size + 63) / 64 * 64;
}
