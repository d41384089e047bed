/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local_fit.c - whether a model fits, and how large a KV cache beside it.
 *
 * Counted are the weights as the files have them or as they will be quantised, the cache,
 * the scratch memory and what the engine itself takes; what may be
 * used leaves a margin to everything else (hw_limits.h).  Without a wish the cache starts at four
 * contexts and is halved until all fits.
 */
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/error.h"
#include "client/local_in.h"
#include "infer/hw_limits.h"

#define DEFAULT_CONTEXT 8192
#define LEAST_POSITIONS 512
#define ENGINE_BYTES ((uint64_t)64 << 20)

static uint64_t memory_room(void)
{
    uint64_t limit = tkx__hw_memory_limit();

    return limit ? tkx__hw_memory_room(limit) : UINT64_MAX;
}

static uint64_t needed_bytes(const tkx__weights *w, uint64_t weight_bytes,
                             size_t kv_blocks, bool is_f16, tkx__compute compute)
{
    tkx__graph_options options = {.compute = compute};
    uint64_t kv = (uint64_t)tkx__kv_bytes_per_block(&w->config, is_f16);
    uint64_t scratch = tkx__backend_cpu.scratch_bytes(&w->config, &options);
    uint64_t sum = weight_bytes;

    if (kv == 0 || __builtin_mul_overflow(kv, (uint64_t)kv_blocks, &kv) ||
        __builtin_add_overflow(sum, kv, &sum) ||
        __builtin_add_overflow(sum, scratch, &sum) ||
        __builtin_add_overflow(sum, ENGINE_BYTES, &sum))
        return UINT64_MAX;
    return sum;
}

static tkx_status too_large(const tkx__weights *w, const local_fit *fit, tkx_error **err)
{
    return tkx__fail(
        err, TKX_ERR_LIMIT,
        "%s does not fit: its weights take %" PRIu64
        " MiB, with a KV cache of %zu positions "
        "and scratch memory %" PRIu64 " MiB, and %" PRIu64
        " MiB may be used; take a smaller weight type, a shorter context or a higher "
        "limit",
        w->path, fit->weight_bytes >> 20, fit->kv_blocks * TKX__KV_BLOCK,
        fit->needed_bytes >> 20, fit->available_bytes >> 20);
}

tkx_status tkx__local_fit(const tkx__weights *w, uint64_t weight_bytes,
                          const tkx_local_options *options, local_fit *out,
                          tkx_error **err)
{
    bool is_fast = options->compute == TKX_LOCAL_COMPUTE_FAST;
    size_t context = w->config.max_positions < DEFAULT_CONTEXT ? w->config.max_positions
                                                               : DEFAULT_CONTEXT;
    size_t positions = options->max_positions ? options->max_positions : 4 * context;

    out->weight_bytes = weight_bytes;
    out->available_bytes =
        options->max_memory_bytes ? options->max_memory_bytes : memory_room();
    if (positions > (size_t)1 << 31)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT, "a KV cache of %zu positions",
                         positions);
    for (;;) {
        out->kv_blocks =
            tkx__kv_blocks_for(positions) + 1; /* one that the scheduler keeps */
        out->needed_bytes = needed_bytes(w, weight_bytes, out->kv_blocks, is_fast,
                                         is_fast ? TKX__COMPUTE_FAST : TKX__COMPUTE_F32);
        if (out->needed_bytes <= out->available_bytes)
            return TKX_OK;
        if (options->max_positions || positions <= LEAST_POSITIONS)
            return too_large(w, out, err);
        positions /= 2;
    }
}

/* ---- an adapter beside it ---- */

tkx_status tkx__local_adapter_fit(const local_fit *fit, const char *path, uint64_t bytes,
                                  tkx_error **err)
{
    if (bytes <= fit->available_bytes - fit->needed_bytes)
        return TKX_OK;
    return tkx__fail(err, TKX_ERR_LIMIT,
                     "the adapter %s does not fit: it takes %" PRIu64
                     " MiB beside the %" PRIu64 " MiB of model and cache, and %" PRIu64
                     " MiB may be used; take a smaller cache or a higher limit",
                     path, (bytes >> 20) + 1, fit->needed_bytes >> 20,
                     fit->available_bytes >> 20);
}

uint64_t tkx__local_adapter_bytes(const char *path)
{
    char file[4200];
    struct stat sb;

    snprintf(file, sizeof file, "%.4096s/adapter_model.safetensors", path);
    if (stat(file, &sb) != 0 && stat(path, &sb) != 0)
        return 0; /* who opens it says so */
    return sb.st_size > 0 ? (uint64_t)sb.st_size : 0;
}
