/* SPDX-License-Identifier: Apache-2.0 */
/*
 * encode.c - a text on its way to ids.
 *
 * The usual tokenizer (a few isolated splits, no change of the text) needs no list of
 * pieces: each word is encoded as the scanner finds it, nearly always out of the word
 * cache.  The others go through pretok.c.
 */
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "model/tokenizer/tokenizer.h"
#include "model/tokenizer/utf8.h"

#define MAX_INPUT ((size_t)1 << 30)
#define MAX_NORMALIZED ((size_t)1 << 32)

/* Words are looked up so many at a time: the memory that one waits for comes while the
   others are cut. */
#define BATCH 32

typedef struct pending_word {
    const uint8_t *text;
    tkx__cache_key key;
} pending_word;

struct tkx__encoder {
    tkx__encoder *next;
    tkx__cache cache;
    tkx__bpe_scratch bpe;
    tkx__unigram_scratch unigram;
    tkx__pretok_scratch pretok;
    tkx__buf normalized[2];
    tkx__buf prefixed; /* a text's first word with a blank before it */
    tkx__buf word;     /* an SPM word with its signs */
    tkx__ids symbols;
    /* Of the text being encoded: */
    const tkx_tokenizer *tokenizer;
    tkx__ids *ids;
    bool is_plain_text;
    const uint8_t *limit; /* end of the buffer that pieces point into */
    tkx_error **err;
    pending_word pending[BATCH]; /* pieces whose ids come next */
    size_t n_pending;
};

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

/* ---- one piece, without the cache ---- */

/* Unknown characters in a row may be one unknown token. */
static void add_unknown(tkx__encoder *e, bool *was_unknown)
{
    const tkx_tokenizer *t = e->tokenizer;

    if (t->unk_id != TKX__NO_ID && !(*was_unknown && t->fuses_unk))
        tkx__ids_add(&e->symbols, t->unk_id);
    *was_unknown = true;
}

static void byte_symbols(tkx__encoder *e, const uint8_t *text, size_t n)
{
    const tkx_tokenizer *t = e->tokenizer;
    bool was_unknown = false;

    if (!tkx__ids_reserve(&e->symbols, n))
        return;
    for (size_t i = 0; i < n; i++) {
        uint32_t id = t->byte_ids[text[i]];

        if (id == TKX__NO_ID) {
            add_unknown(e, &was_unknown);
        } else {
            tkx__ids_add(&e->symbols, id);
            was_unknown = false;
        }
    }
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
    bool was_unknown = false;

    for (size_t at = 0; at < n;) {
        size_t len;
        uint32_t cp = tkx__utf8_get(text + at, &len);
        uint32_t id = tkx__vocab_find(&t->vocab, text + at, len);

        if (id == TKX__NO_ID && t->falls_back_late)
            id = TKX__CHARACTER_SYMBOL + cp;
        if (id != TKX__NO_ID) {
            tkx__ids_add(&e->symbols, id);
            was_unknown = false;
        } else if (!t->has_byte_fallback || !add_bytes(e, &e->symbols, text + at, len)) {
            add_unknown(e, &was_unknown);
        }
        at += len;
    }
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

/* ---- one piece ---- */

/* An SPM word has its blanks made signs first; raw is what the cache knows it by. */
static tkx_status encode_missed(tkx__encoder *e, const uint8_t *raw, size_t n,
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

static inline tkx_status encode_word(tkx__encoder *e, const pending_word *word)
{
    const tkx__cache_entry *entry = tkx__cache_find(&e->cache, &word->key, word->text);
    uint32_t *to;

    if (!entry)
        return encode_missed(e, word->text, word->key.size, &word->key);
    to = tkx__ids_reserve(e->ids, UINT8_MAX);
    if (!to)
        return tkx__fail_memory(e->err);
    if (!entry->is_listed) /* storing three always is quicker than asking how many */
        memcpy(to, entry->ids, sizeof entry->ids);
    else
        memcpy(to, tkx__cache_ids(&e->cache, entry), entry->n_ids * sizeof *to);
    e->ids->n += entry->n_ids;
    return TKX_OK;
}

/* The ids of all pieces so far are in e->ids after this. */
static tkx_status flush_pieces(tkx__encoder *e)
{
    tkx_status st = TKX_OK;

    for (size_t i = 0; i < e->n_pending && st == TKX_OK; i++)
        st = encode_word(e, &e->pending[i]);
    e->n_pending = 0;
    return st;
}

/* The piece's bytes must stay until pieces are flushed. */
static inline tkx_status encode_piece(tkx__encoder *e, const uint8_t *text, size_t n)
{
    pending_word *word;

    if (n > TKX__CACHE_MAX_WORD) {
        tkx_status st = flush_pieces(e);

        return st == TKX_OK ? encode_missed(e, text, n, NULL) : st;
    }
    word = &e->pending[e->n_pending++];
    word->text = text;
    word->key = tkx__cache_key_of(text, n, (size_t)(e->limit - text));
    tkx__cache_prefetch(&e->cache, &word->key);
    return e->n_pending == BATCH ? flush_pieces(e) : TKX_OK;
}

/* ---- texts ---- */

/* Isolated splits, one inside the other, without lists. */
static tkx_status cut_plain(tkx__encoder *e, size_t i, const uint8_t *text, size_t n)
{
    const tkx__pretok *pretok = &e->tokenizer->pretok;
    const tkx__splitter *splitter = &pretok->cuts[i].splitter;
    bool is_last = i + 1 == pretok->n_cuts;

    for (size_t at = 0; at < n;) {
        size_t start, stop;
        tkx_status st = tkx__splitter_next(splitter, text, at, n, &start, &stop, e->err);

        if (st == TKX_OK && start > at)
            st = is_last ? encode_piece(e, text + at, start - at)
                         : cut_plain(e, i + 1, text + at, start - at);
        if (st == TKX_OK && stop > start)
            st = is_last ? encode_piece(e, text + start, stop - start)
                         : cut_plain(e, i + 1, text + start, stop - start);
        if (st != TKX_OK)
            return st;
        at = stop;
    }
    return TKX_OK;
}

static tkx_status queue_pieces(tkx__encoder *e, const uint8_t *text, size_t n,
                               bool is_first)
{
    const tkx__pretok *pretok = &e->tokenizer->pretok;
    const uint8_t *limit = e->limit;
    const tkx__pieces *pieces;
    tkx_status st;

    if (n == 0)
        return TKX_OK;
    if (pretok->n_cuts == 0)
        return encode_piece(e, text, n);
    if (pretok->is_plain)
        return cut_plain(e, 0, text, n);
    st = tkx__pretok_apply(pretok, text, n, is_first, &e->pretok, &text, &pieces, e->err);
    if (st != TKX_OK)
        return st;
    if (pieces->n > 0) /* the text may be a new one, which ends with its last piece */
        e->limit =
            text + pieces->items[pieces->n - 1].at + pieces->items[pieces->n - 1].size;
    for (size_t i = 0; i < pieces->n && st == TKX_OK; i++)
        st = encode_piece(e, text + pieces->items[i].at, pieces->items[i].size);
    e->limit = limit;
    return st;
}

static tkx_status encode_pieces(tkx__encoder *e, const uint8_t *text, size_t n,
                                bool is_first)
{
    tkx_status st = queue_pieces(e, text, n, is_first);

    return st == TKX_OK ? flush_pieces(e) : st;
}

static bool spm_has_prefix(const tkx__spm *spm, const uint8_t *text, size_t n,
                           bool is_first)
{
    if (spm->is_always_prefixed)
        return true;
    if (spm->prepend == TKX__PREPEND_NEVER ||
        (spm->prepend == TKX__PREPEND_FIRST && !is_first))
        return false;
    return text[0] != ' ' && !(n >= 3 && memcmp(text, "\xE2\x96\x81", 3) == 0);
}

/* The first word with a blank before it: the only one that is not in the text. */
static tkx_status encode_prefixed(tkx__encoder *e, const uint8_t *text, size_t n)
{
    const uint8_t *limit = e->limit;
    tkx_status st;

    tkx__buf_reset(&e->prefixed);
    tkx__buf_putc(&e->prefixed, ' ');
    tkx__buf_append(&e->prefixed, text, n);
    if (e->prefixed.status != TKX_OK)
        return tkx__fail_memory(e->err);
    e->limit = (const uint8_t *)e->prefixed.data + e->prefixed.size;
    st = encode_piece(e, (const uint8_t *)e->prefixed.data, n + 1);
    e->limit = limit;
    return st == TKX_OK ? flush_pieces(e) : st;
}

static tkx_status encode_spm(tkx__encoder *e, const uint8_t *text, size_t n,
                             bool is_first)
{
    const tkx__spm *spm = &e->tokenizer->spm;
    tkx_status st = TKX_OK;
    size_t at = 0, stop;

    if (n == 0)
        return TKX_OK;
    if (spm_has_prefix(spm, text, n, is_first)) {
        stop = tkx__spm_piece_end(spm, text, 0, n);
        st = encode_prefixed(e, text, stop);
        at = stop;
    }
    while (at < n && st == TKX_OK) {
        stop = tkx__spm_piece_end(spm, text, at, n);
        st = encode_piece(e, text + at, stop - at);
        at = stop;
    }
    return st == TKX_OK ? flush_pieces(e) : st;
}

/* A stretch of the input between added tokens that are looked for before normalising. */
static tkx_status encode_stretch(tkx__encoder *e, const uint8_t *text, size_t n,
                                 bool is_first)
{
    const tkx_tokenizer *t = e->tokenizer;
    tkx_status st = TKX_OK;
    tkx__added_match match;
    size_t at = 0, scan_at = 0;
    const uint8_t *limit = e->limit;

    if (t->spm.is_used)
        return encode_spm(e, text, n, is_first);
    if (t->normalizer.n_steps > 0) {
        const uint8_t *before = text;

        st = tkx__normalizer_apply(&t->normalizer, text, n, e->normalized, &text, &n,
                                   e->err);
        if (st != TKX_OK)
            return st;
        if (text < before || text > limit)
            e->limit = text + n;
    }
    while (st == TKX_OK && tkx__added_next(&t->normalized_added, text, n, at, &scan_at,
                                           e->is_plain_text, &match)) {
        if (match.start > at)
            st = encode_pieces(e, text + at, match.start - at, is_first && at == 0);
        tkx__ids_add(e->ids, match.id);
        at = match.stop;
    }
    if (st == TKX_OK && at < n)
        st = encode_pieces(e, text + at, n - at, is_first && at == 0);
    e->limit = limit;
    return st;
}

static tkx_status encode_text(tkx__encoder *e, const uint8_t *text, size_t n)
{
    const tkx__added *added = &e->tokenizer->raw_added;
    tkx_status st = TKX_OK;
    tkx__added_match match;
    size_t at = 0, scan_at = 0;

    e->limit = text + n;
    while (st == TKX_OK &&
           tkx__added_next(added, text, n, at, &scan_at, e->is_plain_text, &match)) {
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
