/* SPDX-License-Identifier: Apache-2.0 */
/* model/weights_in.h - from a table of tensors to the weights of a model. */
#ifndef TKX_MODEL_WEIGHTS_IN_H
#define TKX_MODEL_WEIGHTS_IN_H

#include "base/arena.h"
#include "model/tensor.h"
#include "model/weights.h"

/*
 * Fill w, whose config, path and kind of file are set; vectors and layers go to the
 * arena.  Errors: everything that is missing or does not fit, in one message.
 */
tkx_status tkx__weights_load(tkx__weights *w, const tkx__tensors *table,
                             tkx__arena *arena, tkx_error **err);

#endif
