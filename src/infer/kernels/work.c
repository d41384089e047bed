// SPDX-License-Identifier: Apache-2.0
/* work.c - the scratch memory of products and attention. */
#include "infer/kernels/work.h"

#include "base/error.h"
#include "base/mem.h"

static void *take(tkx__work *w, size_t count, size_t size)
{
    size_t bytes;
    void *p;

    if (!tkx__mul(count, size, &bytes) || !tkx__add(bytes, 64, &bytes))
        return NULL;
    p = tkx__malloc(bytes);
    if (!p)
        return NULL;
    w->memory[w->n_memory++] = p;
    return (void *)(((uintptr_t)p + 63) & ~(uintptr_t)63);
}

static bool take_all(tkx__work *w)
{
    const tkx__work_limits *l = &w->limits;
    size_t n_threads = tkx__threads_count(w->pool);
    size_t lora_rows;

    if (!tkx__mul(l->max_loras, l->max_tokens, &lora_rows))
        return false;
    w->scratch_size = TKX__TILE_SCRATCH;
    w->scratch = take(w, n_threads, w->scratch_size);
    w->tile_out = take(w, n_threads, TKX__TILE_OUT * sizeof(float));
    w->lora_rows = take(w, lora_rows, sizeof *w->lora_rows);
    w->lora = take(w, lora_rows, l->max_rank * sizeof *w->lora);
    if (w->compute == TKX__COMPUTE_FAST) {
        w->act_32 =
            take(w, l->max_tokens, tkx__act_row_size(TKX__ACT_Q8_32, l->max_cols));
        w->act_256 =
            take(w, l->max_tokens, tkx__act_row_size(TKX__ACT_Q8_256, l->max_cols));
        if (!w->act_32 || !w->act_256)
            return false;
    }
    return w->scratch && w->tile_out && w->lora_rows && w->lora;
}

tkx_status tkx__work_new(const tkx__kernels *k, tkx__threads *pool, tkx__compute compute,
                         const tkx__work_limits *limits, tkx__work **out, tkx_error **err)
{
    tkx__work *w = tkx__calloc(1, sizeof *w);

    if (!w)
        return tkx__fail_memory(err);
    w->k = k;
    w->pool = pool;
    w->compute = compute;
    w->limits = *limits;
    if (!take_all(w)) {
        tkx__work_free(w);
        return tkx__fail_memory(err);
    }
    *out = w;
    return TKX_OK;
}

void tkx__work_free(tkx__work *work)
{
    if (!work)
        return;
    for (size_t i = 0; i < work->n_memory; i++)
        tkx__free(work->memory[i]);
    tkx__free(work);
}
