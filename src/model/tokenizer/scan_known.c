/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan_known.c - which splitting expressions are well known, as tokenizer.json files,
 * GGUF readers and tiktoken spell them, and the choice between our scanners and PCRE2.
 */
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "model/tokenizer/regex.h"
#include "model/tokenizer/scan.h"

#define GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+"
#define GPT2_SHORT "'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+"
#define ANY_CASE "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define SPELT "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
#define WORD "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+"
#define MARKED "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+"
#define SIGNS "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
#define SIGNS_OR_SLASH "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*"
#define SIGNS_NO_MARKS "| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*"
#define BLANKS "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define LEAD "[^\\r\\n\\p{L}\\p{N}]?"
#define UPPERS "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWERS "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define ASCII_UPPERS "((?=[\\p{L}])([^a-z]))"
#define ASCII_LOWERS "((?=[\\p{L}])([^A-Z]))"
#define CASED(u, l, end) LEAD u "*" l "+" end "|" LEAD u "+" l "*" end

static const struct {
    const char *expression;
    tkx__scan_fn *scan;
} known[] = {
    {GPT2 "|\\s+(?!\\S)|\\s+", tkx__scan_gpt2},
    {GPT2 "|\\s+(?!\\S)", tkx__scan_gpt2}, /* a lone blank is left over: the same piece */
    {GPT2_SHORT "|\\s+(?!\\S)|\\s+", tkx__scan_gpt2},
    {ANY_CASE WORD "|\\p{N}{1,3}" SIGNS BLANKS, tkx__scan_llama3},
    {SPELT WORD "|\\p{N}{1,3}" SIGNS BLANKS, tkx__scan_llama3_gguf},
    {ANY_CASE WORD "|\\p{N}" SIGNS BLANKS, tkx__scan_qwen2},
    {SPELT WORD "|\\p{N}" SIGNS BLANKS, tkx__scan_qwen2_gguf},
    {ANY_CASE MARKED "|\\p{N}" SIGNS_NO_MARKS BLANKS, tkx__scan_qwen35},
    {SPELT MARKED "|\\p{N}" SIGNS_NO_MARKS BLANKS, tkx__scan_qwen35_gguf},
    {CASED(UPPERS, LOWERS, ANY_CASE "?") "|\\p{N}{1,3}" SIGNS_OR_SLASH BLANKS,
     tkx__scan_o200k},
    {CASED(ASCII_UPPERS, ASCII_LOWERS, SPELT "?") "|\\p{N}{1,3}" SIGNS_OR_SLASH BLANKS,
     tkx__scan_o200k_gguf},
    {CASED(UPPERS, LOWERS, "") "|\\p{N}" SIGNS_OR_SLASH BLANKS, tkx__scan_tekken},
    {CASED(ASCII_UPPERS, ASCII_LOWERS, "") "|\\p{N}" SIGNS_OR_SLASH BLANKS,
     tkx__scan_tekken_gguf},
    {"[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?"
     "[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*" BLANKS,
     tkx__scan_deepseek3},
};

/* Equal, where a line end in the one may be written \r or \n in the other. */
static bool is_same(const char *known_one, const char *text, size_t n)
{
    size_t at = 0;

    for (; *known_one; known_one++, at++) {
        if (at >= n)
            return false;
        if (*known_one == '\\' && ((known_one[1] == 'n' && text[at] == '\n') ||
                                   (known_one[1] == 'r' && text[at] == '\r')))
            known_one++;
        else if (*known_one != text[at])
            return false;
    }
    return at == n;
}

tkx__scan_fn *tkx__scan_known(const char *expression, size_t n)
{
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (is_same(known[i].expression, expression, n))
            return known[i].scan;
    return NULL;
}

const char *tkx__scan_known_at(size_t i)
{
    return i < sizeof known / sizeof known[0] ? known[i].expression : NULL;
}

tkx_status tkx__splitter_init_regex(tkx__splitter *splitter, const char *expression,
                                    size_t n, tkx_error **err)
{
    *splitter = (tkx__splitter){0};
    return tkx__regex_new(expression, n, &splitter->regex, err);
}

tkx_status tkx__splitter_init(tkx__splitter *splitter, const char *expression, size_t n,
                              tkx_error **err)
{
    bool is_failed;

    *splitter = (tkx__splitter){.scan = tkx__scan_known(expression, n)};
    if (splitter->scan)
        return TKX_OK;
    if (tkx__run_parse(&splitter->run, expression, n, &is_failed)) {
        splitter->scan = tkx__scan_run;
        return TKX_OK;
    }
    if (is_failed)
        return tkx__fail_memory(err);
    return tkx__splitter_init_regex(splitter, expression, n, err);
}

static size_t scan_text(const tkx__splitter *splitter, const uint8_t *text, size_t at,
                        size_t end, size_t *start)
{
    for (; end - at >= splitter->text_size; at++) {
        const uint8_t *found = memchr(text + at, splitter->text[0], end - at);

        if (!found)
            break;
        at = (size_t)(found - text);
        if (end - at < splitter->text_size)
            break;
        if (memcmp(found, splitter->text, splitter->text_size) == 0) {
            *start = at;
            return at + splitter->text_size;
        }
    }
    *start = end;
    return end;
}

tkx_status tkx__splitter_init_text(tkx__splitter *splitter, const char *text, size_t n,
                                   tkx_error **err)
{
    *splitter = (tkx__splitter){.scan = scan_text, .text_size = n};
    if (n == 0)
        return tkx__fail(err, TKX_ERR_PARSE, "a split pattern is an empty text");
    splitter->text = tkx__memdup(text, n);
    return splitter->text ? TKX_OK : tkx__fail_memory(err);
}

void tkx__splitter_clear(tkx__splitter *splitter)
{
    tkx__run_clear(&splitter->run);
    tkx__regex_free(splitter->regex);
    tkx__free(splitter->text);
    *splitter = (tkx__splitter){0};
}

tkx_status tkx__splitter_next(const tkx__splitter *splitter, const uint8_t *text,
                              size_t at, size_t end, size_t *start, size_t *stop,
                              tkx_error **err)
{
    if (!splitter->scan)
        return tkx__regex_next(splitter->regex, text, at, end, start, stop, err);
    *stop = splitter->scan(splitter, text, at, end, start);
    return TKX_OK;
}
