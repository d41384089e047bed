/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan_block.c - pieces of ASCII text from bit masks.
 *
 * Bit i of a mask speaks of text[i].  A rule looks two characters ahead at most, so that
 * what stands up to the third last character in front of the first that is not ASCII is
 * known; the one rule that looks further (where the blanks behind the last line end of a
 * run begin) lowers that bound itself.
 */
#include "model/tokenizer/scan_block.h"

#include <string.h>

#include "model/tokenizer/pre_names.h"
#include "model/tokenizer/pretok.h"
#include "model/tokenizer/vec16.h"

#if defined(TKX__HAS_VEC16)

#define FORCE_INLINE TKX__FORCE_INLINE
#define LOOK_AHEAD 2

typedef struct block {
    tkx__vec q[4];
} block;

FORCE_INLINE block load_block(const uint8_t *text)
{
    return (block){{tkx__vec_load(text), tkx__vec_load(text + 16),
                    tkx__vec_load(text + 32), tkx__vec_load(text + 48)}};
}

FORCE_INLINE uint64_t where_is(const block *b, uint8_t c)
{
    return tkx__vec_bits_of(tkx__vec_is(b->q[0], c), tkx__vec_is(b->q[1], c),
                            tkx__vec_is(b->q[2], c), tkx__vec_is(b->q[3], c));
}

FORCE_INLINE uint64_t where_in(const block *b, uint8_t first, uint8_t n)
{
    return tkx__vec_bits_of(
        tkx__vec_is_in(b->q[0], first, n), tkx__vec_is_in(b->q[1], first, n),
        tkx__vec_is_in(b->q[2], first, n), tkx__vec_is_in(b->q[3], first, n));
}

FORCE_INLINE block folded(const block *b)
{
    const tkx__vec bit = tkx__vec_each(0x20);

    return (block){{tkx__vec_either(b->q[0], bit), tkx__vec_either(b->q[1], bit),
                    tkx__vec_either(b->q[2], bit), tkx__vec_either(b->q[3], bit)}};
}

/* ---- classes ---- */

typedef struct classes {
    uint64_t letters, digits, spaces, blanks, line_ends, signs, high;
    unsigned first_high; /* the first character that no mask speaks of; 64: none */
} classes;

FORCE_INLINE uint64_t below(unsigned n)
{
    return n >= 64 ? UINT64_MAX : (UINT64_C(1) << n) - 1;
}

FORCE_INLINE classes classify(const block *b)
{
    const block lower = folded(b);
    classes c = {.letters = where_in(&lower, 'a', 26),
                 .digits = where_in(b, '0', 10),
                 .blanks = where_is(b, ' '),
                 .line_ends = where_is(b, '\n') | where_is(b, '\r'),
                 .high = where_in(b, 0x80, 0x80)};

    c.spaces = c.blanks | where_in(b, '\t', 5);
    c.signs = ~(c.letters | c.digits | c.spaces);
    return c;
}

/* Control characters are no signs to these rules either: they are left alone. */
FORCE_INLINE void shun_controls(classes *c, const block *b)
{
    c->high |= (where_in(b, 0, ' ') & ~c->spaces) | where_is(b, 0x7F);
}

/* Which bits can be told; the first is no news. */
FORCE_INLINE uint64_t known_bits(classes *c)
{
    c->first_high = c->high ? (unsigned)__builtin_ctzll(c->high) : TKX__BLOCK;
    return c->first_high > LOOK_AHEAD ? below(c->first_high - LOOK_AHEAD) & ~UINT64_C(1)
                                      : 0;
}

/* The bits of the characters before, and behind. */
#define BEFORE(mask) ((mask) << 1)
#define BEHIND(mask) ((mask) >> 1)

/* The first character of each run. */
FORCE_INLINE uint64_t firsts(uint64_t mask)
{
    return mask & ~BEFORE(mask);
}

/* Of each run of digits the first, and every third from there. */
FORCE_INLINE uint64_t threes(uint64_t digits)
{
    uint64_t at = firsts(digits), all = at;

    while (at) {
        at = at << 3 & digits & digits << 1 & digits << 2;
        all |= at;
    }
    return all;
}

/* ---- contractions ---- */

/* Characters of the contraction whose apostrophe is at p; 0: none. */
FORCE_INLINE unsigned contraction(const uint8_t *p, bool is_any_case)
{
    const uint8_t fold = is_any_case ? 0x20 : 0;
    const uint8_t a = p[1] | fold, b = p[2] | fold;

    if (a == 's' || a == 't' || a == 'm' || a == 'd')
        return 2;
    return (a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l') ? 3
                                                                                      : 0;
}

/* Contractions that are pieces of their own: each begins one, and so does what follows.
 */
FORCE_INLINE uint64_t with_contractions(uint64_t starts, uint64_t quotes,
                                        const uint8_t *text, bool is_any_case)
{
    for (quotes &= starts; quotes; quotes &= quotes - 1) {
        unsigned at = (unsigned)__builtin_ctzll(quotes);
        unsigned n =
            at < TKX__BLOCK - LOOK_AHEAD ? contraction(text + at, is_any_case) : 0;

        if (n > 0) {
            starts &= ~(below(n) << at << 1);
            starts |= UINT64_C(1) << at | (UINT64_C(1) << at) << n;
        }
    }
    return starts;
}

/* Contractions that end a word; the next one begins behind them. */
FORCE_INLINE uint64_t with_endings(uint64_t starts, uint64_t quotes, const uint8_t *text)
{
    unsigned stop = TKX__BLOCK;

    for (; quotes; quotes &= quotes - 1) {
        unsigned at = (unsigned)__builtin_ctzll(quotes);
        unsigned n =
            at != stop && at < TKX__BLOCK - LOOK_AHEAD ? contraction(text + at, true) : 0;

        if (n > 0) {
            stop = at + n;
            starts &= ~(below(n) << at);
            starts |= (UINT64_C(1) << at) << n;
        }
    }
    return starts;
}

/* ---- GPT-2 ---- */

FORCE_INLINE uint64_t gpt2_block(const uint8_t *text, bool has_single_digits)
{
    const block b = load_block(text);
    classes c = classify(&b);
    const uint64_t known = known_bits(&c);
    const uint64_t last = has_single_digits ? ~(c.spaces | c.digits) : ~c.spaces;
    uint64_t starts = (firsts(c.letters) | firsts(c.signs)) & ~BEFORE(c.blanks);

    starts |= has_single_digits ? c.digits : firsts(c.digits) & ~BEFORE(c.blanks);
    starts |= firsts(c.spaces) | (c.spaces & BEHIND(last));
    starts = with_contractions(starts, where_is(&b, '\''), text, false);
    return starts & known;
}

/* ---- the family of scan_words.c ---- */

typedef struct rules {
    bool has_case, has_slash;
    enum { NO_CONTRACTIONS, CONTRACTIONS, ENDINGS } contractions;
    bool has_single_digits;
    bool cuts_digits_first; /* blanks in front of digits end a piece's text */
    bool has_controls;      /* control characters are signs */
} rules;

/* Line ends (and slashes) that follow signs and belong to them. */
FORCE_INLINE uint64_t trailing(uint64_t signs, uint64_t line_ends, uint64_t slashes)
{
    uint64_t all = BEFORE(signs) & line_ends, more = all;

    while (more) {
        more = BEFORE(more) & (line_ends | slashes) & ~all;
        all |= more;
    }
    return all;
}

/*
 * Blanks behind a line end begin a piece when no further line end follows them.  Those
 * that follow is not known end what is known.
 */
FORCE_INLINE uint64_t indents(uint64_t candidates, const classes *c, uint64_t blanks,
                              uint64_t *known)
{
    uint64_t starts = 0;

    for (; candidates; candidates &= candidates - 1) {
        unsigned at = (unsigned)__builtin_ctzll(candidates);
        uint64_t others = ~blanks >> at;
        unsigned stop = at + (others ? (unsigned)__builtin_ctzll(others) : TKX__BLOCK);

        if (stop >= c->first_high) {
            *known &= below(at);
            break;
        }
        if (!(c->line_ends >> stop & 1))
            starts |= UINT64_C(1) << at;
    }
    return starts;
}

FORCE_INLINE uint64_t blank_starts(const classes *c, uint64_t taken, bool cuts_digits,
                                   uint64_t *known)
{
    const uint64_t blanks = c->spaces & ~c->line_ends;
    const uint64_t last =
        blanks & BEHIND(cuts_digits ? ~(c->spaces | c->digits) : ~c->spaces);
    const uint64_t indented = blanks & BEFORE(c->line_ends) & ~last;
    const uint64_t free_ones = indented & BEFORE(taken);
    uint64_t starts = firsts(c->spaces) & ~taken;

    starts |= last | free_ones;
    return starts | indents(indented & ~free_ones, c, blanks, known);
}

FORCE_INLINE uint64_t family_block(const uint8_t *text, rules r)
{
    const block b = load_block(text);
    classes c = classify(&b);
    uint64_t known, taken, signs, first_signs, words, starts;

    if (!r.has_controls)
        shun_controls(&c, &b);
    known = known_bits(&c);
    taken = trailing(c.signs, c.line_ends, r.has_slash ? where_is(&b, '/') : 0);
    signs = c.signs & ~taken;
    first_signs = firsts(signs) & ~BEFORE(c.blanks);
    words = firsts(c.letters);
    if (r.has_case) {
        const uint64_t lower = where_in(&b, 'a', 26);

        words |= c.letters & ~lower & BEFORE(lower);
    }
    words &= ~BEFORE(c.spaces & ~c.line_ends);
    words &= ~BEFORE(first_signs & BEHIND(c.letters)); /* a sign leads the word */
    starts = words | first_signs;
    starts |= r.has_single_digits ? c.digits : threes(c.digits);
    starts |= blank_starts(&c, taken, r.cuts_digits_first, &known);
    if (r.contractions == CONTRACTIONS)
        starts = with_contractions(starts, where_is(&b, '\''), text, true);
    else if (r.contractions == ENDINGS)
        starts = with_endings(starts, where_is(&b, '\'') & BEFORE(c.letters), text);
    return starts & known;
}

/* ---- deepseek: classes one after the other, each with a blank before it ---- */

FORCE_INLINE uint64_t deepseek_block(const uint8_t *text, bool is_coder)
{
    const block b = load_block(text);
    classes c = classify(&b);
    const uint64_t symbols = where_is(&b, '$') | where_is(&b, '+') |
                             where_in(&b, '<', 3) | where_is(&b, '^') |
                             where_is(&b, '`') | where_is(&b, '|') | where_is(&b, '~');
    const uint64_t blanks = c.spaces & ~c.line_ends;
    uint64_t rest = blanks, led, known, starts;

    shun_controls(&c, &b);
    known = known_bits(&c);
    if (is_coder) {
        rest |= symbols;
        c.signs &= ~symbols;
    }
    led = c.letters | c.signs;
    starts = (firsts(c.letters) | firsts(c.signs)) & ~BEFORE(blanks);
    starts |= c.line_ends | (is_coder ? c.digits : firsts(c.digits));
    starts |= firsts(rest) | (blanks & BEHIND(led));
    return starts & known;
}

/* ---- one function for each expression ---- */

static uint64_t gpt2(const uint8_t *text)
{
    return gpt2_block(text, false);
}

static uint64_t gpt2_digits(const uint8_t *text)
{
    return gpt2_block(text, true);
}

#define DEFINE_FAMILY(name, ...)                                                         \
    static uint64_t name(const uint8_t *text)                                            \
    {                                                                                    \
        return family_block(text, (rules){__VA_ARGS__});                                 \
    }

DEFINE_FAMILY(llama3, .contractions = CONTRACTIONS, .has_controls = true)
DEFINE_FAMILY(qwen2, .contractions = CONTRACTIONS, .has_controls = true,
              .has_single_digits = true)
DEFINE_FAMILY(o200k, .contractions = ENDINGS, .has_controls = true, .has_case = true,
              .has_slash = true)
DEFINE_FAMILY(tekken, .has_controls = true, .has_case = true, .has_slash = true,
              .has_single_digits = true)
DEFINE_FAMILY(deepseek3, .cuts_digits_first = true)

static uint64_t deepseek_llm(const uint8_t *text)
{
    return deepseek_block(text, false);
}

static uint64_t deepseek_coder(const uint8_t *text)
{
    return deepseek_block(text, true);
}

static const struct {
    tkx__scan_fn *scan;
    tkx__block_fn *block;
} of_scanners[] = {
    {tkx__scan_gpt2, gpt2},          {tkx__scan_llama3, llama3},
    {tkx__scan_llama3_gguf, llama3}, {tkx__scan_qwen2, qwen2},
    {tkx__scan_qwen2_gguf, qwen2},   {tkx__scan_qwen35, qwen2},
    {tkx__scan_qwen35_gguf, qwen2},  {tkx__scan_o200k, o200k},
    {tkx__scan_o200k_gguf, o200k},   {tkx__scan_tekken, tekken},
    {tkx__scan_tekken_gguf, tekken},
};

/* Cuts one inside the other, by the name of one that has them. */
static const struct {
    const char *pre;
    tkx__block_fn *block;
} of_names[] = {
    {"starcoder", gpt2_digits},
    {"deepseek-v3", deepseek3},
    {"deepseek-llm", deepseek_llm},
    {"deepseek-coder", deepseek_coder},
};

/* Whether a splitter finds what an expression finds. */
static bool is_like(const tkx__splitter *splitter, const char *expression)
{
    size_t n = strlen(expression);
    bool is_failed, is_same;
    tkx__run run;

    if (splitter->scan != tkx__scan_run)
        return splitter->scan && splitter->scan == tkx__scan_known(expression, n);
    if (!tkx__run_parse(&run, expression, n, &is_failed))
        return false;
    is_same = tkx__run_is_same(&splitter->run, &run);
    tkx__run_clear(&run);
    return is_same;
}

static bool has_cuts_of(const tkx__pretok *pretok, const char *name)
{
    tkx__pre pre;

    if (!tkx__pre_find(name, strlen(name), &pre))
        return false;
    for (size_t i = 0; i < pretok->n_cuts; i++)
        if (!pre.expressions[i] ||
            !is_like(&pretok->cuts[i].splitter, pre.expressions[i]))
            return false;
    return !pre.expressions[pretok->n_cuts];
}

tkx__block_fn *tkx__block_for(const tkx__pretok *pretok)
{
    if (!pretok->is_plain)
        return NULL;
    for (size_t i = 0; i < sizeof of_scanners / sizeof of_scanners[0]; i++)
        if (pretok->n_cuts == 1 && pretok->cuts[0].splitter.scan == of_scanners[i].scan)
            return of_scanners[i].block;
    for (size_t i = 0; i < sizeof of_names / sizeof of_names[0]; i++)
        if (has_cuts_of(pretok, of_names[i].pre))
            return of_names[i].block;
    return NULL;
}

#else

tkx__block_fn *tkx__block_for(const tkx__pretok *pretok)
{
    (void)pretok;
    return NULL;
}

#endif
