/* SPDX-License-Identifier: Apache-2.0 */
/* json_parts.c - from components to the steps of a normaliser and the cuts of a
   pre-tokenizer. */
#include "model/tokenizer/json_parts.h"

#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "model/tokenizer/build.h"
#include "model/tokenizer/component.h"
#include "model/tokenizer/utf8.h"

#define GPT2                                                                             \
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

/* What the reference calls punctuation: \p{P} of Unicode 8, and ASCII's symbols. */
static const char punctuation[] =
    "["
    "\\x{21}-\\x{2F}\\x{3A}-\\x{40}\\x{5B}-\\x{60}\\x{7B}-\\x{7E}\\x{A1}\\x{A7}\\x{AB}"
    "\\x{B6}\\x{B7}\\x{BB}\\x{BF}\\x{37E}\\x{387}\\x{55A}-\\x{55F}\\x{589}\\x{58A}"
    "\\x{5BE}\\x{5C0}\\x{5C3}\\x{5C6}\\x{5F3}\\x{5F4}\\x{609}\\x{60A}\\x{60C}\\x{60D}"
    "\\x{61B}\\x{61E}\\x{61F}\\x{66A}-\\x{66D}\\x{6D4}\\x{700}-\\x{70D}\\x{7F7}-"
    "\\x{7F9}\\x{830}-\\x{83E}\\x{85E}\\x{964}\\x{965}\\x{970}\\x{AF0}\\x{DF4}"
    "\\x{E4F}\\x{E5A}\\x{E5B}\\x{F04}-\\x{F12}\\x{F14}\\x{F3A}-\\x{F3D}\\x{F85}"
    "\\x{FD0}-\\x{FD4}\\x{FD9}\\x{FDA}\\x{104A}-\\x{104F}\\x{10FB}\\x{1360}-"
    "\\x{1368}\\x{1400}\\x{166D}\\x{166E}\\x{169B}\\x{169C}\\x{16EB}-\\x{16ED}"
    "\\x{1735}\\x{1736}\\x{17D4}-\\x{17D6}\\x{17D8}-\\x{17DA}\\x{1800}-\\x{180A}"
    "\\x{1944}\\x{1945}\\x{1A1E}\\x{1A1F}\\x{1AA0}-\\x{1AA6}\\x{1AA8}-\\x{1AAD}"
    "\\x{1B5A}-\\x{1B60}\\x{1BFC}-\\x{1BFF}\\x{1C3B}-\\x{1C3F}\\x{1C7E}\\x{1C7F}"
    "\\x{1CC0}-\\x{1CC7}\\x{1CD3}\\x{2010}-\\x{2027}\\x{2030}-\\x{2043}\\x{2045}-"
    "\\x{2051}\\x{2053}-\\x{205E}\\x{207D}\\x{207E}\\x{208D}\\x{208E}\\x{2308}-"
    "\\x{230B}\\x{2329}\\x{232A}\\x{2768}-\\x{2775}\\x{27C5}\\x{27C6}\\x{27E6}-"
    "\\x{27EF}\\x{2983}-\\x{2998}\\x{29D8}-\\x{29DB}\\x{29FC}\\x{29FD}\\x{2CF9}-"
    "\\x{2CFC}\\x{2CFE}\\x{2CFF}\\x{2D70}\\x{2E00}-\\x{2E2E}\\x{2E30}-\\x{2E42}"
    "\\x{3001}-\\x{3003}\\x{3008}-\\x{3011}\\x{3014}-\\x{301F}\\x{3030}\\x{303D}"
    "\\x{30A0}\\x{30FB}\\x{A4FE}\\x{A4FF}\\x{A60D}-\\x{A60F}\\x{A673}\\x{A67E}"
    "\\x{A6F2}-\\x{A6F7}\\x{A874}-\\x{A877}\\x{A8CE}\\x{A8CF}\\x{A8F8}-\\x{A8FA}"
    "\\x{A8FC}\\x{A92E}\\x{A92F}\\x{A95F}\\x{A9C1}-\\x{A9CD}\\x{A9DE}\\x{A9DF}"
    "\\x{AA5C}-\\x{AA5F}\\x{AADE}\\x{AADF}\\x{AAF0}\\x{AAF1}\\x{ABEB}\\x{FD3E}"
    "\\x{FD3F}\\x{FE10}-\\x{FE19}\\x{FE30}-\\x{FE52}\\x{FE54}-\\x{FE61}\\x{FE63}"
    "\\x{FE68}\\x{FE6A}\\x{FE6B}\\x{FF01}-\\x{FF03}\\x{FF05}-\\x{FF0A}\\x{FF0C}-"
    "\\x{FF0F}\\x{FF1A}\\x{FF1B}\\x{FF1F}\\x{FF20}\\x{FF3B}-\\x{FF3D}\\x{FF3F}"
    "\\x{FF5B}\\x{FF5D}\\x{FF5F}-\\x{FF65}\\x{10100}-\\x{10102}\\x{1039F}\\x{103D0}"
    "\\x{1056F}\\x{10857}\\x{1091F}\\x{1093F}\\x{10A50}-\\x{10A58}\\x{10A7F}"
    "\\x{10AF0}-\\x{10AF6}\\x{10B39}-\\x{10B3F}\\x{10B99}-\\x{10B9C}\\x{11047}-"
    "\\x{1104D}\\x{110BB}\\x{110BC}\\x{110BE}-\\x{110C1}\\x{11140}-\\x{11143}"
    "\\x{11174}\\x{11175}\\x{111C5}-\\x{111C9}\\x{111CD}\\x{111DB}\\x{111DD}-"
    "\\x{111DF}\\x{11238}-\\x{1123D}\\x{112A9}\\x{114C6}\\x{115C1}-\\x{115D7}"
    "\\x{11641}-\\x{11643}\\x{1173C}-\\x{1173E}\\x{12470}-\\x{12474}\\x{16A6E}"
    "\\x{16A6F}\\x{16AF5}\\x{16B37}-\\x{16B3B}\\x{16B44}\\x{1BC9F}\\x{1DA87}-"
    "\\x{1DA8B}"
    "]";

tkx_status tkx__parts_unsupported(const char *part, const tkx__component *c,
                                  const char *offered, tkx_error **err)
{
    return tkx__fail(err, TKX_ERR_UNSUPPORTED, "%s '%.*s' is not offered; offered are %s",
                     part, (int)(c->type.size < 64 ? c->type.size : 64),
                     c->type.data ? c->type.data : "", offered);
}

/* ---- normaliser ---- */

static bool norm_kind_of(const tkx__component *c, tkx__norm_kind *kind)
{
    static const struct {
        const char *type;
        tkx__norm_kind kind;
    } kinds[] = {
        {"NFC", TKX__NORM_NFC},
        {"NFD", TKX__NORM_NFD},
        {"NFKC", TKX__NORM_NFKC},
        {"NFKD", TKX__NORM_NFKD},
        {"Lowercase", TKX__NORM_LOWERCASE},
        {"Strip", TKX__NORM_STRIP},
        {"StripAccents", TKX__NORM_STRIP_ACCENTS},
        {"Prepend", TKX__NORM_PREPEND},
        {"Replace", TKX__NORM_REPLACE},
        {"Precompiled", TKX__NORM_CHARSMAP},
    };

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (tkx__component_is(c, kinds[i].type)) {
            *kind = kinds[i].kind;
            return true;
        }
    }
    return false;
}

static tkx_status init_pattern(tkx__splitter *splitter, const tkx__component *c,
                               tkx_error **err)
{
    if (!c->has_pattern)
        return tkx__fail(err, TKX_ERR_PARSE, "'%.*s' has no pattern", (int)c->type.size,
                         c->type.data);
    if (c->is_regex)
        return tkx__splitter_init(splitter, c->pattern.data, c->pattern.size, err);
    return tkx__splitter_init_text(splitter, c->pattern.data, c->pattern.size, err);
}

static tkx_status add_norm(const tkx__component *c, void *user_data, tkx_error **err)
{
    tkx__normalizer *n = &((tkx_tokenizer *)user_data)->normalizer;
    const tkx__json_text *text;
    tkx__norm_step *step;
    tkx__norm_kind kind = TKX__NORM_NFC;

    if (!norm_kind_of(c, &kind))
        return tkx__parts_unsupported(
            "normalizer", c,
            "NFC, NFD, NFKC, NFKD, Lowercase, Strip, StripAccents, "
            "Prepend, Replace, Precompiled",
            err);
    if (n->n_steps == TKX__MAX_STEPS)
        return tkx__fail(err, TKX_ERR_LIMIT, "more than %d normalizers", TKX__MAX_STEPS);
    step = &n->steps[n->n_steps++]; /* counted at once: freed with the rest on failure */
    step->kind = kind;
    step->strips_left = c->strips_left;
    step->strips_right = c->strips_right;
    if (kind == TKX__NORM_CHARSMAP)
        return tkx__charsmap_init(&step->charsmap, c->charsmap.data, c->charsmap.size,
                                  err);
    if (kind != TKX__NORM_PREPEND && kind != TKX__NORM_REPLACE)
        return TKX_OK;
    text = kind == TKX__NORM_PREPEND ? &c->prepend : &c->content;
    step->text = tkx__strndup(text->data ? text->data : "", text->size);
    if (!step->text)
        return tkx__fail_memory(err);
    step->text_size = text->size;
    return kind == TKX__NORM_REPLACE ? init_pattern(&step->splitter, c, err) : TKX_OK;
}

tkx_status tkx__parts_normalizer(tkx_tokenizer *t, tkx__json_text raw, tkx__arena *arena,
                                 tkx_error **err)
{
    return tkx__component_walk(raw, "normalizer", arena, add_norm, t, err);
}

/* ---- pre-tokenizer ---- */

static tkx_status new_cut(tkx_tokenizer *t, tkx__cut_kind kind, tkx__cut **out,
                          tkx_error **err)
{
    tkx__pretok *p = &t->pretok;

    if (p->n_cuts == TKX__MAX_CUTS)
        return tkx__fail(err, TKX_ERR_LIMIT, "more than %d pre-tokenizers",
                         TKX__MAX_CUTS);
    *out = &p->cuts[p->n_cuts++];
    (*out)->kind = kind;
    return TKX_OK;
}

static tkx_status add_expression(tkx_tokenizer *t, const char *expression,
                                 tkx__behavior behavior, bool is_inverted,
                                 tkx_error **err)
{
    tkx__cut *cut = NULL;
    tkx_status st = new_cut(t, TKX__CUT_SPLIT, &cut, err);

    if (st != TKX_OK)
        return st;
    cut->behavior = behavior;
    cut->is_inverted = is_inverted;
    return tkx__splitter_init(&cut->splitter, expression, strlen(expression), err);
}

static tkx_status read_behavior(const tkx__json_text *text, tkx__behavior otherwise,
                                tkx__behavior *out, tkx_error **err)
{
    static const char *const names[] = {
        [TKX__ISOLATED] = "Isolated",
        [TKX__REMOVED] = "Removed",
        [TKX__MERGED_WITH_PREVIOUS] = "MergedWithPrevious",
        [TKX__MERGED_WITH_NEXT] = "MergedWithNext",
        [TKX__CONTIGUOUS] = "Contiguous",
    };

    *out = otherwise;
    if (!text->data)
        return TKX_OK;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (tkx__json_text_is(text, names[i])) {
            *out = (tkx__behavior)i;
            return TKX_OK;
        }
    }
    return tkx__fail(err, TKX_ERR_UNSUPPORTED, "unknown split behavior '%.*s'",
                     (int)(text->size < 64 ? text->size : 64), text->data);
}

static tkx_status add_split(tkx_tokenizer *t, const tkx__component *c, tkx_error **err)
{
    tkx__cut *cut = NULL;
    tkx_status st = new_cut(t, TKX__CUT_SPLIT, &cut, err);

    if (st == TKX_OK)
        st = read_behavior(&c->behavior, TKX__REMOVED, &cut->behavior, err);
    if (st != TKX_OK)
        return st;
    cut->is_inverted = c->is_inverted;
    return init_pattern(&cut->splitter, c, err);
}

static tkx_status add_byte_level(tkx_tokenizer *t, const tkx__component *c,
                                 tkx_error **err)
{
    tkx__cut *cut;
    tkx_status st = TKX_OK;

    if (t->is_byte_level)
        return tkx__fail(err, TKX_ERR_UNSUPPORTED,
                         "pre_tokenizer: ByteLevel twice is not offered");
    t->is_byte_level = true;
    if (c->adds_prefix_space)
        st = new_cut(t, TKX__CUT_PREFIX_SPACE, &cut, err);
    if (st == TKX_OK && c->uses_regex)
        st = add_expression(t, GPT2, TKX__ISOLATED, false, err);
    return st;
}

tkx_status tkx__parts_scheme(const tkx__component *c, tkx__prepend *out, tkx_error **err)
{
    const tkx__json_text *s = &c->prepend_scheme;

    if (!s->data) /* files before the scheme had a name */
        *out = c->adds_prefix_space ? TKX__PREPEND_ALWAYS : TKX__PREPEND_NEVER;
    else if (tkx__json_text_is(s, "always"))
        *out = TKX__PREPEND_ALWAYS;
    else if (tkx__json_text_is(s, "first"))
        *out = TKX__PREPEND_FIRST;
    else if (tkx__json_text_is(s, "never"))
        *out = TKX__PREPEND_NEVER;
    else
        return tkx__fail(err, TKX_ERR_UNSUPPORTED, "unknown prepend_scheme '%.*s'",
                         (int)(s->size < 64 ? s->size : 64), s->data);
    return TKX_OK;
}

tkx_status tkx__parts_sign(const tkx__component *c, uint8_t sign[4], size_t *size,
                           tkx_error **err)
{
    if (c->replacement.size == 0 || c->replacement.size > 4 ||
        tkx__utf8_len((uint8_t)c->replacement.data[0]) != c->replacement.size)
        return tkx__fail(err, TKX_ERR_PARSE, "Metaspace: replacement is no character");
    memcpy(sign, c->replacement.data, c->replacement.size);
    *size = c->replacement.size;
    return TKX_OK;
}

static tkx_status add_metaspace(tkx_tokenizer *t, const tkx__component *c,
                                tkx_error **err)
{
    tkx__cut *cut = NULL;
    tkx_status st;

    if (t->is_byte_level)
        return tkx__fail(err, TKX_ERR_UNSUPPORTED,
                         "pre_tokenizer: Metaspace behind ByteLevel is not offered");
    st = new_cut(t, TKX__CUT_METASPACE, &cut, err);
    if (st == TKX_OK)
        st = tkx__parts_scheme(c, &cut->prepend, err);
    if (st != TKX_OK)
        return st;
    cut->has_split = c->has_split;
    return tkx__parts_sign(c, cut->sign, &cut->sign_size, err);
}

static tkx_status add_punctuation(tkx_tokenizer *t, const tkx__component *c,
                                  tkx_error **err)
{
    tkx__behavior behavior;
    tkx_status st = read_behavior(&c->behavior, TKX__ISOLATED, &behavior, err);

    return st == TKX_OK ? add_expression(t, punctuation, behavior, false, err) : st;
}

static tkx_status add_delimiter(tkx_tokenizer *t, const tkx__component *c,
                                tkx_error **err)
{
    tkx__cut *cut = NULL;
    tkx_status st = new_cut(t, TKX__CUT_SPLIT, &cut, err);

    if (st != TKX_OK)
        return st;
    cut->behavior = TKX__REMOVED;
    return tkx__splitter_init_text(&cut->splitter, c->delimiter.data, c->delimiter.size,
                                   err);
}

/* \w of the reference's other regular expressions has joiners. */
#define WORDS "[\\w\\x{200C}\\x{200D}]+|[^\\w\\s\\x{200C}\\x{200D}]+"

static tkx_status add_cut_of(const tkx__component *c, tkx_tokenizer *t, tkx_error **err)
{
    tkx_status st;

    if (tkx__component_is(c, "ByteLevel"))
        return add_byte_level(t, c, err);
    if (tkx__component_is(c, "Split"))
        return add_split(t, c, err);
    if (tkx__component_is(c, "Metaspace"))
        return add_metaspace(t, c, err);
    if (tkx__component_is(c, "Digits"))
        return add_expression(t, "\\p{N}",
                              c->individual_digits ? TKX__ISOLATED : TKX__CONTIGUOUS,
                              false, err);
    if (tkx__component_is(c, "Punctuation"))
        return add_punctuation(t, c, err);
    if (tkx__component_is(c, "WhitespaceSplit"))
        return add_expression(t, "\\s", TKX__REMOVED, false, err);
    if (tkx__component_is(c, "Whitespace"))
        return add_expression(t, WORDS, TKX__REMOVED, true, err);
    if (tkx__component_is(c, "CharDelimiterSplit"))
        return add_delimiter(t, c, err);
    if (!tkx__component_is(c, "BertPreTokenizer"))
        return tkx__parts_unsupported(
            "pre_tokenizer", c,
            "ByteLevel, Split, Metaspace, Digits, Punctuation, Whitespace, "
            "WhitespaceSplit, CharDelimiterSplit, BertPreTokenizer",
            err);
    st = add_expression(t, "\\s", TKX__REMOVED, false, err);
    return st == TKX_OK ? add_expression(t, punctuation, TKX__ISOLATED, false, err) : st;
}

static bool is_spelt(const tkx__pretok *p)
{
    for (size_t i = 0; i < p->n_cuts; i++)
        if (p->cuts[i].kind == TKX__CUT_SPELL)
            return true;
    return false;
}

/* What comes behind a ByteLevel cuts bytes spelt as characters. */
static tkx_status add_cut(const tkx__component *c, void *user_data, tkx_error **err)
{
    tkx_tokenizer *t = user_data;
    tkx__cut *cut;
    tkx_status st = TKX_OK;

    if (t->is_byte_level && !tkx__component_is(c, "ByteLevel") && !is_spelt(&t->pretok))
        st = new_cut(t, TKX__CUT_SPELL, &cut, err);
    return st == TKX_OK ? add_cut_of(c, t, err) : st;
}

tkx_status tkx__parts_pretok(tkx_tokenizer *t, tkx__json_text raw, tkx__arena *arena,
                             tkx_error **err)
{
    tkx_status st = tkx__component_walk(raw, "pre_tokenizer", arena, add_cut, t, err);
    tkx__cut *cut;

    if (st == TKX_OK && is_spelt(&t->pretok))
        st = new_cut(t, TKX__CUT_UNSPELL, &cut, err);
    if (st == TKX_OK)
        tkx__pretok_finish(&t->pretok);
    return st;
}
