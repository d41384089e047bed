/* SPDX-License-Identifier: Apache-2.0 */
/*
 * infer/requantise.h - a model's float matrices quantised while it is loaded.
 *
 * Matrices stored as F32, F16 or BF16 are replaced by quantised copies in memory; what is
 * quantised already, the router and rows that are no whole number of blocks stay as they
 * are.
 */
#ifndef TKX_INFER_REQUANTISE_H
#define TKX_INFER_REQUANTISE_H

#include "infer/kernels/kernels.h"
#include "infer/threads.h"
#include "model/weights.h"

/* By name, "q8_0" or "q4_0" in any case.  INVALID_ARGUMENT; the message lists them. */
tkx_status tkx__requantise_find(const char *name, tkx__dtype *out, tkx_error **err);

/* Bytes of all weights afterwards, the copies' alone in *copied (may be NULL). */
size_t tkx__requantise_bytes(const tkx__weights *weights, tkx__dtype dtype,
                             size_t *copied);

/* Told by the calling thread: bytes of the copies made so far. */
typedef void tkx__requantise_fn(void *ctx, size_t done_bytes);

/*
 * Before anything else uses the weights.  fn may be NULL.  With kernels, copies that
 * these multiply faster from their own order are written in it: then only graphs of the
 * fast mode with the same kernels can use the weights.
 *
 * Errors: NO_MEMORY; INVALID_ARGUMENT when no matrix can be quantised.
 */
tkx_status tkx__requantise(tkx__weights *weights, tkx__dtype dtype,
                           const tkx__kernels *kernels, tkx__threads *pool,
                           tkx__requantise_fn *fn, void *ctx, tkx_error **err);

#endif
