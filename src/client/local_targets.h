/* SPDX-License-Identifier: Apache-2.0 */
/* client/local_targets.h - tokens to score in a prompt, dense or sparse, as rows. */
#ifndef TKX_CLIENT_LOCAL_TARGETS_H
#define TKX_CLIENT_LOCAL_TARGETS_H

#include <stddef.h>

#include <tkx/error.h>
#include <tkx/types/tensor.h>

/*
 * Where the rows of an int64 tensor [n_prompt - 1, K] begin among its values: *rows has
 * n_prompt entries, tkx__free() it.  INVALID_ARGUMENT for another type or shape, or for a
 * sparse one whose indices do not fit.
 */
tkx_status tkx__local_targets_rows(const tkx_tensor *targets, size_t n_prompt,
                                   size_t **rows, tkx_error **err);

#endif
