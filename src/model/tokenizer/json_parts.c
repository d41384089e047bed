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
#define PUNCTUATION "[\\p{P}$+<=>^`|~]"

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
    tkx_status st = new_cut(t, TKX__CUT_METASPACE, &cut, err);

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

    return st == TKX_OK ? add_expression(t, PUNCTUATION, behavior, false, err) : st;
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

static tkx_status add_cut(const tkx__component *c, void *user_data, tkx_error **err)
{
    tkx_tokenizer *t = user_data;
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
        return add_expression(t, "\\w+|[^\\w\\s]+", TKX__REMOVED, true, err);
    if (tkx__component_is(c, "CharDelimiterSplit"))
        return add_delimiter(t, c, err);
    if (!tkx__component_is(c, "BertPreTokenizer"))
        return tkx__parts_unsupported(
            "pre_tokenizer", c,
            "ByteLevel, Split, Metaspace, Digits, Punctuation, Whitespace, "
            "WhitespaceSplit, CharDelimiterSplit, BertPreTokenizer",
            err);
    st = add_expression(t, "\\s", TKX__REMOVED, false, err);
    return st == TKX_OK ? add_expression(t, PUNCTUATION, TKX__ISOLATED, false, err) : st;
}

tkx_status tkx__parts_pretok(tkx_tokenizer *t, tkx__json_text raw, tkx__arena *arena,
                             tkx_error **err)
{
    tkx_status st = tkx__component_walk(raw, "pre_tokenizer", arena, add_cut, t, err);

    if (st == TKX_OK)
        tkx__pretok_finish(&t->pretok);
    return st;
}
