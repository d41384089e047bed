/* SPDX-License-Identifier: Apache-2.0 */
/*
 * encode.c - a text on its way to ids: made valid, cut at its added tokens, normalised.
 */
#include <string.h>

#include "base/error.h"
#include "base/large.h"
#include "base/mem.h"
#include "model/tokenizer/encoder.h"
#include "model/tokenizer/utf8.h"

#define MAX_INPUT ((size_t)1 << 30)
#define LONG_TEXT ((size_t)1 << 20)
#define TEXT_PER_ID 3
#define MAX_NORMALIZED ((size_t)1 << 32)

static void encoder_free(tkx__encoder *e)
{
    tkx__cache_clear(&e->cache);
    tkx__bpe_scratch_clear(&e->bpe);
    tkx__unigram_scratch_clear(&e->unigram);
    tkx__pretok_scratch_clear(&e->pretok);
    tkx__buf_clear(&e->normalized[0]);
    tkx__buf_clear(&e->normalized[1]);
    tkx__buf_clear(&e->prefixed);
    tkx__buf_clear(&e->word);
    tkx__ids_clear(&e->symbols);
    tkx__free(e);
}

void tkx__encoders_free(tkx__encoder *list)
{
    while (list) {
        tkx__encoder *next = list->next;

        encoder_free(list);
        list = next;
    }
}

static tkx__encoder *encoder_take(tkx_tokenizer *tokenizer)
{
    tkx__encoder *e;

    pthread_mutex_lock(&tokenizer->lock);
    e = tokenizer->idle;
    if (e)
        tokenizer->idle = e->next;
    pthread_mutex_unlock(&tokenizer->lock);
    if (e)
        return e;
    e = tkx__calloc(1, sizeof *e);
    if (!e)
        return NULL;
    tkx__buf_init(&e->normalized[0], MAX_NORMALIZED);
    tkx__buf_init(&e->normalized[1], MAX_NORMALIZED);
    tkx__buf_init(&e->prefixed, MAX_NORMALIZED);
    tkx__buf_init(&e->word, MAX_NORMALIZED);
    tkx__pretok_scratch_init(&e->pretok);
    return e;
}

static void encoder_give_back(tkx_tokenizer *tokenizer, tkx__encoder *e)
{
    pthread_mutex_lock(&tokenizer->lock);
    e->next = tokenizer->idle;
    tokenizer->idle = e;
    pthread_mutex_unlock(&tokenizer->lock);
}

/* A stretch of the input between added tokens that are looked for before normalising. */
static tkx_status encode_stretch(tkx__encoder *e, const uint8_t *text, size_t n,
                                 bool is_first)
{
    const tkx_tokenizer *t = e->tokenizer;
    tkx_status st = TKX_OK;
    tkx__added_match match;
    tkx__added_scan scan = {0};
    size_t at = 0;
    const uint8_t *limit = e->limit;

    if (t->spm.is_used)
        return tkx__encode_spm(e, text, n, is_first);
    if (t->normalizer.n_steps > 0) {
        const uint8_t *before = text;

        st = tkx__normalizer_apply(&t->normalizer, text, n, e->normalized, &text, &n,
                                   e->err);
        if (st != TKX_OK)
            return st;
        if (text < before || text > limit)
            e->limit = text + n;
    }
    while (st == TKX_OK && tkx__added_next(&t->normalized_added, text, n, at, &scan,
                                           e->is_plain_text, &match)) {
        if (match.start > at)
            st = tkx__encode_pieces(e, text + at, match.start - at, is_first && at == 0);
        tkx__ids_add(e->ids, match.id);
        at = match.stop;
    }
    if (st == TKX_OK && at < n)
        st = tkx__encode_pieces(e, text + at, n - at, is_first && at == 0);
    e->limit = limit;
    return st;
}

static tkx_status encode_text(tkx__encoder *e, const uint8_t *text, size_t n)
{
    const tkx__added *added = &e->tokenizer->raw_added;
    tkx_status st = TKX_OK;
    tkx__added_match match;
    tkx__added_scan scan = {0};
    size_t at = 0;

    e->limit = text + n;
    while (st == TKX_OK &&
           tkx__added_next(added, text, n, at, &scan, e->is_plain_text, &match)) {
        if (match.start > at)
            st = encode_stretch(e, text + at, match.start - at, at == 0);
        tkx__ids_add(e->ids, match.id);
        at = match.stop;
    }
    if (st == TKX_OK && at < n)
        st = encode_stretch(e, text + at, n - at, at == 0);
    return st;
}

/* The input with U+FFFD for each maximal ill-formed sequence. */
static tkx_status repair(tkx__buf *to, const uint8_t *text, size_t n, tkx_error **err)
{
    tkx__buf_reset(to);
    for (size_t at = 0; at < n;) {
        size_t good = tkx__utf8_check(text + at, n - at);
        int is_cut;

        tkx__buf_append(to, text + at, good);
        at += good;
        if (at == n)
            break;
        tkx__buf_append(to, "\xEF\xBF\xBD", 3);
        at += (size_t)-tkx__utf8_step(text + at, n - at, &is_cut);
    }
    return to->status == TKX_OK ? TKX_OK : tkx__fail_memory(err);
}

static tkx_status encode_bytes(const uint8_t *text, size_t n, tkx__ids *ids,
                               tkx_error **err)
{
    uint32_t *to = tkx__ids_reserve(ids, n);

    if (!to)
        return tkx__fail_memory(err);
    for (size_t i = 0; i < n; i++)
        to[i] = text[i];
    ids->n += n;
    return TKX_OK;
}

/* A long text's ids in one piece: a guess, which may be too small or fail. */
static void reserve_ids(tkx__ids *ids, size_t size)
{
    const size_t want = ids->n + size / TEXT_PER_ID;
    uint32_t *data;

    if (size < LONG_TEXT || ids->is_failed || want <= ids->capacity)
        return;
    data = tkx__realloc(ids->data, want, sizeof *data);
    if (!data)
        return;
    ids->data = data;
    ids->capacity = want;
    tkx__large_advise(data + ids->n, (want - ids->n) * sizeof *data);
}

tkx_status tkx__tokenizer_encode(const tkx_tokenizer *tokenizer, const char *text,
                                 size_t size, unsigned flags, tkx__ids *ids,
                                 tkx_error **err)
{
    /* The list of idle encoders is the one part that changes, under its lock. */
    tkx_tokenizer *t = (tkx_tokenizer *)tokenizer;
    const uint8_t *bytes = (const uint8_t *)text;
    bool adds_special = (flags & TKX_ENCODE_ADD_SPECIAL) != 0;
    tkx__buf whole;
    tkx__encoder *e;
    tkx_status st = TKX_OK;

    if (size > MAX_INPUT)
        return tkx__fail(err, TKX_ERR_LIMIT,
                         "a text of %zu bytes is longer than 1 GiB; encode it in parts",
                         size);
    if (t->kind == TKX__TOKENIZER_BYTES)
        return size ? encode_bytes(bytes, size, ids, err) : TKX_OK;
    e = encoder_take(t);
    if (!e)
        return tkx__fail_memory(err);
    tkx__buf_init(&whole, MAX_NORMALIZED);
    e->tokenizer = t;
    e->ids = ids;
    e->err = err;
    e->n_pending = 0; /* of a text that failed */
    e->cache.n_text = size;
    reserve_ids(ids, size);
    e->is_plain_text = (flags & TKX_ENCODE_PLAIN_TEXT) != 0;
    for (size_t i = 0; adds_special && i < t->n_before; i++)
        tkx__ids_add(ids, t->before[i]);
    if (size > 0 && tkx__utf8_check(bytes, size) != size) {
        st = repair(&whole, bytes, size, err);
        bytes = (const uint8_t *)whole.data;
        size = whole.size;
    }
    if (st == TKX_OK && size > 0)
        st = encode_text(e, bytes, size);
    for (size_t i = 0; adds_special && i < t->n_after; i++)
        tkx__ids_add(ids, t->after[i]);
    if (st == TKX_OK && ids->is_failed)
        st = tkx__fail_memory(err);
    tkx__buf_clear(&whole);
    encoder_give_back(t, e);
    return st;
}
