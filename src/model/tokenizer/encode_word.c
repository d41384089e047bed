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
static void add_symbols(tkx__encoder *e, const uint32_t *symbols, size_t n)
{
    const tkx_tokenizer *t = e->tokenizer;

    for (size_t i = 0; i < n; i++) {
        uint32_t symbol = symbols[i];
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

/* A piece that is a token is that token, for some; TKX__NO_ID: merge it. */
static uint32_t whole_token(const tkx__encoder *e, const uint8_t *text, size_t n)
{
    const tkx_tokenizer *t = e->tokenizer;

    return t->ignores_merges ? tkx__vocab_find(&t->vocab, text, n) : TKX__NO_ID;
}

static tkx_status make_symbols(tkx__encoder *e, const uint8_t *text, size_t n)
{
    e->symbols.n = 0;
    e->symbols.is_failed = false;
    if (e->tokenizer->is_byte_level)
        byte_symbols(e, text, n);
    else
        character_symbols(e, text, n);
    return e->symbols.is_failed ? tkx__fail_memory(e->err) : TKX_OK;
}

static tkx_status encode_bpe(tkx__encoder *e, const uint8_t *text, size_t n)
{
    uint32_t id = whole_token(e, text, n);
    tkx_status st;
    size_t left;

    if (id != TKX__NO_ID) {
        tkx__ids_add(e->ids, id);
        return TKX_OK;
    }
    st = make_symbols(e, text, n);
    if (st != TKX_OK)
        return st;
    left = e->symbols.n;
    st = tkx__bpe_merge(&e->tokenizer->merges, e->symbols.data, &left, &e->bpe, e->err);
    if (st == TKX_OK)
        add_symbols(e, e->symbols.data, left);
    return st;
}

/* An SPM word has its blanks made signs first. */
static tkx_status with_signs(tkx__encoder *e, const uint8_t **text, size_t *n)
{
    const uint8_t *raw = *text;

    if (!e->tokenizer->spm.is_used)
        return TKX_OK;
    tkx__buf_reset(&e->word);
    for (size_t i = 0; i < *n; i++) {
        if (raw[i] == ' ')
            tkx__buf_append(&e->word, "\xE2\x96\x81", 3);
        else
            tkx__buf_putc(&e->word, (char)raw[i]);
    }
    if (e->word.status != TKX_OK)
        return tkx__fail_memory(e->err);
    *text = (const uint8_t *)tkx__buf_text(&e->word);
    *n = e->word.size;
    return TKX_OK;
}

/* The ids behind `from` are those of a word that the cache is to know by its raw text. */
static void remember(tkx__encoder *e, const tkx__cache_key *key, const uint8_t *raw,
                     size_t from)
{
    if (!e->ids->is_failed) /* no ids yet: data is NULL */
        tkx__cache_put(&e->cache, key, raw, e->ids->data ? e->ids->data + from : NULL,
                       e->ids->n - from);
}

tkx_status tkx__encode_missed(tkx__encoder *e, const uint8_t *raw, size_t n,
                              const tkx__cache_key *key)
{
    const tkx_tokenizer *t = e->tokenizer;
    const uint8_t *text = raw;
    size_t size = n, from = e->ids->n;
    tkx_status st = with_signs(e, &text, &size);

    if (st == TKX_OK && t->kind == TKX__TOKENIZER_UNIGRAM)
        st = tkx__unigram_encode(&t->unigram, &t->vocab, text, size, &e->unigram, e->ids,
                                 e->err);
    else if (st == TKX_OK)
        st = encode_bpe(e, text, size);
    if (st == TKX_OK && key)
        remember(e, key, raw, from);
    return st;
}

/* ---- many words ---- */

#define MAX_WORDS 64

typedef struct missed {
    const tkx__pending_word *of[MAX_WORDS];
    tkx__bpe_word words[MAX_WORDS];
    size_t n;
} missed;

/* The bytes of a key as symbols, and some behind them: no branch on how many there are.
   False when one is no token. */
static bool spell_key(const uint32_t *byte_ids, const tkx__cache_key *key,
                      uint32_t *symbols)
{
    uint8_t bytes[TKX__BPE_WORD];
    unsigned is_missing = 0;

    memcpy(bytes, &key->lo, 8);
    memcpy(bytes + 8, &key->hi, 8);
    for (size_t i = 0; i < sizeof bytes; i++) {
        symbols[i] = byte_ids[bytes[i]];
        is_missing |= (symbols[i] == TKX__NO_ID) & (i < key->size);
    }
    return !is_missing;
}

static tkx_status symbols_of(tkx__encoder *e, const tkx__pending_word *word,
                             tkx__bpe_word *to)
{
    const tkx_tokenizer *t = e->tokenizer;
    const uint8_t *text = word->text;
    size_t n = word->key.size;
    tkx_status st = with_signs(e, &text, &n);

    if (st != TKX_OK)
        return st;
    to->n = 1;
    to->symbols[0] = whole_token(e, text, n);
    if (to->symbols[0] != TKX__NO_ID)
        return TKX_OK;
    to->n = n;
    if (t->is_byte_level && spell_key(t->byte_ids, &word->key, to->symbols))
        return TKX_OK;
    st = make_symbols(e, text, n);
    to->n = e->symbols.n;
    if (st == TKX_OK && to->n > 0 && to->n <= TKX__BPE_WORD)
        memcpy(to->symbols, e->symbols.data, to->n * sizeof *to->symbols);
    return st;
}

static void merge_missed(tkx__encoder *e, missed *m)
{
    const size_t from = e->ids->n;

    tkx__bpe_merge_words(&e->tokenizer->merges, m->words, m->n);
    for (size_t i = 0; i < m->n; i++) {
        const tkx__pending_word *word = m->of[i];

        if (tkx__cache_find(&e->cache, &word->key, word->text))
            continue; /* it stood there twice */
        add_symbols(e, m->words[i].symbols, m->words[i].n);
        remember(e, &word->key, word->text, from);
        e->ids->n = from;
    }
    m->n = 0;
}

tkx_status tkx__encode_all_missed(tkx__encoder *e, const tkx__pending_word *const *words,
                                  size_t n)
{
    tkx_status st = TKX_OK;
    missed m = {.n = 0};

    if (e->tokenizer->kind != TKX__TOKENIZER_BPE)
        return TKX_OK;
    for (size_t i = 0; i < n && st == TKX_OK; i++) {
        if (words[i]->key.size > TKX__BPE_WORD)
            continue;
        m.of[m.n] = words[i];
        st = symbols_of(e, words[i], &m.words[m.n]);
        m.n += m.words[m.n].n <= TKX__BPE_WORD;
        if (m.n == MAX_WORDS)
            merge_missed(e, &m);
    }
    if (st == TKX_OK)
        merge_missed(e, &m);
    return st;
}
