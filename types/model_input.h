/* SPDX-License-Identifier: Apache-2.0 */
/* types/model_input.h - chunks in JSON, and their sizes. */
#ifndef TKX_TYPES_MODEL_INPUT_CODEC_H
#define TKX_TYPES_MODEL_INPUT_CODEC_H

#include <tkx/types/model_input.h>

#include "json/writer.h"

/* Bytes that budgets count: so many for each text token, raw length of the rest. */
size_t tkx__model_input_bytes(const tkx_model_input *input, size_t bytes_per_token);

void tkx__model_input_write_json(tkx__json_writer *w, const tkx_model_input *input);

#endif
