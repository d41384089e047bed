/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_post.c - post-processors: the ids that stand before and behind a text when special
 * tokens are asked for.
 */
#include <string.h>

#include "base/error.h"
#include "model/tokenizer/component.h"
#include "model/tokenizer/json_parts.h"

typedef struct around {
    tkx_tokenizer *tokenizer;
    tkx__arena *arena;
} around;

static tkx_status add_id(tkx_tokenizer *t, bool is_after, int64_t id, tkx_error **err)
{
    size_t *n = is_after ? &t->n_after : &t->n_before;
    uint32_t *ids = is_after ? t->after : t->before;

    if (id < 0 || id >= TKX__MAX_VOCAB)
        return tkx__fail(err, TKX_ERR_PARSE, "post_processor: %lld is no token id",
                         (long long)id);
    if (*n == TKX__MAX_AROUND)
        return tkx__fail(err, TKX_ERR_LIMIT, "post_processor: more than %d tokens",
                         TKX__MAX_AROUND);
    ids[(*n)++] = (uint32_t)id;
    return TKX_OK;
}

/* special_tokens: {name: {"id": name, "ids": [..], "tokens": [..]}} */
static tkx_status add_named(around *a, const tkx__component *c,
                            const tkx__json_text *name, bool is_after, tkx_error **err)
{
    tkx__json_reader r;
    tkx__json_text key, field;
    int64_t *ids = NULL;
    size_t n_ids = 0;
    bool is_found = false;
    tkx_status st;

    tkx__json_reader_init(&r, c->special_tokens.data, c->special_tokens.size, a->arena,
                          0);
    tkx__json_read_object(&r);
    while (tkx__json_read_key(&r, &key)) {
        if (key.size != name->size || memcmp(key.data, name->data, key.size) != 0) {
            tkx__json_skip(&r);
            continue;
        }
        is_found = true;
        tkx__json_read_object(&r);
        while (tkx__json_read_key(&r, &field)) {
            if (tkx__json_text_is(&field, "ids"))
                tkx__json_read_i64s(&r, &ids, &n_ids);
            else
                tkx__json_skip(&r);
        }
    }
    st = tkx__json_finish(&r, "post_processor, special_tokens", err);
    if (st == TKX_OK && !is_found)
        return tkx__fail(err, TKX_ERR_PARSE,
                         "post_processor: special token '%.*s' is not listed",
                         (int)(name->size < 64 ? name->size : 64), name->data);
    for (size_t i = 0; i < n_ids && st == TKX_OK; i++)
        st = add_id(a->tokenizer, is_after, ids[i], err);
    return st;
}

/* One of {"SpecialToken": {"id": name}} and {"Sequence": {..}}. */
static tkx_status read_member(around *a, const tkx__component *c, tkx__json_text raw,
                              size_t *n_sequences, tkx_error **err)
{
    tkx__json_reader r;
    tkx__json_text key, field, name = {0};
    tkx_status st;

    tkx__json_reader_init(&r, raw.data, raw.size, a->arena, 0);
    tkx__json_read_object(&r);
    while (tkx__json_read_key(&r, &key)) {
        *n_sequences += tkx__json_text_is(&key, "Sequence");
        if (!tkx__json_text_is(&key, "SpecialToken")) {
            tkx__json_skip(&r);
            continue;
        }
        tkx__json_read_object(&r);
        while (tkx__json_read_key(&r, &field)) {
            if (tkx__json_text_is(&field, "id"))
                tkx__json_read_text(&r, &name);
            else
                tkx__json_skip(&r);
        }
    }
    st = tkx__json_finish(&r, "post_processor, single", err);
    if (st != TKX_OK)
        return st;
    return name.data ? add_named(a, c, &name, *n_sequences > 0, err) : TKX_OK;
}

static tkx_status read_template(around *a, const tkx__component *c, tkx_error **err)
{
    tkx__json_reader r;
    size_t n_sequences = 0;
    tkx_status st = TKX_OK;

    tkx__json_reader_init(&r, c->single.data, c->single.size, a->arena, 0);
    tkx__json_read_array(&r);
    while (st == TKX_OK && tkx__json_read_element(&r)) {
        tkx__json_text member = {0};

        tkx__json_skip_raw(&r, &member);
        if (member.size > 0)
            st = read_member(a, c, member, &n_sequences, err);
    }
    if (st == TKX_OK)
        st = tkx__json_finish(&r, "post_processor, single", err);
    if (st == TKX_OK && n_sequences != 1)
        return tkx__fail(err, TKX_ERR_UNSUPPORTED,
                         "post_processor: a template with the text %zu times is not "
                         "offered; it must have it once",
                         n_sequences);
    return st;
}

/* ["</s>", 2] */
static tkx_status read_pair(around *a, const tkx__json_text *raw, bool is_after,
                            tkx_error **err)
{
    tkx__json_reader r;
    tkx__json_text text;
    int64_t id = -1;
    tkx_status st;

    tkx__json_reader_init(&r, raw->data, raw->size, a->arena, 0);
    tkx__json_read_array(&r);
    if (tkx__json_read_element(&r))
        tkx__json_read_text(&r, &text);
    if (tkx__json_read_element(&r))
        tkx__json_read_i64(&r, &id);
    while (tkx__json_read_element(&r))
        tkx__json_skip(&r);
    st = tkx__json_finish(&r, "post_processor", err);
    return st == TKX_OK ? add_id(a->tokenizer, is_after, id, err) : st;
}

/* A processor wraps what those before it made: its ids[n_old..n) go to the front. */
static void put_in_front(uint32_t *ids, size_t n_old, size_t n)
{
    uint32_t old[TKX__MAX_AROUND];

    memcpy(old, ids, n_old * sizeof *ids);
    memmove(ids, ids + n_old, (n - n_old) * sizeof *ids);
    memcpy(ids + n - n_old, old, n_old * sizeof *ids);
}

static tkx_status read_ids(const tkx__component *c, around *a, tkx_error **err)
{
    tkx_status st;

    if (tkx__component_is(c, "TemplateProcessing"))
        return read_template(a, c, err);
    st = read_pair(a, &c->cls, false, err);
    return st == TKX_OK ? read_pair(a, &c->sep, true, err) : st;
}

static tkx_status add_post(const tkx__component *c, void *user_data, tkx_error **err)
{
    around *a = user_data;
    tkx_tokenizer *t = a->tokenizer;
    const size_t n_old = t->n_before;
    tkx_status st;

    if (tkx__component_is(c, "ByteLevel"))
        return TKX_OK; /* moves offsets, not ids */
    if (!tkx__component_is(c, "TemplateProcessing") &&
        !tkx__component_is(c, "RobertaProcessing") &&
        !tkx__component_is(c, "BertProcessing"))
        return tkx__parts_unsupported("post_processor", c,
                                      "ByteLevel, TemplateProcessing, "
                                      "RobertaProcessing, BertProcessing",
                                      err);
    st = read_ids(c, a, err);
    put_in_front(t->before, n_old, t->n_before);
    return st;
}

tkx_status tkx__parts_post(tkx_tokenizer *t, tkx__json_text raw, tkx__arena *arena,
                           tkx_error **err)
{
    around a = {t, arena};

    return tkx__component_walk(raw, "post_processor", arena, add_post, &a, err);
}
