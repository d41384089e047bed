/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model/tokenizer/unicode.h - what kind of character a code point is.
 *
 * The table is our own, of the version that tkx__unicode_version() states: the one that
 * the reference tokenizers' expressions know.
 */
#ifndef TKX_MODEL_TOKENIZER_UNICODE_H
#define TKX_MODEL_TOKENIZER_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TKX__UNI_L = 1,      /* \p{L} */
    TKX__UNI_N = 2,      /* \p{N} */
    TKX__UNI_SPACE = 4,  /* \s: White_Space */
    TKX__UNI_M = 8,      /* \p{M} */
    TKX__UNI_P = 16,     /* \p{P} */
    TKX__UNI_S = 32,     /* \p{S} */
    TKX__UNI_UPPER = 64, /* \p{Lu}, \p{Lt} */
    TKX__UNI_LOWER = 128 /* \p{Ll} */
};

/* General categories, in the table's order; the last is Cc that is white space. */
typedef enum tkx__category {
    TKX__CAT_CN,
    TKX__CAT_CC,
    TKX__CAT_CF,
    TKX__CAT_CO,
    TKX__CAT_CS,
    TKX__CAT_LU,
    TKX__CAT_LT,
    TKX__CAT_LL,
    TKX__CAT_LM,
    TKX__CAT_LO,
    TKX__CAT_MN,
    TKX__CAT_MC,
    TKX__CAT_ME,
    TKX__CAT_ND,
    TKX__CAT_NL,
    TKX__CAT_NO,
    TKX__CAT_PC,
    TKX__CAT_PD,
    TKX__CAT_PS,
    TKX__CAT_PE,
    TKX__CAT_PI,
    TKX__CAT_PF,
    TKX__CAT_PO,
    TKX__CAT_SM,
    TKX__CAT_SC,
    TKX__CAT_SK,
    TKX__CAT_SO,
    TKX__CAT_ZS,
    TKX__CAT_ZL,
    TKX__CAT_ZP,
    TKX__CAT_CC_SPACE,
    TKX__N_CATEGORIES
} tkx__category;

const char *tkx__unicode_version(void);

tkx__category tkx__unicode_category(uint32_t cp); /* Cn above 0x10FFFF */
uint8_t tkx__unicode_flags(uint32_t cp);
bool tkx__unicode_is_word(uint32_t cp); /* \w: alphabetic, mark, decimal digit, joiner */

/* The set of categories (bit per category) that a property such as "L" or "Nd" names; 0
   when the name is not one of a general category. */
uint32_t tkx__unicode_property(const char *name, size_t n);

extern const uint8_t tkx__ascii_flags[128];

/* Flags of the character at p (valid UTF-8) and its length. */
static inline uint8_t tkx__unicode_flags_at(const uint8_t *p, size_t *len)
{
    uint32_t cp;

    if (p[0] < 0x80) {
        *len = 1;
        return tkx__ascii_flags[p[0]];
    }
    if (p[0] < 0xE0) {
        *len = 2;
        cp = (uint32_t)(p[0] & 0x1F) << 6 | (p[1] & 0x3F);
    } else if (p[0] < 0xF0) {
        *len = 3;
        cp = (uint32_t)(p[0] & 0x0F) << 12 | (uint32_t)(p[1] & 0x3F) << 6 | (p[2] & 0x3F);
    } else {
        *len = 4;
        cp = (uint32_t)(p[0] & 0x07) << 18 | (uint32_t)(p[1] & 0x3F) << 12 |
             (uint32_t)(p[2] & 0x3F) << 6 | (p[3] & 0x3F);
    }
    return tkx__unicode_flags(cp);
}

#endif
