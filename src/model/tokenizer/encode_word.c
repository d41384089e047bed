/* SPDX-License-Identifier: Apache-2.0 */
/*
 * encode_word.c - one piece through the model: its bytes or characters become symbols,
 * which merge, or its best cut into tokens is found.
 */
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "model/tokenizer/encoder.h"
#include "model/tokenizer/utf8.h"

/*
 * The reference holds an unknown token back until the next known one, so that others in
 * a row may become part of it; bytes that stand for a character overtake it.
 */
static void add_unknown(tkx__encoder *e, bool *is_held)
{
    const tkx_tokenizer *t = e->tokenizer;

    if (*is_held && !t->fuses_unk)
        tkx__ids_add(&e->symbols, t->unk_id);
    *is_held = t->unk_id != TKX__NO_ID;
}

static void add_held(tkx__encoder *e, bool *is_held)
{
    if (*is_held)
        tkx__ids_add(&e->symbols, e->tokenizer->unk_id);
    *is_held = false;
}

static void byte_symbols(tkx__encoder *e, const uint8_t *text, size_t n)
{
    const tkx_tokenizer *t = e->tokenizer;
    bool is_held = false;

    if (!tkx__ids_reserve(&e->symbols, n))
        return;
    if (t->has_all_bytes) {
        for (size_t i = 0; i < n; i++)
            e->symbols.data[i] = t->byte_ids[text[i]];
        e->symbols.n = n;
        return;
    }
    for (size_t i = 0; i < n; i++) {
        uint32_t id = t->byte_ids[text[i]];

        if (id == TKX__NO_ID) {
            add_unknown(e, &is_held);
        } else {
            add_held(e, &is_held);
            tkx__ids_add(&e->symbols, id);
        }
    }
    add_held(e, &is_held);
}

static bool add_bytes(tkx__encoder *e, tkx__ids *to, const uint8_t *text, size_t n)
{
    const tkx_tokenizer *t = e->tokenizer;

    for (size_t i = 0; i < n; i++)
        if (t->byte_ids[text[i]] == TKX__NO_ID)
            return false;
    for (size_t i = 0; i < n; i++)
        tkx__ids_add(to, t->byte_ids[text[i]]);
    return true;
}

static void character_symbols(tkx__encoder *e, const uint8_t *text, size_t n)
{
    const tkx_tokenizer *t = e->tokenizer;
    bool is_held = false;

    for (size_t at = 0; at < n;) {
        size_t len;
        uint32_t cp = tkx__utf8_get(text + at, &len);
        uint32_t id = tkx__vocab_find(&t->vocab, text + at, len);

        if (id == TKX__NO_ID && t->falls_back_late)
            id = TKX__CHARACTER_SYMBOL + cp;
        if (id != TKX__NO_ID) {
            add_held(e, &is_held);
            tkx__ids_add(&e->symbols, id);
        } else if (!t->has_byte_fallback || !add_bytes(e, &e->symbols, text + at, len)) {
            add_unknown(e, &is_held);
        }
        at += len;
    }
    add_held(e, &is_held);
}

/* What merging left becomes ids: characters that are no token turn into bytes now. */
static void add_symbols(tkx__encoder *e, size_t n)
{
    const tkx_tokenizer *t = e->tokenizer;

    for (size_t i = 0; i < n; i++) {
        uint32_t symbol = e->symbols.data[i];
        uint8_t bytes[4];

        if (symbol < TKX__CHARACTER_SYMBOL) {
            tkx__ids_add(e->ids, symbol);
            continue;
        }
        size_t len = tkx__utf8_put(symbol - TKX__CHARACTER_SYMBOL, bytes);
        if (!add_bytes(e, e->ids, bytes, len) && t->unk_id != TKX__NO_ID)
            tkx__ids_add(e->ids, t->unk_id);
    }
}

static tkx_status encode_bpe(tkx__encoder *e, const uint8_t *text, size_t n)
{
    const tkx_tokenizer *t = e->tokenizer;
    tkx_status st;
    size_t left;

    if (t->ignores_merges) {
        uint32_t id = tkx__vocab_find(&t->vocab, text, n);

        if (id != TKX__NO_ID) {
            tkx__ids_add(e->ids, id);
            return TKX_OK;
        }
    }
    e->symbols.n = 0;
    e->symbols.is_failed = false;
    if (t->is_byte_level)
        byte_symbols(e, text, n);
    else
        character_symbols(e, text, n);
    if (e->symbols.is_failed)
        return tkx__fail_memory(e->err);
    left = e->symbols.n;
    st = tkx__bpe_merge(&t->merges, e->symbols.data, &left, &e->bpe, e->err);
    if (st == TKX_OK)
        add_symbols(e, left);
    return st;
}

static tkx_status encode_uncached(tkx__encoder *e, const uint8_t *text, size_t n)
{
    const tkx_tokenizer *t = e->tokenizer;

    if (t->kind == TKX__TOKENIZER_UNIGRAM)
        return tkx__unigram_encode(&t->unigram, &t->vocab, text, n, &e->unigram, e->ids,
                                   e->err);
    return encode_bpe(e, text, n);
}

/* An SPM word has its blanks made signs first; raw is what the cache knows it by. */
tkx_status tkx__encode_missed(tkx__encoder *e, const uint8_t *raw, size_t n,
                              const tkx__cache_key *key)
{
    const uint8_t *text = raw;
    size_t size = n, from = e->ids->n;
    tkx_status st;

    if (e->tokenizer->spm.is_used) {
        tkx__buf_reset(&e->word);
        for (size_t i = 0; i < n; i++) {
            if (raw[i] == ' ')
                tkx__buf_append(&e->word, "\xE2\x96\x81", 3);
            else
                tkx__buf_putc(&e->word, (char)raw[i]);
        }
        if (e->word.status != TKX_OK)
            return tkx__fail_memory(e->err);
        text = (const uint8_t *)tkx__buf_text(&e->word);
        size = e->word.size;
    }
    st = encode_uncached(e, text, size);
    if (st == TKX_OK && key && !e->ids->is_failed) /* no ids yet: data is NULL */
        tkx__cache_put(&e->cache, key, raw, e->ids->data ? e->ids->data + from : NULL,
                       e->ids->n - from);
    return st;
}
