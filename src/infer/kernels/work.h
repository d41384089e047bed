/* SPDX-License-Identifier: Apache-2.0 */
/*
 * infer/kernels/work.h - the scratch memory behind tkx__matmul() and tkx__attention().
 */
#ifndef TKX_INFER_KERNELS_WORK_H
#define TKX_INFER_KERNELS_WORK_H

#include "infer/kernels/table.h"

/* Rows of a matrix in one piece of work, when there are few tokens; and floats of the
   buffer between a tile and its destination. */
#define TKX__TILE_MAX_ROWS 192
#define TKX__TILE_OUT (TKX__TILE_TOKENS * 64)

struct tkx__work {
    const tkx__kernels *k;
    tkx__threads *pool;
    tkx__compute compute;
    tkx__work_limits limits;
    uint8_t *act_32;     /* [max_tokens] rows of TKX__ACT_Q8_32 */
    uint8_t *act_256;    /* [max_tokens] rows of TKX__ACT_Q8_256 */
    float *lora;         /* [max_loras][max_tokens][max_rank]: A x */
    uint32_t *lora_rows; /* [max_loras][max_tokens]: rows of x behind its tokens */
    uint8_t *scratch;    /* [n_threads] of scratch_size */
    size_t scratch_size;
    float *tile_out; /* [n_threads][TKX__TILE_OUT] */
    void *memory[8]; /* what to free */
    size_t n_memory;
};

static inline void *tkx__work_scratch(const tkx__work *w, size_t thread)
{
    return w->scratch + thread * w->scratch_size;
}

#endif
