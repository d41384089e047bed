/* SPDX-License-Identifier: Apache-2.0 */
#include "mock_server/nn/vocabulary.h"

void nn_token_append(const nn_base *base, int32_t token, tkx__buf *text)
{
    if (base->is_bytes && token >= 0 && token < 256)
        tkx__buf_putc(text, (char)(unsigned char)token);
}
