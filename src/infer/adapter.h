/* SPDX-License-Identifier: Apache-2.0 */
/*
 * infer/adapter.h - a LoRA adapter as the service's archive has it, ready to be applied.
 *
 * y += scale * B (A x), beside the untouched base.  Immutable once open and counted: any
 * thread may hold one; the last unref frees it, so it can be dropped while steps that use
 * it still run.
 */
#ifndef TKX_INFER_ADAPTER_H
#define TKX_INFER_ADAPTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tkx/error.h>

#include "infer/kernels/kernels.h"
#include "model/weights.h"

typedef struct tkx__adapter tkx__adapter;

typedef struct tkx__lora {
    tkx__matrix a; /* [rank, n_in]; data NULL: this matrix is not adapted */
    tkx__matrix b; /* [n_out, rank] */
} tkx__lora;

/*
 * Open a folder, a tar or a tar.gz (told apart by their bytes) for these weights.
 * Errors: every tensor that is unused, has a wrong shape or lacks its partner, and every
 *         option that would change the maths and is not known, in one message.
 */
tkx_status tkx__adapter_open(const char *path, const tkx__weights *weights,
                             tkx__adapter **out, tkx_error **err);
/* The same from the bytes of its two files (copied). */
tkx_status tkx__adapter_parse(const void *config, size_t config_size, const void *tensors,
                              size_t tensors_size, const char *what,
                              const tkx__weights *weights, tkx__adapter **out,
                              tkx_error **err);
/*
 * For the fast mode, before first use: copy matrices into the order in which steps read
 * them, float32 ones in half precision, which is finer than that mode's activations and
 * half of the bytes that every token reads.  Values that half precision does not hold
 * stay float32; experts' matrices (which may share one) stay as they are.  Afterwards only
 * graphs with these kernels can use it.
 */
tkx_status tkx__adapter_arrange(tkx__adapter *adapter, const tkx__kernels *kernels,
                                tkx_error **err);
tkx__adapter *tkx__adapter_ref(tkx__adapter *adapter);
void tkx__adapter_unref(tkx__adapter *adapter);

/* For reports: from the adapter's config; strings borrowed, NULL when not said. */
typedef struct tkx__adapter_info {
    const char *base_model; /* base_model_name_or_path */
    size_t rank;
    double alpha;
    bool is_rslora;
    size_t n_matrices; /* pairs applied; experts counted singly */
    size_t size_bytes; /* in memory */
} tkx__adapter_info;
tkx__adapter_info tkx__adapter_get_info(const tkx__adapter *adapter);

/* Unlike that of any other adapter of this process, also of freed ones; never 0. */
uint64_t tkx__adapter_uid(const tkx__adapter *adapter);
size_t tkx__adapter_rank(const tkx__adapter *adapter);
float tkx__adapter_scale(const tkx__adapter *adapter);
/* NULL: not adapted.  expert is 0 for dense matrices. */
const tkx__lora *tkx__adapter_find(const tkx__adapter *adapter, size_t layer,
                                   tkx__layer_matrix matrix, size_t expert);
const tkx__lora *tkx__adapter_head(const tkx__adapter *adapter);

#endif
