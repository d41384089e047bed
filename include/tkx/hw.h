/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tkx/hw.h - what this machine offers a local model, and whether a model fits.
 */
#ifndef TKX_HW_H
#define TKX_HW_H

#include <stddef.h>
#include <stdint.h>

#include <tkx/error.h>
#include <tkx/export.h>
#include <tkx/status.h>

TKX_BEGIN_DECLS

/** Whether a set of kernels can be used here. */
typedef enum tkx_hw_kernels_state {
    TKX_HW_KERNELS_USED = 0,   /**< chosen by default */
    TKX_HW_KERNELS_AVAILABLE,  /**< by name: TKX_KERNELS in the environment */
    TKX_HW_KERNELS_UNVERIFIED, /**< by name; never run on such a CPU by its makers */
    TKX_HW_KERNELS_NO_CPU,     /**< this CPU lacks the instructions */
    TKX_HW_KERNELS_NOT_BUILT   /**< this build lacks them; the CPU may have them */
} tkx_hw_kernels_state;

typedef struct tkx_hw_kernels {
    const char *name; /**< such as "avx2"; static */
    tkx_hw_kernels_state state;
} tkx_hw_kernels;

#define TKX_HW_MAX_KERNELS 8

/** A plain value; nothing in it needs freeing. */
typedef struct tkx_hw_info {
    size_t struct_size; /**< set by TKX_HW_INFO_INIT */
    char cpu[96];       /**< the CPU's own name, "" if unknown */
    char features[256]; /**< instruction set extensions of interest, by blanks */
    size_t n_packages;
    size_t n_cores;          /**< physical */
    size_t n_cpus;           /**< hardware threads */
    size_t n_usable_cpus;    /**< of this process: affinity and cgroup quota */
    uint64_t cache_bytes[3]; /**< one first-, second-, third-level data cache; 0: none */
    uint64_t memory_bytes;   /**< physical */
    uint64_t memory_limit_bytes;     /**< of this process, cgroup included */
    uint64_t memory_available_bytes; /**< of that limit, now */
    double read_bytes_per_s;         /**< measured with all usable CPUs; 0: not asked */
    size_t n_gpus;                   /**< seen by the driver; no kernels here use them */
    tkx_hw_kernels kernels[TKX_HW_MAX_KERNELS];
    size_t n_kernels;
} tkx_hw_info;

#define TKX_HW_INFO_INIT                                                                 \
    {                                                                                    \
        .struct_size = sizeof(tkx_hw_info)                                               \
    }

/** For tkx_hw_probe(): measure memory bandwidth (0.5 s, 64 MiB per CPU). */
#define TKX_HW_MEASURE 1u

/**
 * Look at the machine.
 *
 * Thread: any.
 * Errors: INVALID_ARGUMENT for a struct_size of 0; NO_MEMORY.  What the system does not
 *         say stays 0.
 */
TKX_API tkx_status tkx_hw_probe(unsigned flags, tkx_hw_info *info, tkx_error **err);

/** A model stored in one weight type, on one machine. */
typedef struct tkx_hw_fit {
    const char *weight_type; /**< "F16", "Q8_0", ..; static; the file's own comes first */
    int is_stored;           /**< the file has this type: no quantising needed */
    uint64_t weight_bytes;
    int fits;            /**< with a context of 512 tokens */
    size_t max_context;  /**< tokens of one sequence beside the weights; 0: none */
    double tokens_per_s; /**< upper estimate for one sequence: bandwidth / bytes; 0 if the
                            bandwidth was not measured */
} tkx_hw_fit;

#define TKX_HW_MAX_FITS 8

/**
 * Ask whether a model (a GGUF file or a Hugging Face folder) fits, per weight type.
 *
 * Thread: any.
 * Shapes: fits[TKX_HW_MAX_FITS], *n_fits of them filled.
 * Errors: as opening the model: NOT_FOUND, PARSE, UNSUPPORTED.
 * Source: docs/design/kernels.md, "What fits".
 */
TKX_API tkx_status tkx_hw_fit_model(const char *path, const tkx_hw_info *info,
                                    tkx_hw_fit *fits, size_t *n_fits, tkx_error **err);

TKX_END_DECLS
#endif
