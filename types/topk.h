/* SPDX-License-Identifier: Apache-2.0 */
/* types/topk.h - rows of best tokens from JSON. */
#ifndef TKX_TYPES_TOPK_H
#define TKX_TYPES_TOPK_H

#include <tkx/types/sample_response.h>

#include "json/reader.h"

/* [[[token, logprob], ...] | null, ...]; NULL after a failure, which the reader keeps. */
const tkx_topk *tkx__topk_read_json(tkx__json_reader *r);

#endif
