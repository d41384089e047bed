/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pre_names.c - the pre-tokenizers that GGUF files name: a file has the name alone, so
 * the expressions stand here, applied one inside the other.
 */
#include "model/tokenizer/pre_names.h"

#include <string.h>

static const char GPT2[] =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S"
    ")";
static const char DIGIT[] = "\\p{N}";
static const char LLAMA3[] =
    "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\\r\\n\\p{L}\\p{"
    "N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!"
    "\\S)|\\s+";
static const char QWEN2[] =
    "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\\r\\n\\p{L}\\p{"
    "N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|"
    "\\s+";
static const char QWEN35[] =
    "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\\r\\n\\p{L}\\p{"
    "N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]"
    "+|\\s+(?!\\S)|\\s+";
static const char LINE_END[] = "[\\r\\n]";
static const char DEEPSEEK_LETTERS[] =
    "\\s?[A-Za-z\\x{B5}\\x{C0}-\\x{D6}\\x{D8}-\\x{F6}\\x{F8}-\\x{1BA}\\x{1BC}-"
    "\\x{1BF}\\x{1C4}-\\x{293}\\x{295}-\\x{2AF}\\x{370}-\\x{373}\\x{376}\\x{377}"
    "\\x{37B}-\\x{37D}\\x{37F}\\x{386}\\x{388}-\\x{38A}\\x{38C}\\x{38E}-\\x{3A1}"
    "\\x{3A3}-\\x{3F5}\\x{3F7}-\\x{481}\\x{48A}-\\x{52F}\\x{531}-\\x{556}"
    "\\x{10A0}-\\x{10C5}\\x{13A0}-\\x{13F5}\\x{13F8}-\\x{13FD}\\x{1C90}-\\x{1CBA}"
    "\\x{1CBD}-\\x{1CBF}\\x{1D00}-\\x{1D2B}\\x{1D6B}-\\x{1D77}\\x{1D79}-\\x{1D9A}"
    "\\x{1E00}-\\x{1F15}\\x{1F18}-\\x{1F1D}\\x{1F20}-\\x{1F45}\\x{1F48}-\\x{1F4D}"
    "\\x{1F50}-\\x{1F57}\\x{1F59}\\x{1F5B}\\x{1F5D}\\x{1F5F}-\\x{1F7D}\\x{1F80}-"
    "\\x{1FB4}\\x{1FB6}-\\x{1FBC}\\x{1FBE}\\x{1FC2}-\\x{1FC4}\\x{1FC6}-\\x{1FCC}"
    "\\x{1FD0}-\\x{1FD3}\\x{1FD6}-\\x{1FDB}\\x{1FE0}-\\x{1FEC}\\x{1FF2}-\\x{1FF4}"
    "\\x{1FF6}-\\x{1FFC}\\x{2102}\\x{2107}\\x{210A}-\\x{2113}\\x{2115}\\x{2119}-"
    "\\x{211D}\\x{2124}\\x{2126}\\x{2128}\\x{212A}-\\x{212D}\\x{212F}-\\x{2134}"
    "\\x{2139}\\x{213C}-\\x{213F}\\x{2145}-\\x{2149}\\x{214E}\\x{2183}\\x{2184}"
    "\\x{2C00}-\\x{2C7B}\\x{2C7E}-\\x{2CE4}\\x{2CEB}-\\x{2CEE}\\x{2CF2}\\x{2CF3}"
    "\\x{A640}-\\x{A66D}\\x{A680}-\\x{A69B}\\x{A722}-\\x{A76F}\\x{A771}-\\x{A787}"
    "\\x{A78B}-\\x{A78E}\\x{AB70}-\\x{ABBF}\\x{FB00}-\\x{FB06}\\x{FB13}-\\x{FB17}"
    "\\x{FF21}-\\x{FF3A}\\x{FF41}-\\x{FF5A}\\x{10400}-\\x{1044F}\\x{104B0}-"
    "\\x{104D3}\\x{104D8}-\\x{104FB}\\x{10C80}-\\x{10CB2}\\x{10CC0}-\\x{10CF2}"
    "\\x{118A0}-\\x{118DF}\\x{1E900}-\\x{1E943}]+";
static const char DEEPSEEK_SIGNS[] =
    "\\s?[!-/:-~\\x{FF01}-\\x{FF0F}\\x{FF1A}-\\x{FF5E}\\x{2018}-\\x{201F}"
    "\\x{3000}-\\x{3002}]+";
static const char LAST_BLANKS[] = "\\s+$";
static const char DEEPSEEK_CJK[] =
    "[\\x{4E00}-\\x{9FA5}\\x{800}-\\x{4E00}\\x{AC00}-\\x{D7FF}]+";
static const char DIGITS[] = "\\p{N}+";
static const char LETTERS[] = "\\s?\\p{L}+";
static const char SIGNS[] = "\\s?\\p{P}+";
static const char DIGITS_3[] = "\\p{N}{1,3}";
static const char DEEPSEEK3_CJK[] =
    "[\\x{4E00}-\\x{9FA5}\\x{3040}-\\x{309F}\\x{30A0}-\\x{30FF}]+";
static const char DEEPSEEK3[] =
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\"
    "p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|"
    "\\s+";
static const char FALCON_SIGNS[] = "[\\p{P}\\$\\+<=>\\^~\\|`]+";
static const char THREE_DIGITS[] = "[0-9][0-9][0-9]";
static const char GPT4O[] =
    "[^\\r\\n\\p{L}\\p{N}]?((?=[\\p{L}])([^a-z]))*((?=[\\p{L}])([^A-Z]))+(?:'[sS]"
    "|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?|[^\\r\\n\\p{L}\\p{N}]?((?"
    "=[\\p{L}])([^a-z]))+((?=[\\p{L}])([^A-Z]))*(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE"
    "]|'[mM]|'[lL][lL]|'[dD])?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*["
    "\\r\\n]+|\\s+(?!\\S)|\\s+";
static const char TEKKEN[] =
    "[^\\r\\n\\p{L}\\p{N}]?((?=[\\p{L}])([^a-z]))*((?=[\\p{L}])([^A-Z]))+|[^\\r\\"
    "n\\p{L}\\p{N}]?((?=[\\p{L}])([^a-z]))+((?=[\\p{L}])([^A-Z]))*|\\p{N}| ?[^\\s"
    "\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
static const char BLOOM[] =
    " ?[^(\\s|.,!?\\x{2026}\\x{3002}\\x{FF0C}\\x{3001}\\x{964}\\x{6D4}\\x{60C})]+";

#define MAX_EXPRESSIONS 6

typedef struct pre {
    const char *name;
    const char *expressions[MAX_EXPRESSIONS + 1];
} pre;

static const pre pres[] = {
    {"gpt-2", {GPT2}},
    {"mpt", {GPT2}},
    {"olmo", {GPT2}},
    {"starcoder", {DIGIT, GPT2}},
    {"refact", {DIGIT, GPT2}},
    {"command-r", {DIGIT, GPT2}},
    {"smollm", {DIGIT, GPT2}},
    {"codeshell", {DIGIT, GPT2}},
    {"llama-bpe", {LLAMA3}},
    {"dbrx", {LLAMA3}},
    {"smaug-bpe", {LLAMA3}},
    {"qwen2", {QWEN2}},
    {"stablelm2", {QWEN2}},
    {"qwen35", {QWEN35}},
    {"deepseek-llm",
     {LINE_END, DEEPSEEK_LETTERS, DEEPSEEK_SIGNS, LAST_BLANKS, DEEPSEEK_CJK, DIGITS}},
    {"deepseek-coder", {LINE_END, LETTERS, SIGNS, DEEPSEEK_CJK, DIGIT}},
    {"deepseek-v3", {DIGITS_3, DEEPSEEK3_CJK, DEEPSEEK3}},
    {"falcon", {FALCON_SIGNS, GPT2, THREE_DIGITS}},
    {"gpt-4o", {GPT4O}},
    {"tekken", {TEKKEN}},
    {"bloom", {BLOOM}},
    {"chatglm-bpe", {LLAMA3}},
    {"viking", {BLOOM, DIGIT}},
    {"poro-chat", {BLOOM}},
};

static const struct {
    const char *name, *means;
} aliases[] = {
    {"llama3", "llama-bpe"},       {"llama-v3", "llama-bpe"}, {"falcon3", "llama-bpe"},
    {"lfm2", "llama-bpe"},         {"phi-2", "gpt-2"},        {"roberta-bpe", "gpt-2"},
    {"deepseek-r1-qwen", "qwen2"}, {"glm4", "chatglm-bpe"},   {"llama4", "gpt-4o"},
};

/* Words that are tokens are taken whole, without merging. */
static const char *const whole_words[] = {"llama-bpe", "tekken"};

static bool is_name(const char *known, const char *name, size_t n)
{
    return strlen(known) == n && memcmp(known, name, n) == 0;
}

bool tkx__pre_find(const char *name, size_t n, tkx__pre *out)
{
    for (size_t i = 0; i < sizeof aliases / sizeof aliases[0]; i++) {
        if (is_name(aliases[i].name, name, n)) {
            name = aliases[i].means;
            n = strlen(name);
            break;
        }
    }
    for (size_t i = 0; i < sizeof pres / sizeof pres[0]; i++) {
        if (!is_name(pres[i].name, name, n))
            continue;
        *out = (tkx__pre){.expressions = pres[i].expressions};
        for (size_t j = 0; j < sizeof whole_words / sizeof whole_words[0]; j++)
            out->ignores_merges |= strcmp(whole_words[j], pres[i].name) == 0;
        out->adds_bos = strcmp(pres[i].name, "llama-bpe") == 0;
        return true;
    }
    return false;
}

void tkx__pre_list(tkx__buf *out)
{
    for (size_t i = 0; i < sizeof pres / sizeof pres[0]; i++)
        tkx__buf_printf(out, "%s%s", i ? ", " : "", pres[i].name);
    for (size_t i = 0; i < sizeof aliases / sizeof aliases[0]; i++)
        tkx__buf_printf(out, ", %s", aliases[i].name);
}
