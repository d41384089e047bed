/* SPDX-License-Identifier: Apache-2.0 */
/* spelling.c - bytes as characters, and back. */
#include "model/tokenizer/spelling.h"

#include <stdbool.h>

static bool is_printable(unsigned c)
{
    return (c >= '!' && c <= '~') || (c >= 0xA1 && c <= 0xAC) || (c >= 0xAE && c <= 0xFF);
}

int tkx__spelt_byte(uint32_t cp)
{
    static const uint8_t others_first[] = {0x7F, 0x80, 0xAD};

    if (cp < 0x100)
        return is_printable(cp) ? (int)cp : -1;
    cp -= 0x100;
    if (cp <= ' ')
        return (int)cp;
    cp -= ' ' + 1;
    if (cp == 0)
        return others_first[0];
    if (cp <= 0xA0 - 0x80 + 1)
        return others_first[1] + (int)cp - 1;
    return cp == 0xA0 - 0x80 + 2 ? others_first[2] : -1;
}

uint32_t tkx__spelling_of(uint8_t byte)
{
    if (is_printable(byte))
        return byte;
    if (byte <= ' ')
        return 0x100u + byte;
    if (byte == 0xAD)
        return 0x100u + ' ' + 1 + 1 + (0xA0 - 0x80 + 1);
    return byte == 0x7F ? 0x100u + ' ' + 1 : 0x100u + ' ' + 2 + (byte - 0x80u);
}
