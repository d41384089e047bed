/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unicode.c - lookups in the generated two-stage table of general categories, and the
 * classes that expressions use, derived from the category.
 */
#include "model/tokenizer/unicode.h"

#include <string.h>

#include "model/tokenizer/unicode_table.inc"

#define BIT(c) (1u << TKX__CAT_##c)
#define LETTER (BIT(LU) | BIT(LT) | BIT(LL) | BIT(LM) | BIT(LO))
#define MARK (BIT(MN) | BIT(MC) | BIT(ME))
#define NUMBER (BIT(ND) | BIT(NL) | BIT(NO))
#define PUNCTUATION (BIT(PC) | BIT(PD) | BIT(PS) | BIT(PE) | BIT(PI) | BIT(PF) | BIT(PO))
#define SYMBOL (BIT(SM) | BIT(SC) | BIT(SK) | BIT(SO))

static const uint8_t flags_of[TKX__N_CATEGORIES] = {
    [TKX__CAT_LU] = TKX__UNI_L | TKX__UNI_UPPER,
    [TKX__CAT_LT] = TKX__UNI_L | TKX__UNI_UPPER,
    [TKX__CAT_LL] = TKX__UNI_L | TKX__UNI_LOWER,
    [TKX__CAT_LM] = TKX__UNI_L,
    [TKX__CAT_LO] = TKX__UNI_L,
    [TKX__CAT_MN] = TKX__UNI_M,
    [TKX__CAT_MC] = TKX__UNI_M,
    [TKX__CAT_ME] = TKX__UNI_M,
    [TKX__CAT_ND] = TKX__UNI_N,
    [TKX__CAT_NL] = TKX__UNI_N,
    [TKX__CAT_NO] = TKX__UNI_N,
    [TKX__CAT_PC] = TKX__UNI_P,
    [TKX__CAT_PD] = TKX__UNI_P,
    [TKX__CAT_PS] = TKX__UNI_P,
    [TKX__CAT_PE] = TKX__UNI_P,
    [TKX__CAT_PI] = TKX__UNI_P,
    [TKX__CAT_PF] = TKX__UNI_P,
    [TKX__CAT_PO] = TKX__UNI_P,
    [TKX__CAT_SM] = TKX__UNI_S,
    [TKX__CAT_SC] = TKX__UNI_S,
    [TKX__CAT_SK] = TKX__UNI_S,
    [TKX__CAT_SO] = TKX__UNI_S,
    [TKX__CAT_ZS] = TKX__UNI_SPACE,
    [TKX__CAT_ZL] = TKX__UNI_SPACE,
    [TKX__CAT_ZP] = TKX__UNI_SPACE,
    [TKX__CAT_CC_SPACE] = TKX__UNI_SPACE,
};

/* clang-format off */
#define SP TKX__UNI_SPACE
#define PU TKX__UNI_P
#define SY TKX__UNI_S
#define NU TKX__UNI_N
#define UP (TKX__UNI_L | TKX__UNI_UPPER)
#define LO (TKX__UNI_L | TKX__UNI_LOWER)
const uint8_t tkx__ascii_flags[128] = {
    0,  0,  0,  0,  0,  0,  0,  0,  0,  SP, SP, SP, SP, SP, 0,  0,
    0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,
    SP, PU, PU, PU, SY, PU, PU, PU, PU, PU, PU, SY, PU, PU, PU, PU,
    NU, NU, NU, NU, NU, NU, NU, NU, NU, NU, PU, PU, SY, SY, SY, PU,
    PU, UP, UP, UP, UP, UP, UP, UP, UP, UP, UP, UP, UP, UP, UP, UP,
    UP, UP, UP, UP, UP, UP, UP, UP, UP, UP, UP, PU, PU, PU, SY, PU,
    SY, LO, LO, LO, LO, LO, LO, LO, LO, LO, LO, LO, LO, LO, LO, LO,
    LO, LO, LO, LO, LO, LO, LO, LO, LO, LO, LO, PU, SY, PU, SY, 0,
};
#undef SP
#undef PU
#undef SY
#undef NU
#undef UP
#undef LO
/* clang-format on */

static const struct {
    char name[3];
    uint32_t set;
} properties[] = {
    {"L", LETTER},   {"M", MARK},
    {"N", NUMBER},   {"P", PUNCTUATION},
    {"S", SYMBOL},   {"Z", BIT(ZS) | BIT(ZL) | BIT(ZP)},
    {"Lu", BIT(LU)}, {"Lt", BIT(LT)},
    {"Ll", BIT(LL)}, {"Lm", BIT(LM)},
    {"Lo", BIT(LO)}, {"Mn", BIT(MN)},
    {"Mc", BIT(MC)}, {"Me", BIT(ME)},
    {"Nd", BIT(ND)}, {"Nl", BIT(NL)},
    {"No", BIT(NO)}, {"Pc", BIT(PC)},
    {"Pd", BIT(PD)}, {"Ps", BIT(PS)},
    {"Pe", BIT(PE)}, {"Pi", BIT(PI)},
    {"Pf", BIT(PF)}, {"Po", BIT(PO)},
    {"Sm", BIT(SM)}, {"Sc", BIT(SC)},
    {"Sk", BIT(SK)}, {"So", BIT(SO)},
    {"Zs", BIT(ZS)}, {"Zl", BIT(ZL)},
    {"Zp", BIT(ZP)}, {"Cf", BIT(CF)},
    {"Co", BIT(CO)}, {"Cc", BIT(CC) | BIT(CC_SPACE)},
};

const char *tkx__unicode_version(void)
{
    return UNICODE_VERSION;
}

tkx__category tkx__unicode_category(uint32_t cp)
{
    if (cp > 0x10FFFF)
        return TKX__CAT_CN;
    return (tkx__category)
        stage2[(uint32_t)stage1[cp >> SHIFT] << SHIFT | (cp & ((1u << SHIFT) - 1))];
}

uint8_t tkx__unicode_flags(uint32_t cp)
{
    return flags_of[tkx__unicode_category(cp)];
}

/* Other_Alphabetic beyond letters, marks and letter numbers: circled and squared letters.
 */
static bool is_other_alphabetic(uint32_t cp)
{
    return (cp >= 0x24B6 && cp <= 0x24E9) || (cp >= 0x1F130 && cp <= 0x1F149) ||
           (cp >= 0x1F150 && cp <= 0x1F169) || (cp >= 0x1F170 && cp <= 0x1F189);
}

bool tkx__unicode_is_word(uint32_t cp)
{
    uint32_t bit = 1u << tkx__unicode_category(cp);

    return (bit & (LETTER | MARK | BIT(ND) | BIT(NL) | BIT(PC))) != 0 || cp == 0x200C ||
           cp == 0x200D || is_other_alphabetic(cp);
}

uint32_t tkx__unicode_property(const char *name, size_t n)
{
    for (size_t i = 0; i < sizeof properties / sizeof properties[0]; i++)
        if (strlen(properties[i].name) == n && memcmp(properties[i].name, name, n) == 0)
            return properties[i].set;
    return 0;
}
