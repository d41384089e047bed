/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model/tokenizer/utf8.h - reading UTF-8 that is known to be valid, and writing it.
 */
#ifndef TKX_MODEL_TOKENIZER_UTF8_H
#define TKX_MODEL_TOKENIZER_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* The code point at p, whose first byte is of a valid sequence; its length in *n. */
static inline uint32_t tkx__utf8_get(const uint8_t *p, size_t *n)
{
    if (p[0] < 0x80) {
        *n = 1;
        return p[0];
    }
    if (p[0] < 0xE0) {
        *n = 2;
        return (uint32_t)(p[0] & 0x1F) << 6 | (p[1] & 0x3F);
    }
    if (p[0] < 0xF0) {
        *n = 3;
        return (uint32_t)(p[0] & 0x0F) << 12 | (uint32_t)(p[1] & 0x3F) << 6 |
               (p[2] & 0x3F);
    }
    *n = 4;
    return (uint32_t)(p[0] & 0x07) << 18 | (uint32_t)(p[1] & 0x3F) << 12 |
           (uint32_t)(p[2] & 0x3F) << 6 | (p[3] & 0x3F);
}

/* Length of the sequence that byte c begins, in valid text. */
static inline size_t tkx__utf8_len(uint8_t c)
{
    return c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
}

/* Start of the character that ends before at (at > 0, valid text). */
static inline size_t tkx__utf8_back(const uint8_t *text, size_t at)
{
    do
        at--;
    while (at > 0 && (text[at] & 0xC0) == 0x80);
    return at;
}

/* Writes a code point; returns 1 to 4. */
static inline size_t tkx__utf8_put(uint32_t cp, uint8_t *out)
{
    if (cp < 0x80) {
        out[0] = (uint8_t)cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (uint8_t)(0xC0 | cp >> 6);
        out[1] = (uint8_t)(0x80 | (cp & 0x3F));
        return 2;
    }
    if (cp < 0x10000) {
        out[0] = (uint8_t)(0xE0 | cp >> 12);
        out[1] = (uint8_t)(0x80 | (cp >> 6 & 0x3F));
        out[2] = (uint8_t)(0x80 | (cp & 0x3F));
        return 3;
    }
    out[0] = (uint8_t)(0xF0 | cp >> 18);
    out[1] = (uint8_t)(0x80 | (cp >> 12 & 0x3F));
    out[2] = (uint8_t)(0x80 | (cp >> 6 & 0x3F));
    out[3] = (uint8_t)(0x80 | (cp & 0x3F));
    return 4;
}

/* Length of the valid prefix, quick on ASCII. */
size_t tkx__utf8_check(const uint8_t *bytes, size_t n);

/*
 * The sequence at bytes[0..n), n > 0: its length when well formed, else minus the length
 * of the maximal ill-formed subsequence.  *is_cut: it would be well formed with more
 * bytes.
 */
ptrdiff_t tkx__utf8_step(const uint8_t *bytes, size_t n, int *is_cut);

#endif
