/* SPDX-License-Identifier: Apache-2.0 */
/*
 * utf8.c - well-formedness, as table 3-7 of the Unicode standard states it: the second
 * byte of E0, ED, F0 and F4 has a narrower range.  A maximal ill-formed subsequence is
 * the longest start of a well-formed one, or a single byte.
 */
#include "model/tokenizer/utf8.h"

#include <string.h>

/* Range of the second byte after lead byte c; false when c leads nothing. */
static int lead(uint8_t c, size_t *len, uint8_t *low, uint8_t *high)
{
    *low = 0x80;
    *high = 0xBF;
    if (c >= 0xC2 && c <= 0xDF)
        *len = 2;
    else if (c >= 0xE0 && c <= 0xEF)
        *len = 3;
    else if (c >= 0xF0 && c <= 0xF4)
        *len = 4;
    else
        return 0;
    if (c == 0xE0)
        *low = 0xA0;
    else if (c == 0xED)
        *high = 0x9F;
    else if (c == 0xF0)
        *low = 0x90;
    else if (c == 0xF4)
        *high = 0x8F;
    return 1;
}

ptrdiff_t tkx__utf8_step(const uint8_t *bytes, size_t n, int *is_cut)
{
    size_t len, i;
    uint8_t low, high;

    *is_cut = 0;
    if (bytes[0] < 0x80)
        return 1;
    if (!lead(bytes[0], &len, &low, &high))
        return -1;
    for (i = 1; i < len; i++) {
        if (i == n) {
            *is_cut = 1;
            return -(ptrdiff_t)i;
        }
        if (bytes[i] < low || bytes[i] > high)
            return -(ptrdiff_t)i;
        low = 0x80;
        high = 0xBF;
    }
    return (ptrdiff_t)len;
}

size_t tkx__utf8_check(const uint8_t *bytes, size_t n)
{
    size_t at = 0;
    int is_cut;

    while (at < n) {
        uint64_t word;
        ptrdiff_t len;

        while (n - at >= 8) {
            memcpy(&word, bytes + at, 8);
            if (word & 0x8080808080808080u)
                break;
            at += 8;
        }
        if (at == n)
            break;
        len = tkx__utf8_step(bytes + at, n - at, &is_cut);
        if (len < 0)
            break;
        at += (size_t)len;
    }
    return at;
}
