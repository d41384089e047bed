/* SPDX-License-Identifier: Apache-2.0 */
/* nn/vocabulary.h - the bytes that a token stands for, for stop strings. */
#ifndef MOCK_NN_VOCABULARY_H
#define MOCK_NN_VOCABULARY_H

#include "base/buf.h"
#include "mock_server/nn/base.h"

/* Append the token's bytes (none where it has none). */
void nn_token_append(const nn_base *base, int32_t token, tkx__buf *text);

#endif
