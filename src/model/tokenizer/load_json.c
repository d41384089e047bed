/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load_json.c - tokenizer.json: the parts in any order, the vocabulary straight from the
 * text.
 *
 * The model is read once it is known whether its spellings are byte-level, which the
 * pre-tokenizer says; files have it before the model, so that the large part is read
 * once.
 */
#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/mem.h"
#include "model/tokenizer/build.h"
#include "model/tokenizer/json_parts.h"
#include "model/tokenizer/score.h"

#define MAX_FILE ((size_t)1 << 30)

typedef struct loading {
    tkx_tokenizer *t;
    tkx__arena arena;
    const char *what;
    tkx__json_text normalizer, pretok, decoder, post, model, added;
    /* of the model */
    tkx__json_text type, unk, prefix, suffix, merges;
    bool has_merges, is_read;
    int64_t unk_id;
    double dropout;
    tkx_error **err;
} loading;

/* ---- vocabulary ---- */

static tkx_status read_vocab_object(loading *l, tkx__json_reader *r)
{
    tkx__json_text key;
    tkx_status st = TKX_OK;

    tkx__json_read_object(r);
    while (st == TKX_OK && tkx__json_read_key(r, &key)) {
        uint64_t id = 0;

        if (tkx__json_read_u64(r, &id))
            st = tkx__build_token(l->t, id, key.data, key.size, 0, l->err);
    }
    return st;
}

static tkx_status add_score(loading *l, size_t id, double score, size_t *capacity)
{
    tkx__unigram *u = &l->t->unigram;

    if (!isfinite(score))
        return tkx__fail(l->err, TKX_ERR_PARSE, "%s: the score of token %zu is too large",
                         l->what, id);
    if (id == *capacity) {
        size_t want = *capacity ? *capacity * 2 : 1024;
        double *scores = tkx__realloc(u->scores, want, sizeof *scores);

        if (!scores)
            return tkx__fail_memory(l->err);
        u->scores = scores;
        *capacity = want;
    }
    u->scores[id] = score;
    u->n_scores = id + 1;
    return TKX_OK;
}

static void read_score(tkx__json_reader *r, tkx__json_text *score)
{
    double value; /* read for its checks only */

    if (tkx__json_peek(r) == TKX__JSON_NUMBER)
        tkx__json_skip_raw(r, score);
    else
        tkx__json_read_f64(r, &value); /* fails */
}

/* Unigram: [[text, score], ...]; the place is the id. */
static tkx_status read_vocab_list(loading *l, tkx__json_reader *r)
{
    tkx_status st = TKX_OK;
    size_t capacity = 0;

    tkx__json_read_array(r);
    for (uint64_t id = 0; st == TKX_OK && tkx__json_read_element(r); id++) {
        tkx__json_text text = {0}, score = {0};

        tkx__json_read_array(r);
        if (tkx__json_read_element(r))
            tkx__json_read_text(r, &text);
        if (tkx__json_read_element(r))
            read_score(r, &score);
        while (tkx__json_read_element(r))
            tkx__json_skip(r);
        if (r->status != TKX_OK)
            break;
        st = tkx__build_token(l->t, id, text.data, text.size, 0, l->err);
        if (st == TKX_OK)
            st = add_score(l, (size_t)id, tkx__score_read(score), &capacity);
    }
    return st;
}

static tkx_status read_vocab(loading *l, tkx__json_reader *r)
{
    return tkx__json_peek(r) == TKX__JSON_ARRAY ? read_vocab_list(l, r)
                                                : read_vocab_object(l, r);
}

/* "a b" or ["a", "b"] */
static tkx_status read_merge(loading *l, tkx__json_reader *r, tkx__merge_list *list)
{
    tkx__json_text a = {0}, b = {0};

    if (tkx__json_peek(r) != TKX__JSON_ARRAY)
        return tkx__json_read_text(r, &a)
                   ? tkx__merge_list_add_line(list, a.data, a.size, l->err)
                   : TKX_OK;
    tkx__json_read_array(r);
    if (tkx__json_read_element(r))
        tkx__json_read_text(r, &a);
    if (tkx__json_read_element(r))
        tkx__json_read_text(r, &b);
    if (tkx__json_read_element(r))
        tkx__json_fail(r, TKX_ERR_PARSE, "a merge has more than two parts");
    return r->status == TKX_OK
               ? tkx__merge_list_add(list, a.data, a.size, b.data, b.size, l->err)
               : TKX_OK;
}

static tkx_status read_merges(loading *l)
{
    tkx__json_reader r;
    tkx__merge_list *list;
    tkx_status st = tkx__merge_list_new(l->t, l->merges.size / 32, &list, l->err);

    tkx__json_reader_init(&r, l->merges.data, l->merges.size, &l->arena, 0);
    if (l->has_merges)
        tkx__json_read_array(&r);
    while (st == TKX_OK && l->has_merges && tkx__json_read_element(&r))
        st = read_merge(l, &r, list);
    if (st == TKX_OK && l->has_merges)
        st = tkx__json_finish(&r, "merges", l->err);
    if (st == TKX_OK)
        st = tkx__merge_list_finish(list, l->err);
    tkx__merge_list_free(list);
    return st;
}

/* ---- model ---- */

static tkx_status read_model(loading *l, tkx__json_reader *r)
{
    tkx_tokenizer *t = l->t;
    tkx__json_text key;
    tkx_status st = TKX_OK;

    l->is_read = true;
    tkx__json_read_object(r);
    while (st == TKX_OK && tkx__json_read_key(r, &key)) {
        if (tkx__json_text_is(&key, "vocab")) {
            st = read_vocab(l, r);
        } else if (tkx__json_text_is(&key, "merges")) {
            tkx__json_skip_raw(r, &l->merges);
            l->has_merges = true;
        } else if (tkx__json_take_null(r)) {
            continue;
        } else if (tkx__json_text_is(&key, "type")) {
            tkx__json_read_text(r, &l->type);
        } else if (tkx__json_text_is(&key, "unk_token")) {
            tkx__json_read_text(r, &l->unk);
        } else if (tkx__json_text_is(&key, "unk_id")) {
            tkx__json_read_i64(r, &l->unk_id);
        } else if (tkx__json_text_is(&key, "continuing_subword_prefix")) {
            tkx__json_read_text(r, &l->prefix);
        } else if (tkx__json_text_is(&key, "end_of_word_suffix")) {
            tkx__json_read_text(r, &l->suffix);
        } else if (tkx__json_text_is(&key, "dropout")) {
            tkx__json_read_f64(r, &l->dropout);
        } else if (tkx__json_text_is(&key, "fuse_unk")) {
            tkx__json_read_bool(r, &t->fuses_unk);
        } else if (tkx__json_text_is(&key, "byte_fallback")) {
            tkx__json_read_bool(r, &t->has_byte_fallback);
        } else if (tkx__json_text_is(&key, "ignore_merges")) {
            tkx__json_read_bool(r, &t->ignores_merges);
        } else {
            tkx__json_skip(r);
        }
    }
    return st;
}

static tkx_status finish_bpe(loading *l)
{
    tkx_tokenizer *t = l->t;

    if (l->prefix.size > 0 || l->suffix.size > 0 || l->dropout > 0)
        return tkx__fail(l->err, TKX_ERR_UNSUPPORTED,
                         "%s: %s of the BPE model is not offered", l->what,
                         l->prefix.size > 0   ? "continuing_subword_prefix"
                         : l->suffix.size > 0 ? "end_of_word_suffix"
                                              : "dropout");
    if (l->unk.data) {
        t->unk_id = tkx__vocab_find(&t->vocab, l->unk.data, l->unk.size);
        if (t->unk_id == TKX__NO_ID)
            return tkx__fail(l->err, TKX_ERR_PARSE,
                             "%s: unk_token '%.*s' is no token of the vocabulary",
                             l->what, (int)(l->unk.size < 64 ? l->unk.size : 64),
                             l->unk.data);
    }
    return read_merges(l);
}

static tkx_status finish_unigram(loading *l)
{
    tkx_tokenizer *t = l->t;
    tkx__unigram *u = &t->unigram;
    double least = u->n_scores > 0 ? u->scores[0] : 0;
    tkx_status st = tkx__trie_init(&u->trie, t->vocab.texts_size, l->err);

    t->kind = TKX__TOKENIZER_UNIGRAM;
    u->has_byte_fallback = t->has_byte_fallback;
    if (u->n_scores == 0 || t->is_byte_level)
        return tkx__fail(l->err, TKX_ERR_PARSE,
                         "%s: a Unigram model needs a vocabulary with scores, and no "
                         "ByteLevel",
                         l->what);
    if (l->unk_id >= 0 && (size_t)l->unk_id >= u->n_scores)
        return tkx__fail(l->err, TKX_ERR_PARSE, "%s: unk_id %lld is no token", l->what,
                         (long long)l->unk_id);
    u->unk_id = l->unk_id >= 0 ? (uint32_t)l->unk_id : TKX__NO_ID;
    t->unk_id = u->unk_id;
    for (uint32_t id = 0; id < u->n_scores && st == TKX_OK; id++) {
        if (u->scores[id] < least)
            least = u->scores[id];
        st = tkx__trie_put(&u->trie, tkx__vocab_text(&t->vocab, id),
                           t->vocab.tokens[id].size, id, l->err);
    }
    u->unk_score = least - 10.0;
    return st;
}

static tkx_status finish_model(loading *l)
{
    bool is_unigram = tkx__json_text_is(&l->type, "Unigram");
    tkx_status st;

    if (!l->is_read)
        return tkx__fail(l->err, TKX_ERR_PARSE,
                         "%s has no model; it is no tokenizer.json", l->what);
    if (l->type.data && !is_unigram && !tkx__json_text_is(&l->type, "BPE"))
        return tkx__fail(l->err, TKX_ERR_UNSUPPORTED,
                         "%s: model type '%.*s' is not offered; offered are BPE and "
                         "Unigram",
                         l->what, (int)(l->type.size < 64 ? l->type.size : 64),
                         l->type.data);
    if (l->t->vocab.n_tokens == 0)
        return tkx__fail(l->err, TKX_ERR_PARSE, "%s: the vocabulary is empty", l->what);
    st = tkx__build_index(l->t, l->err);
    if (st != TKX_OK)
        return st;
    return is_unigram ? finish_unigram(l) : finish_bpe(l);
}

/* ---- added tokens ---- */

typedef struct added_fields {
    int64_t id;
    tkx__json_text content;
    bool is_single_word, strips_left, strips_right, is_special, is_normalized,
        says_normalized;
} added_fields;

static void read_added(tkx__json_reader *r, added_fields *a)
{
    tkx__json_text key;

    *a = (added_fields){.id = -1};
    tkx__json_read_object(r);
    while (tkx__json_read_key(r, &key)) {
        if (tkx__json_text_is(&key, "id"))
            tkx__json_read_i64(r, &a->id);
        else if (tkx__json_text_is(&key, "content"))
            tkx__json_read_text(r, &a->content);
        else if (tkx__json_text_is(&key, "single_word"))
            tkx__json_read_bool(r, &a->is_single_word);
        else if (tkx__json_text_is(&key, "lstrip"))
            tkx__json_read_bool(r, &a->strips_left);
        else if (tkx__json_text_is(&key, "rstrip"))
            tkx__json_read_bool(r, &a->strips_right);
        else if (tkx__json_text_is(&key, "special"))
            tkx__json_read_bool(r, &a->is_special);
        else if (tkx__json_text_is(&key, "normalized"))
            a->says_normalized = tkx__json_read_bool(r, &a->is_normalized);
        else
            tkx__json_skip(r);
    }
    if (!a->says_normalized)
        a->is_normalized = !a->is_special;
}

static tkx_status put_added(loading *l, const added_fields *a)
{
    tkx_tokenizer *t = l->t;
    tkx__added_token token = {.id = (uint32_t)a->id,
                              .is_special = a->is_special,
                              .is_single_word = a->is_single_word,
                              .strips_left = a->strips_left,
                              .strips_right = a->strips_right};
    unsigned flags = TKX__TOKEN_ADDED | (a->is_special ? TKX__TOKEN_SPECIAL : 0u);
    const uint8_t *text = (const uint8_t *)a->content.data;
    size_t n = a->content.size;
    tkx__buf buffers[2];
    tkx_status st;

    if (a->id < 0 || !text)
        return tkx__fail(l->err, TKX_ERR_PARSE,
                         "%s: an added token without id or content", l->what);
    st = tkx__build_token(t, (uint64_t)a->id, a->content.data, n, flags, l->err);
    if (st != TKX_OK)
        return st;
    if (!a->is_normalized)
        return tkx__added_put(&t->raw_added, &token, text, n, l->err);
    tkx__buf_init(&buffers[0], 1 << 20);
    tkx__buf_init(&buffers[1], 1 << 20);
    st = tkx__normalizer_apply(&t->normalizer, text, n, buffers, &text, &n, l->err);
    if (st == TKX_OK)
        st = tkx__added_put(&t->normalized_added, &token, text, n, l->err);
    if (st == TKX_OK && t->normalizer.n_steps > 0)
        st = tkx__build_rename(t, token.id, (const char *)text, n, l->err);
    tkx__buf_clear(&buffers[0]);
    tkx__buf_clear(&buffers[1]);
    return st;
}

static tkx_status read_all_added(loading *l)
{
    tkx__json_reader r;
    tkx_status st = TKX_OK;

    if (l->added.size == 0)
        return TKX_OK;
    tkx__json_reader_init(&r, l->added.data, l->added.size, &l->arena, 0);
    if (tkx__json_take_null(&r))
        return TKX_OK;
    tkx__json_read_array(&r);
    while (st == TKX_OK && tkx__json_read_element(&r)) {
        added_fields a;

        read_added(&r, &a);
        if (r.status == TKX_OK)
            st = put_added(l, &a);
    }
    return st == TKX_OK ? tkx__json_finish(&r, "added_tokens", l->err) : st;
}

/* ---- the whole ---- */

static bool is_sign_step(const tkx__norm_step *s)
{
    return s->text_size == 3 && memcmp(s->text, TKX__SIGN, 3) == 0;
}

static bool is_blank_step(const tkx__norm_step *s)
{
    return s->kind == TKX__NORM_REPLACE && is_sign_step(s) &&
           s->splitter.text_size == 1 && s->splitter.text[0] == ' ';
}

/* Whether this is SentencePiece-style BPE in one of its spellings (see tkx__spm). */
static void find_spm(tkx_tokenizer *t)
{
    const tkx__norm_step *steps = t->normalizer.steps;
    const tkx__cut *cut = &t->pretok.cuts[0];
    size_t n_steps = t->normalizer.n_steps, n_cuts = t->pretok.n_cuts;
    /* After every blank has become a sign, a split at blanks does nothing, unless what is
       no blank is to go. */
    bool is_uncut = n_cuts == 0 || (n_cuts == 1 && cut->splitter.text_size == 1 &&
                                    cut->splitter.text[0] == ' ' &&
                                    !(cut->is_inverted && cut->behavior == TKX__REMOVED));

    if (t->kind != TKX__TOKENIZER_BPE || t->is_byte_level ||
        t->normalized_added.n_tokens > 0)
        return;
    if (n_steps == 1 && is_uncut && is_blank_step(&steps[0])) {
        t->spm.is_used = true;
    } else if (n_steps == 2 && is_uncut && steps[0].kind == TKX__NORM_PREPEND &&
               is_sign_step(&steps[0]) && is_blank_step(&steps[1])) {
        t->spm.is_used = t->spm.is_always_prefixed = true;
    } else if (n_steps == 0 && n_cuts == 1 && cut->kind == TKX__CUT_METASPACE &&
               !cut->has_split && cut->sign_size == 3 &&
               memcmp(cut->sign, TKX__SIGN, 3) == 0) {
        t->spm.is_used = true;
        t->spm.prepend = cut->prepend;
    }
    if (t->spm.is_used)
        tkx__spm_find_cuts(t);
}

static tkx_status read_root(loading *l, tkx__json_reader *r)
{
    tkx__json_text key;
    bool has_pretok = false;
    tkx_status st = TKX_OK;

    tkx__json_read_object(r);
    while (st == TKX_OK && tkx__json_read_key(r, &key)) {
        if (tkx__json_text_is(&key, "normalizer")) {
            tkx__json_skip_raw(r, &l->normalizer);
        } else if (tkx__json_text_is(&key, "pre_tokenizer")) {
            tkx__json_skip_raw(r, &l->pretok);
            has_pretok = true;
            if (r->status == TKX_OK)
                st = tkx__parts_pretok(l->t, l->pretok, &l->arena, l->err);
        } else if (tkx__json_text_is(&key, "decoder")) {
            tkx__json_skip_raw(r, &l->decoder);
        } else if (tkx__json_text_is(&key, "post_processor")) {
            tkx__json_skip_raw(r, &l->post);
        } else if (tkx__json_text_is(&key, "added_tokens")) {
            tkx__json_skip_raw(r, &l->added);
        } else if (tkx__json_text_is(&key, "model") && has_pretok && !l->is_read) {
            st = read_model(l, r);
        } else if (tkx__json_text_is(&key, "model")) {
            tkx__json_skip_raw(r, &l->model);
        } else {
            tkx__json_skip(r);
        }
    }
    return st;
}

static tkx_status load(loading *l, const char *text, size_t size)
{
    tkx__json_reader r;
    tkx_status st;

    tkx__json_reader_init(&r, text, size, &l->arena, 0);
    st = read_root(l, &r);
    if (st == TKX_OK)
        st = tkx__json_finish(&r, l->what, l->err);
    if (st == TKX_OK && !l->is_read && l->model.size > 0) {
        tkx__json_reader_init(&r, l->model.data, l->model.size, &l->arena, 0);
        st = read_model(l, &r);
        if (st == TKX_OK)
            st = tkx__json_finish(&r, "model", l->err);
    }
    if (st == TKX_OK)
        st = finish_model(l);
    if (st == TKX_OK)
        st = tkx__parts_normalizer(l->t, l->normalizer, &l->arena, l->err);
    if (st == TKX_OK)
        st = tkx__parts_decoder(l->t, l->decoder, &l->arena, l->err);
    if (st == TKX_OK)
        st = read_all_added(l);
    if (st == TKX_OK)
        st = tkx__parts_post(l->t, l->post, &l->arena, l->err);
    return st;
}

/* "what: " before an error of a part. */
static tkx_status name_file(const char *what, tkx_status st, tkx_error **err)
{
    tkx_error *cause;

    if (!err || !*err)
        return st;
    cause = *err;
    *err = NULL;
    if (strstr(tkx_error_message(cause), what)) {
        *err = cause;
        return st;
    }
    tkx__fail(err, st, "%s: %s", what, tkx_error_message(cause));
    tkx_error_free(cause);
    return st;
}

tkx_status tkx__tokenizer_from_json(const char *text, size_t size, const char *what,
                                    tkx_tokenizer **out, tkx_error **err)
{
    loading l = {.what = what, .unk_id = -1, .err = err};
    tkx_status st;

    if (size > MAX_FILE)
        return tkx__fail(err, TKX_ERR_LIMIT, "%s is larger than 1 GiB", what);
    st = tkx__tokenizer_new(&l.t, err);
    if (st != TKX_OK)
        return st;
    l.t->kind = TKX__TOKENIZER_BPE;
    tkx__arena_init(&l.arena, 1 << 16, MAX_FILE);
    st = load(&l, text, size);
    if (st == TKX_OK) {
        find_spm(l.t);
        st = tkx__build_finish(l.t, err);
    }
    if (st == TKX_OK) {
        tkx__build_named_end_ids(l.t);
        if (l.t->n_before > 0)
            l.t->bos_id = l.t->before[0];
        *out = l.t;
        l.t = NULL;
    } else {
        st = name_file(what, st, err);
    }
    tkx_tokenizer_unref(l.t);
    tkx__arena_clear(&l.arena);
    return st;
}
