/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load_gguf.c - the vocabulary in a GGUF file's metadata: byte-level BPE ("gpt2") with a
 * named pre-tokenizer, or SentencePiece BPE ("llama") with scores.
 *
 * No key says that text is to be normalised, so it is not.  Control tokens are special;
 * they and user-defined ones are recognised in a text.
 */
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "model/tokenizer/build.h"
#include "model/tokenizer/pre_names.h"
#include "model/tokenizer/utf8.h"

enum { TYPE_NORMAL = 1, TYPE_UNKNOWN, TYPE_CONTROL, TYPE_USER, TYPE_UNUSED, TYPE_BYTE };

typedef struct loading {
    tkx_tokenizer *t;
    const tkx__gguf *gguf;
    const char *what;
    const tkx__gguf_value *tokens, *types, *scores, *merges;
    tkx_error **err;
} loading;

static tkx_status get_array(loading *l, const char *key, bool is_strings, bool is_needed,
                            size_t n, const tkx__gguf_value **out)
{
    const tkx__gguf_value *value = tkx__gguf_find(l->gguf, key);

    *out = NULL;
    if (!value && !is_needed)
        return TKX_OK;
    if (!value)
        return tkx__fail(l->err, TKX_ERR_PARSE, "%s has no %s: it holds no vocabulary",
                         l->what, key);
    if (value->type != TKX__GGUF_ARRAY ||
        (value->element_type == TKX__GGUF_STRING) != is_strings)
        return tkx__fail(l->err, TKX_ERR_PARSE, "%s: %s is no array of %s", l->what, key,
                         is_strings ? "strings" : "numbers");
    if (n != SIZE_MAX && value->n != n)
        return tkx__fail(l->err, TKX_ERR_PARSE, "%s: %s has %zu elements for %zu tokens",
                         l->what, key, value->n, n);
    *out = value;
    return TKX_OK;
}

static bool get_bool(const loading *l, const char *key, bool otherwise)
{
    bool value = otherwise;

    tkx__gguf_get_bool(l->gguf, key, &value);
    return value;
}

static int64_t get_id(const loading *l, const char *key)
{
    uint64_t id;

    if (!tkx__gguf_get_u64(l->gguf, key, &id) || !tkx__vocab_has(&l->t->vocab, id))
        return -1;
    return (int64_t)id;
}

static int64_t type_of(const loading *l, size_t i)
{
    int64_t type = TYPE_NORMAL;

    if (l->types)
        tkx__gguf_i64_at(l->types, i, &type);
    return type;
}

/* A token that is written as it is, in byte-level vocabularies too. */
static tkx_status put_literal(loading *l, size_t id, const char *text, size_t n,
                              int64_t type)
{
    tkx_tokenizer *t = l->t;
    tkx__added_token added = {.id = (uint32_t)id, .is_special = type != TYPE_USER};
    unsigned flags = TKX__TOKEN_ADDED | TKX__TOKEN_LITERAL |
                     (added.is_special ? TKX__TOKEN_SPECIAL : 0u);
    tkx_status st;

    if (!t->is_byte_level)
        flags &= ~(unsigned)TKX__TOKEN_LITERAL; /* scores may merge into it */
    st = tkx__vocab_set(&t->vocab, id, text, n, flags, l->err);
    if (st == TKX_OK)
        st = tkx__added_put(&t->raw_added, &added, (const uint8_t *)text, n, l->err);
    return st;
}

static tkx_status read_tokens(loading *l)
{
    size_t offset = 0, n;
    const char *text;
    tkx_status st =
        tkx__vocab_reserve(&l->t->vocab, l->tokens->n, l->tokens->size_bytes, l->err);

    for (size_t i = 0;
         st == TKX_OK && tkx__gguf_next_string(l->tokens, &offset, &text, &n); i++) {
        int64_t type = type_of(l, i);

        if (tkx__utf8_check((const uint8_t *)text, n) != n)
            return tkx__fail(l->err, TKX_ERR_PARSE, "%s: token %zu is not UTF-8", l->what,
                             i);
        if (type == TYPE_CONTROL || type == TYPE_USER || type == TYPE_UNKNOWN)
            st = put_literal(l, i, text, n, type);
        else
            st = tkx__build_token(l->t, i, text, n, 0, l->err);
        if (st == TKX_OK && type != TYPE_BYTE)
            l->t->vocab.tokens[i].flags &= (uint8_t)~TKX__TOKEN_BYTE;
    }
    return st == TKX_OK ? tkx__build_index(l->t, l->err) : st;
}

static tkx_status unknown_pre(const loading *l, const char *name, size_t n)
{
    tkx__buf list;
    tkx_status st;

    tkx__buf_init(&list, 4096);
    tkx__pre_list(&list);
    st = tkx__fail(l->err, TKX_ERR_UNSUPPORTED,
                   "%s: tokenizer.ggml.pre '%.*s' is not known; known are %s", l->what,
                   (int)(n < 64 ? n : 64), name, tkx__buf_text(&list));
    tkx__buf_clear(&list);
    return st;
}

static tkx_status add_cuts(loading *l, const tkx__pre *pre)
{
    tkx__pretok *p = &l->t->pretok;

    for (size_t i = 0; pre->expressions[i]; i++) {
        const char *expression = pre->expressions[i];
        tkx_status st = tkx__splitter_init(&p->cuts[p->n_cuts].splitter, expression,
                                           strlen(expression), l->err);

        if (st != TKX_OK)
            return st;
        p->cuts[p->n_cuts++].behavior = TKX__ISOLATED;
    }
    tkx__pretok_finish(p);
    return TKX_OK;
}

static tkx_status read_merges(loading *l)
{
    size_t offset = 0, n;
    const char *text;
    tkx__merge_list *list;
    tkx_status st =
        tkx__merge_list_new(l->t, l->merges ? l->merges->n : 0, &list, l->err);

    while (st == TKX_OK && l->merges &&
           tkx__gguf_next_string(l->merges, &offset, &text, &n))
        st = tkx__merge_list_add_line(list, text, n, l->err);
    if (st == TKX_OK)
        st = tkx__merge_list_finish(list, l->err);
    tkx__merge_list_free(list);
    return st;
}

static tkx_status load_bpe(loading *l)
{
    tkx_tokenizer *t = l->t;
    const char *text = "";
    size_t n = 0;
    tkx__pre pre;
    tkx_status st;

    t->is_byte_level = t->decoder.is_byte_level = true;
    if (!tkx__gguf_get_string(l->gguf, "tokenizer.ggml.pre", &text, &n))
        return tkx__fail(l->err, TKX_ERR_UNSUPPORTED,
                         "%s has no tokenizer.ggml.pre: how it splits text is not known; "
                         "use the model's tokenizer.json, or convert the file again",
                         l->what);
    if (!tkx__pre_find(text, n, &pre))
        return unknown_pre(l, text, n);
    t->ignores_merges = pre.ignores_merges;
    st = add_cuts(l, &pre);
    if (st == TKX_OK)
        st = read_tokens(l);
    if (st == TKX_OK)
        st = read_merges(l);
    if (get_bool(l, "tokenizer.ggml.add_bos_token", pre.adds_bos))
        t->n_before = 1;
    return st;
}

static tkx_status read_scores(loading *l)
{
    size_t n = l->scores->n;
    float *scores = tkx__realloc(NULL, n ? n : 1, sizeof *scores);
    tkx_status st;

    if (!scores)
        return tkx__fail_memory(l->err);
    for (size_t i = 0; i < n; i++) {
        double score = 0;

        tkx__gguf_f64_at(l->scores, i, &score);
        scores[i] =
            score == score ? (float)score : 0.0f; /* NaN has no place in an order */
    }
    st = tkx__build_scored_merges(l->t, scores, n, l->err);
    tkx__free(scores);
    return st;
}

static tkx_status load_spm(loading *l)
{
    tkx_tokenizer *t = l->t;
    bool has_prefix = get_bool(l, "tokenizer.ggml.add_space_prefix", true);
    tkx__decoder *d = &t->decoder;
    tkx_status st;

    t->has_byte_fallback = t->falls_back_late = true;
    t->spm.is_used = true;
    t->spm.is_always_prefixed = has_prefix;
    d->has_byte_tokens = true;
    d->n_replacements = 1;
    d->replacements[0] =
        (tkx__replacement){.from = TKX__SIGN, .from_size = 3, .to = " ", .to_size = 1};
    d->strip[0] = ' ';
    d->strip_size = 1;
    d->n_strip = has_prefix ? 1 : 0;
    if (!l->scores)
        return tkx__fail(l->err, TKX_ERR_PARSE,
                         "%s has no tokenizer.ggml.scores, which a SentencePiece "
                         "vocabulary needs",
                         l->what);
    st = read_tokens(l);
    if (st == TKX_OK)
        st = tkx__merges_init(&t->merges, l->tokens->n * 2, l->err);
    if (st == TKX_OK)
        st = read_scores(l);
    if (st == TKX_OK)
        tkx__spm_find_cuts(t);
    if (get_bool(l, "tokenizer.ggml.add_bos_token", true))
        t->n_before = 1;
    return st;
}

static tkx_status read_facts(loading *l)
{
    tkx_tokenizer *t = l->t;
    int64_t unk = get_id(l, "tokenizer.ggml.unknown_token_id");
    int64_t eos = get_id(l, "tokenizer.ggml.eos_token_id");
    const char *text;
    size_t n;

    t->bos_id = get_id(l, "tokenizer.ggml.bos_token_id");
    if (unk >= 0)
        t->unk_id = (uint32_t)unk;
    if (t->bos_id < 0)
        t->n_before = 0;
    else
        t->before[0] = (uint32_t)t->bos_id;
    if (eos >= 0 && get_bool(l, "tokenizer.ggml.add_eos_token", false))
        t->after[t->n_after++] = (uint32_t)eos;
    tkx__tokenizer_add_end_id(t, eos);
    tkx__tokenizer_add_end_id(t, get_id(l, "tokenizer.ggml.eot_token_id"));
    tkx__tokenizer_add_end_id(t, get_id(l, "tokenizer.ggml.eom_token_id"));
    tkx__build_named_end_ids(t);
    if (tkx__gguf_get_string(l->gguf, "tokenizer.chat_template", &text, &n)) {
        t->chat_template = tkx__strndup(text, n);
        if (!t->chat_template)
            return tkx__fail_memory(l->err);
    }
    return TKX_OK;
}

static tkx_status load(loading *l)
{
    const char *model = "";
    size_t n_model = 0, n;
    tkx_status st;

    if (!tkx__gguf_get_string(l->gguf, "tokenizer.ggml.model", &model, &n_model))
        return tkx__fail(l->err, TKX_ERR_PARSE,
                         "%s has no tokenizer.ggml.model: it holds no vocabulary",
                         l->what);
    st = get_array(l, "tokenizer.ggml.tokens", true, true, SIZE_MAX, &l->tokens);
    if (st != TKX_OK)
        return st;
    n = l->tokens->n;
    st = get_array(l, "tokenizer.ggml.token_type", false, false, n, &l->types);
    if (st == TKX_OK)
        st = get_array(l, "tokenizer.ggml.scores", false, false, n, &l->scores);
    if (st == TKX_OK)
        st = get_array(l, "tokenizer.ggml.merges", true, false, SIZE_MAX, &l->merges);
    if (st != TKX_OK)
        return st;
    if (n_model == 4 && memcmp(model, "gpt2", 4) == 0)
        st = load_bpe(l);
    else if (n_model == 5 && memcmp(model, "llama", 5) == 0)
        st = load_spm(l);
    else
        st = tkx__fail(l->err, TKX_ERR_UNSUPPORTED,
                       "%s: tokenizer.ggml.model '%.*s' is not offered; offered are gpt2 "
                       "(byte-level BPE) and llama (SentencePiece BPE)",
                       l->what, (int)(n_model < 64 ? n_model : 64), model);
    return st == TKX_OK ? read_facts(l) : st;
}

tkx_status tkx__tokenizer_from_gguf(const tkx__gguf *gguf, const char *what,
                                    tkx_tokenizer **out, tkx_error **err)
{
    loading l = {.gguf = gguf, .what = what, .err = err};
    tkx_status st = tkx__tokenizer_new(&l.t, err);

    if (st != TKX_OK)
        return st;
    l.t->kind = TKX__TOKENIZER_BPE;
    st = load(&l);
    if (st == TKX_OK)
        st = tkx__build_finish(l.t, err);
    if (st != TKX_OK) {
        tkx_tokenizer_unref(l.t);
        return st;
    }
    *out = l.t;
    return TKX_OK;
}
