/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan_words.c - the expressions that split text into words, numbers, signs and blanks.
 *
 * They are one family.  In the order of its alternatives, an expression takes
 *
 *     a contraction            's 't 're 've 'm 'll 'd, maybe in any letter case
 *     a word                   one sign or blank before it, then letters
 *     a number                 up to so many digits
 *     signs                    a blank before them, line ends (or slashes) after them
 *     blanks up to line ends, blanks but the last one, blanks
 *
 * so that one function with constant parameters, inlined once for each expression, does
 * for all of them.  Where an expression has no alternative for a character, what it
 * leaves between two matches is the same piece as the match of the nearest relative here.
 *
 * `(?i:'s)` also means U+017F (long s), as Unicode folds case; `'[sS]` does not.
 */
#include "model/tokenizer/scan.h"

#include <string.h>

#include "model/tokenizer/unicode.h"
#include "model/tokenizer/utf8.h"

typedef enum case_rule {
    CASE_NONE,  /* a word is a run of letters; contractions come first */
    CASE_SPLIT, /* upper, then lower; a contraction belongs to the word */
    CASE_ASCII  /* the same where only A-Z and a-z have a case */
} case_rule;

typedef struct family {
    case_rule rule;
    bool has_marks;       /* words are letters and marks, signs are no marks */
    bool has_slash;       /* signs are followed by line ends and slashes */
    bool no_contractions; /* after a cased word */
    bool has_long_s;      /* contractions fold case as Unicode does */
    size_t max_digits;
} family;

#define FORCE_INLINE static inline __attribute__((always_inline))

FORCE_INLINE uint8_t flags_at(const uint8_t *text, size_t at, size_t *len)
{
    return tkx__unicode_flags_at(text + at, len);
}

#define EACH(c) (UINT64_C(0x0101010101010101) * (c))

/* Past ASCII letters, eight at a time; what is left of them, up to seven at the end of
   the text, is not looked at.  The end of a word is found without a branch on its length,
   which nothing predicts. */
FORCE_INLINE size_t past_letters(const uint8_t *text, size_t at, size_t end)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    while (end - at >= 8) {
        uint64_t word, low, is_letter, others;

        memcpy(&word, text + at, 8);
        low = (word | EACH(0x20)) & EACH(0x7F);
        is_letter = (low + EACH(0x80 - 'a')) & ~(low + EACH(0x7F - 'z')) & ~word;
        others = ~is_letter & EACH(0x80);
        if (others)
            return at + (size_t)__builtin_ctzll(others) / 8;
        at += 8;
    }
#else
    (void)text;
    (void)end;
#endif
    return at;
}

/* End of the run of characters with any flag of mask. */
FORCE_INLINE size_t run_of(const uint8_t *text, size_t at, size_t end, uint8_t mask)
{
    size_t len;

    if (mask & TKX__UNI_L)
        at = past_letters(text, at, end);
    while (at < end && (flags_at(text, at, &len) & mask))
        at += len;
    return at;
}

/* End of the run of characters with no flag of mask. */
FORCE_INLINE size_t run_without(const uint8_t *text, size_t at, size_t end, uint8_t mask)
{
    size_t len;

    while (at < end && !(flags_at(text, at, &len) & mask))
        at += len;
    return at;
}

FORCE_INLINE bool is_line_end(uint8_t c)
{
    return c == '\n' || c == '\r';
}

FORCE_INLINE uint8_t folded(uint8_t c, bool is_any_case)
{
    return is_any_case && c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

/* End of the contraction at `at`, where an apostrophe stands; at when there is none. */
static size_t contraction(const uint8_t *text, size_t at, size_t end, bool is_any_case,
                          bool has_long_s)
{
    uint8_t a, b;

    if (end - at < 2)
        return at;
    a = folded(text[at + 1], is_any_case);
    if (a == 's' || a == 't' || a == 'm' || a == 'd')
        return at + 2;
    if (end - at < 3)
        return at;
    if (has_long_s && text[at + 1] == 0xC5 && text[at + 2] == 0xBF) /* U+017F */
        return at + 3;
    b = folded(text[at + 2], is_any_case);
    if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l'))
        return at + 3;
    return at;
}

/* \s: at least one stands at `at`.  Line-end rules: up to the last line end of the run.
 */
FORCE_INLINE size_t blanks(const uint8_t *text, size_t at, size_t end, bool has_line_ends)
{
    size_t last = at, line = at, stop = at;
    size_t len;

    while (stop < end && (flags_at(text, stop, &len) & TKX__UNI_SPACE)) {
        if (is_line_end(text[stop]))
            line = stop + 1;
        last = stop;
        stop += len;
    }
    if (has_line_ends && line > at)
        return line;
    if (stop == end || last == at)
        return stop;
    return last; /* the last blank goes to the word behind it */
}

FORCE_INLINE size_t digits(const uint8_t *text, size_t at, size_t end, size_t max)
{
    size_t len;

    for (size_t n = 0; at < end && n < max; n++) {
        if (!(flags_at(text, at, &len) & TKX__UNI_N))
            break;
        at += len;
    }
    return at;
}

/* ---- words with letter case ---- */

enum { UPPERS = 1, LOWERS = 2 };

/* Which of the two runs the character may stand in. */
FORCE_INLINE unsigned sides(const uint8_t *text, size_t at, case_rule rule, size_t *len)
{
    uint8_t flags = flags_at(text, at, len);

    if (rule == CASE_SPLIT) {
        if (flags & TKX__UNI_UPPER)
            return UPPERS;
        if (flags & TKX__UNI_LOWER)
            return LOWERS;
        return flags & (TKX__UNI_L | TKX__UNI_M) ? UPPERS | LOWERS : 0;
    }
    if (!(flags & TKX__UNI_L))
        return 0;
    if (text[at] >= 0x80)
        return UPPERS | LOWERS;
    return flags & TKX__UNI_UPPER ? UPPERS : LOWERS;
}

FORCE_INLINE size_t lowers(const uint8_t *text, size_t at, size_t end, case_rule rule)
{
    size_t len;

    while (at < end && (sides(text, at, rule, &len) & LOWERS))
        at += len;
    return at;
}

/*
 * Uppers* Lowers+ from `at`: the first run is greedy, and gives back down to its last
 * character that may be lower when no lower follows it.  at when there is no match.
 */
FORCE_INLINE size_t upper_lower(const uint8_t *text, size_t at, size_t end,
                                case_rule rule, size_t *uppers_end)
{
    size_t stop = at, give_back = at;
    unsigned side;
    size_t len;

    while (stop < end && ((side = sides(text, stop, rule, &len)) & UPPERS)) {
        stop += len;
        if (side & LOWERS)
            give_back = stop;
    }
    *uppers_end = stop;
    if (stop < end && (sides(text, stop, rule, &len) & LOWERS))
        return lowers(text, stop, end, rule);
    return give_back;
}

FORCE_INLINE size_t with_contraction(const uint8_t *text, size_t at, size_t end, family f)
{
    if (!f.no_contractions && at < end && text[at] == '\'')
        return contraction(text, at, end, true, f.has_long_s);
    return at;
}

/* A word from `at`, `lead` bytes of which are the sign before it; at when there is none.
 */
FORCE_INLINE size_t cased_word(const uint8_t *text, size_t at, size_t end, size_t lead,
                               family f)
{
    size_t uppers[2] = {at, at};
    size_t stop;

    /* Uppers* Lowers+, with the sign and, when it may stand in a word itself, without. */
    stop = lead ? upper_lower(text, at + lead, end, f.rule, &uppers[1]) : at;
    if (lead && stop > at + lead)
        return with_contraction(text, stop, end, f);
    stop = upper_lower(text, at, end, f.rule, &uppers[0]);
    if (stop > at)
        return with_contraction(text, stop, end, f);
    /* Uppers+ Lowers*, likewise; lowers would have matched above. */
    if (lead && uppers[1] > at + lead)
        return with_contraction(text, uppers[1], end, f);
    if (uppers[0] > at)
        return with_contraction(text, uppers[0], end, f);
    return at;
}

/* ---- the family ---- */

FORCE_INLINE size_t scan_family(const uint8_t *text, size_t at, size_t end, family f)
{
    const uint8_t word = f.has_marks ? TKX__UNI_L | TKX__UNI_M : TKX__UNI_L;
    const uint8_t not_sign =
        TKX__UNI_SPACE | TKX__UNI_L | TKX__UNI_N | (f.has_marks ? TKX__UNI_M : 0);
    uint8_t flags, next;
    size_t len, next_len, stop;

    flags = flags_at(text, at, &len);
    if (f.rule == CASE_NONE) {
        if (flags & word)
            return run_of(text, at + len, end, word);
        if (text[at] == '\'') {
            stop = contraction(text, at, end, true, f.has_long_s);
            if (stop > at)
                return stop;
        }
        if (!(flags & (TKX__UNI_L | TKX__UNI_N)) && !is_line_end(text[at]) &&
            at + len < end) {
            next = flags_at(text, at + len, &next_len);
            if (next & word)
                return run_of(text, at + len + next_len, end, word);
        }
    } else {
        bool may_lead = !(flags & (TKX__UNI_L | TKX__UNI_N)) && !is_line_end(text[at]);

        stop = cased_word(text, at, end, may_lead ? len : 0, f);
        if (stop > at)
            return stop;
    }
    if (flags & TKX__UNI_N)
        return digits(text, at, end, f.max_digits);
    stop = at;
    if (!(flags & not_sign)) {
        stop = run_without(text, at + len, end, not_sign);
    } else if (text[at] == ' ' && at + 1 < end) {
        next = flags_at(text, at + 1, &next_len);
        if (!(next & not_sign))
            stop = run_without(text, at + 1 + next_len, end, not_sign);
    }
    if (stop > at) {
        while (stop < end &&
               (is_line_end(text[stop]) || (f.has_slash && text[stop] == '/')))
            stop++;
        return stop;
    }
    if (flags & TKX__UNI_SPACE)
        return blanks(text, at, end, true);
    return at + len;
}

size_t tkx__scan_gpt2(const tkx__splitter *splitter, const uint8_t *text, size_t at,
                      size_t end, size_t *start)
{
    const uint8_t classes = TKX__UNI_SPACE | TKX__UNI_L | TKX__UNI_N;
    size_t len, from = at;
    uint8_t flags;

    (void)splitter;
    *start = at;
    if (at >= end)
        return end;
    if (text[at] == '\'') {
        size_t stop = contraction(text, at, end, false, false);

        if (stop > at)
            return stop;
    }
    flags = flags_at(text, at, &len);
    if (text[at] == ' ' && at + 1 < end) {
        size_t next_len;
        uint8_t next = flags_at(text, at + 1, &next_len);

        if (!(next & TKX__UNI_SPACE)) {
            from = at + 1;
            flags = next;
            len = next_len;
        }
    }
    if (flags & TKX__UNI_L)
        return run_of(text, from + len, end, TKX__UNI_L);
    if (flags & TKX__UNI_N)
        return run_of(text, from + len, end, TKX__UNI_N);
    if (!(flags & TKX__UNI_SPACE))
        return run_without(text, from + len, end, classes);
    return blanks(text, at, end, false);
}

#define DEFINE_FAMILY(name, ...)                                                         \
    size_t tkx__scan_##name(const tkx__splitter *splitter, const uint8_t *text,          \
                            size_t at, size_t end, size_t *start)                        \
    {                                                                                    \
        (void)splitter;                                                                  \
        *start = at;                                                                     \
        return at < end ? scan_family(text, at, end, (family){__VA_ARGS__}) : end;       \
    }

DEFINE_FAMILY(llama3, .max_digits = 3, .has_long_s = true)
DEFINE_FAMILY(llama3_gguf, .max_digits = 3)
DEFINE_FAMILY(qwen2, .max_digits = 1, .has_long_s = true)
DEFINE_FAMILY(qwen2_gguf, .max_digits = 1)
DEFINE_FAMILY(qwen35, .max_digits = 1, .has_long_s = true, .has_marks = true)
DEFINE_FAMILY(qwen35_gguf, .max_digits = 1, .has_marks = true)
DEFINE_FAMILY(o200k, .rule = CASE_SPLIT, .max_digits = 3, .has_long_s = true,
              .has_slash = true)
DEFINE_FAMILY(o200k_gguf, .rule = CASE_ASCII, .max_digits = 3, .has_slash = true)
DEFINE_FAMILY(tekken, .rule = CASE_SPLIT, .max_digits = 1, .has_slash = true,
              .no_contractions = true)
DEFINE_FAMILY(tekken_gguf, .rule = CASE_ASCII, .max_digits = 1, .has_slash = true,
              .no_contractions = true)

/* ---- deepseek-v3: punctuation and symbols apart; other characters match nothing ---- */

static bool is_ascii_letter(uint8_t c)
{
    return (uint8_t)((c | 0x20) - 'a') < 26;
}

/* End of the match at `at`; at when nothing matches there. */
static size_t deepseek3_at(const uint8_t *text, size_t at, size_t end)
{
    const uint8_t word = TKX__UNI_L | TKX__UNI_M, sign = TKX__UNI_P | TKX__UNI_S;
    size_t len, next_len = 0, from = at;
    uint8_t flags = flags_at(text, at, &len), next = 0;

    if (at + len < end)
        next = flags_at(text, at + len, &next_len);
    if (text[at] < 0x80 && (flags & sign) && next_len == 1 &&
        is_ascii_letter(text[at + 1])) {
        for (at++; at < end && is_ascii_letter(text[at]);)
            at++;
        return at;
    }
    if (flags & word)
        return run_of(text, at + len, end, word);
    if (!(flags & (TKX__UNI_L | sign)) && !is_line_end(text[at]) && (next & word))
        return run_of(text, at + len + next_len, end, word);
    if (text[at] == ' ' && (next & sign))
        from = at + 1;
    if (from > at || (flags & sign)) {
        at = run_of(text, from, end, sign);
        while (at < end && is_line_end(text[at]))
            at++;
        return at;
    }
    return flags & TKX__UNI_SPACE ? blanks(text, at, end, true) : at;
}

size_t tkx__scan_deepseek3(const tkx__splitter *splitter, const uint8_t *text, size_t at,
                           size_t end, size_t *start)
{
    (void)splitter;
    for (; at < end; at += tkx__utf8_len(text[at])) {
        size_t stop = deepseek3_at(text, at, end);

        if (stop > at) {
            *start = at;
            return stop;
        }
    }
    *start = end;
    return end;
}
