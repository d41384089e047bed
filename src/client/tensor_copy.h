/* SPDX-License-Identifier: Apache-2.0 */
/* client/tensor_copy.h - tensors kept for longer than the call that brought them. */
#ifndef TKX_CLIENT_TENSOR_COPY_H
#define TKX_CLIENT_TENSOR_COPY_H

#include <tkx/types/tensor.h>

#include "base/arena.h"

/* All of it in the arena; NULL: out of memory. */
tkx_tensor *tkx__tensor_copy(tkx__arena *arena, const tkx_tensor *from);

#endif
