/* SPDX-License-Identifier: Apache-2.0 */
/* nn/load.h - base weights from a Hugging Face directory or a GGUF file. */
#ifndef MOCK_NN_LOAD_H
#define MOCK_NN_LOAD_H

#include "mock_server/nn/base.h"

/* Errors list every missing, misshapen or unknown part. */
tkx_status nn_base_load(const char *name, const char *path, size_t max_context,
                        nn_base **out, tkx_error **err);

#endif
