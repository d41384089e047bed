/* SPDX-License-Identifier: Apache-2.0 */
/*
 * encode_cut.c - a text's pieces, and their ids out of the word cache.
 *
 * The usual tokenizer (a few isolated splits, no change of the text) needs no list of
 * pieces: each goes into the batch as it is found, by blocks of 64 bytes where a block
 * function knows the expressions (scan_block.c), else by the scanners.  The others go
 * through pretok.c.
 */
#include <string.h>

#include "base/error.h"
#include "model/tokenizer/encoder.h"

#define MAX_KEY 16 /* bytes that a key reads */

/* Room for n words of few ids, stored without asking how many; NULL: no memory. */
static inline uint32_t *reserve_words(tkx__encoder *e, size_t n)
{
    return tkx__ids_reserve(e->ids, n * TKX__CACHE_INLINE_IDS);
}

/* A word that has many ids. */
static tkx_status add_listed(tkx__encoder *e, const tkx__cache_entry *entry)
{
    uint32_t *to = tkx__ids_reserve(e->ids, entry->n_ids);

    if (!to)
        return tkx__fail_memory(e->err);
    memcpy(to, tkx__cache_ids(&e->cache, entry), entry->n_ids * sizeof *to);
    e->ids->n += entry->n_ids;
    return TKX_OK;
}

/* The entries of the words from `from` on, NULL where the cache had none; those that merge
   well together are there now. */
static tkx_status find_entries(tkx__encoder *e, const tkx__cache_entry **entries,
                               size_t from, size_t n)
{
    const tkx__pending_word *missed[TKX__BATCH];
    size_t n_missed = 0;

    for (size_t i = from; i < n; i++) {
        const tkx__pending_word *word = &e->pending[i];

        entries[i] = tkx__cache_find(&e->cache, &word->key, word->text);
        missed[n_missed] = word;
        n_missed += !entries[i];
    }
    return tkx__encode_all_missed(e, missed, n_missed);
}

static tkx_status encode_unknown(tkx__encoder *e, const tkx__pending_word *word)
{
    const tkx__cache_entry *entry = tkx__cache_find(&e->cache, &word->key, word->text);

    return entry ? add_listed(e, entry)
                 : tkx__encode_missed(e, word->text, word->key.size, &word->key);
}

/* The ids of n > 0 words.  Up to the first that is missed each is looked up as it is
   needed; then all others, to encode those that are missed together. */
static tkx_status add_words(tkx__encoder *e, size_t n)
{
    const tkx__cache_entry *entries[TKX__BATCH];
    bool has_missed = false;
    tkx_status st = TKX_OK;
    uint32_t *to = reserve_words(e, n);

    tkx__cache_make_room(&e->cache, n);
    for (size_t i = 0; i < n && to && st == TKX_OK; i++) {
        const tkx__pending_word *word = &e->pending[i];
        const tkx__cache_entry *entry =
            has_missed ? entries[i] : tkx__cache_find(&e->cache, &word->key, word->text);

        if (entry && !entry->is_listed) {
            memcpy(to, entry->ids, sizeof entry->ids);
            to += entry->n_ids;
            continue;
        }
        e->ids->n = (size_t)(to - e->ids->data);
        if (!entry && !has_missed) {
            st = find_entries(e, entries, i, n);
            has_missed = true;
        }
        if (st == TKX_OK)
            st = entry ? add_listed(e, entry) : encode_unknown(e, word);
        to = reserve_words(e, n - i);
    }
    if (st != TKX_OK)
        return st;
    if (!to)
        return tkx__fail_memory(e->err);
    e->ids->n = (size_t)(to - e->ids->data);
    return TKX_OK;
}

tkx_status tkx__encode_flush(tkx__encoder *e)
{
    tkx_status st = e->n_pending > 0 ? add_words(e, e->n_pending) : TKX_OK;

    e->n_pending = 0;
    return st;
}

static inline void add_pending(tkx__encoder *e, const uint8_t *text, size_t n,
                               size_t n_readable)
{
    tkx__pending_word *word = &e->pending[e->n_pending++];

    word->text = text;
    word->key = tkx__cache_key_of(text, n, n_readable);
    tkx__cache_prefetch(&e->cache, &word->key);
}

tkx_status tkx__encode_piece(tkx__encoder *e, const uint8_t *text, size_t n)
{
    if (n > TKX__CACHE_MAX_WORD) {
        tkx_status st = tkx__encode_flush(e);

        return st == TKX_OK ? tkx__encode_missed(e, text, n, NULL) : st;
    }
    add_pending(e, text, n, (size_t)(e->limit - text));
    return e->n_pending == TKX__BATCH ? tkx__encode_flush(e) : TKX_OK;
}

/* ---- plain cuts ---- */

/* One match of splitter i and what stands before it, in text[*at..n). */
static tkx_status cut_once(tkx__encoder *e, size_t i, const uint8_t *text, size_t *at,
                           size_t n);

/* Isolated splits, one inside the other, without lists. */
static tkx_status cut_plain(tkx__encoder *e, size_t i, const uint8_t *text, size_t n)
{
    tkx_status st = TKX_OK;

    if (i == e->tokenizer->pretok.n_cuts)
        return tkx__encode_piece(e, text, n);
    for (size_t at = 0; at < n && st == TKX_OK;)
        st = cut_once(e, i, text, &at, n);
    return st;
}

static tkx_status cut_once(tkx__encoder *e, size_t i, const uint8_t *text, size_t *at,
                           size_t n)
{
    const tkx__splitter *splitter = &e->tokenizer->pretok.cuts[i].splitter;
    const size_t from = *at;
    size_t start, stop;
    tkx_status st = tkx__splitter_next(splitter, text, from, n, &start, &stop, e->err);

    if (st == TKX_OK && start > from)
        st = cut_plain(e, i + 1, text + from, start - from);
    if (st == TKX_OK && stop > start)
        st = cut_plain(e, i + 1, text + start, stop - start);
    *at = stop;
    return st;
}

/* ---- blocks ---- */

static inline bool is_printed(uint8_t c)
{
    return (uint8_t)(c - '!') < 0x7F - '!';
}

/*
 * A place behind at where all expressions with a block function begin a piece, and where
 * the text before it is cut as if it went on: behind a lone line end, but not before a
 * slash, which may belong to it.
 */
static size_t sure_cut(const uint8_t *text, size_t at, size_t n)
{
    while (n - at > 2) {
        const uint8_t *end = memchr(text + at + 1, '\n', n - at - 2);

        if (!end)
            break;
        at = (size_t)(end - text);
        if (is_printed(end[-1]) && is_printed(end[1]) && end[1] != '/')
            return at + 1;
    }
    return n;
}

/* What no block function can tell: a word, or with several cuts a stretch of text. */
static tkx_status cut_scanned(tkx__encoder *e, const uint8_t *text, size_t *at, size_t n)
{
    size_t from = *at;

    if (e->tokenizer->pretok.n_cuts == 1)
        return cut_once(e, 0, text, at, n);
    *at = sure_cut(text, from, n);
    return cut_plain(e, 0, text + from, *at - from);
}

/* Pieces that the bits of a block tell; returns where the next begins. */
static inline size_t add_block(tkx__encoder *e, const uint8_t *text, uint64_t starts)
{
    size_t from = 0;

    for (; starts; starts &= starts - 1) {
        size_t stop = (size_t)__builtin_ctzll(starts);

        add_pending(e, text + from, stop - from, MAX_KEY);
        from = stop;
    }
    return from;
}

static tkx_status cut_blocks(tkx__encoder *e, const uint8_t *text, size_t n)
{
    tkx__block_fn *block = e->tokenizer->pretok.block;
    tkx_status st = TKX_OK;
    size_t at = 0;

    while (n - at >= TKX__BLOCK + MAX_KEY && st == TKX_OK) {
        uint64_t starts = text[at] < 0x80 && text[at + 1] < 0x80 ? block(text + at) : 0;

        if (e->n_pending > TKX__BATCH - TKX__BLOCK)
            st = tkx__encode_flush(e);
        if (st == TKX_OK && starts)
            at += add_block(e, text + at, starts);
        else if (st == TKX_OK)
            st = cut_scanned(e, text, &at, n);
    }
    return st == TKX_OK ? cut_plain(e, 0, text + at, n - at) : st;
}

/* ---- all kinds ---- */

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
        return tkx__encode_piece(e, text, n);
    if (pretok->block)
        return cut_blocks(e, text, n);
    if (pretok->is_plain)
        return cut_plain(e, 0, text, n);
    st = tkx__pretok_apply(pretok, text, n, is_first, &e->pretok, &text, &pieces, e->err);
    if (st != TKX_OK)
        return st;
    if (pieces->n > 0) /* the text may be a new one, which ends with its last piece */
        e->limit =
            text + pieces->items[pieces->n - 1].at + pieces->items[pieces->n - 1].size;
    for (size_t i = 0; i < pieces->n && st == TKX_OK; i++)
        st = tkx__encode_piece(e, text + pieces->items[i].at, pieces->items[i].size);
    e->limit = limit;
    return st;
}

tkx_status tkx__encode_pieces(tkx__encoder *e, const uint8_t *text, size_t n,
                              bool is_first)
{
    tkx_status st = queue_pieces(e, text, n, is_first);

    return st == TKX_OK ? tkx__encode_flush(e) : st;
}
