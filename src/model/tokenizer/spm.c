/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spm.c - where a text may be cut before its merging is known.
 *
 * Only a pair in the table merges, so that nothing ever joins two neighbouring bytes when
 * no pair's left part ends with the first and right part begins with the second.  That
 * also holds for the order of merges: what happens on one side of such a place never
 * looks at the other side.
 */
#include "model/tokenizer/spm.h"

#include <string.h>

#include "model/tokenizer/build.h"
#include "model/tokenizer/tokenizer.h"
#include "model/tokenizer/utf8.h"

static void set(tkx__spm *spm, unsigned left, unsigned right, bool is_cut)
{
    unsigned pair = left << 8 | right;
    uint64_t bit = UINT64_C(1) << (pair & 63);

    if (is_cut)
        spm->cuts[pair >> 6] |= bit;
    else
        spm->cuts[pair >> 6] &= ~bit;
}

static bool falls_back_always(const tkx_tokenizer *t)
{
    for (unsigned i = 0; i < 256; i++)
        if (t->byte_ids[i] == TKX__NO_ID)
            return false;
    return t->has_byte_fallback;
}

/* Whether an unknown character's token depends on unknown ones beside it: they may become
   one, or their bytes come first. */
static bool may_fuse(const tkx_tokenizer *t)
{
    return (t->fuses_unk || t->has_byte_fallback) && !t->falls_back_late &&
           !falls_back_always(t);
}

/* Whether a character may come to nothing: then those around it may merge. */
static bool may_vanish(const tkx_tokenizer *t)
{
    return t->unk_id == TKX__NO_ID && !falls_back_always(t);
}

static bool is_known(const tkx_tokenizer *t, unsigned c)
{
    uint8_t byte = (uint8_t)c;

    if (c == ' ')
        return tkx__vocab_find(&t->vocab, TKX__SIGN, 3) != TKX__NO_ID;
    return c < 0x80 && tkx__vocab_find(&t->vocab, &byte, 1) != TKX__NO_ID;
}

/* Every place between two characters, but not between two that may fuse. */
static void set_all(tkx_tokenizer *t)
{
    bool fuses = may_fuse(t), known[256];

    for (unsigned c = 0; c < 256; c++)
        known[c] = !fuses || is_known(t, c);
    memset(t->spm.cuts, 0, sizeof t->spm.cuts);
    for (unsigned left = 0; left < 256; left++)
        for (unsigned right = 0; right < 256; right++)
            if ((right & 0xC0) != 0x80 && (known[left] || known[right]))
                set(&t->spm, left, right, true);
}

/* The text of a part of a merge; 0 when it may stand for something else. */
static size_t text_of(const tkx_tokenizer *t, uint32_t symbol, const uint8_t **text,
                      uint8_t room[4])
{
    *text = room;
    if (symbol >= TKX__CHARACTER_SYMBOL)
        return tkx__utf8_put(symbol - TKX__CHARACTER_SYMBOL, room);
    *text = tkx__vocab_text(&t->vocab, symbol);
    if (t->vocab.tokens[symbol].flags & TKX__TOKEN_BYTE)
        return 0;
    return t->vocab.tokens[symbol].size;
}

static bool is_sign(const uint8_t *text)
{
    return memcmp(text, TKX__SIGN, 3) == 0;
}

/* A text has blanks where its symbols have signs; it may have signs as well. */
static bool keep_pair(tkx_tokenizer *t, const tkx__merge *merge)
{
    uint8_t rooms[2][4];
    const uint8_t *left, *right;
    size_t n = text_of(t, (uint32_t)(merge->pair >> 32), &left, rooms[0]);
    size_t m = text_of(t, (uint32_t)merge->pair, &right, rooms[1]);
    bool is_after, is_before;

    if (n == 0 || m == 0)
        return false;
    is_after = n >= 3 && is_sign(left + n - 3);
    is_before = m >= 3 && is_sign(right);
    set(&t->spm, left[n - 1], right[0], false);
    if (is_after)
        set(&t->spm, ' ', right[0], false);
    if (is_before)
        set(&t->spm, left[n - 1], ' ', false);
    if (is_after && is_before)
        set(&t->spm, ' ', ' ', false);
    return true;
}

void tkx__spm_find_cuts(tkx_tokenizer *t)
{
    const tkx__merges *merges = &t->merges;
    tkx__merge merge;

    t->spm.has_cuts = false;
    if (t->ignores_merges || (!merges->slots && !merges->packed) || may_vanish(t))
        return; /* a text that is a token as a whole would not be cut */
    set_all(t);
    for (size_t i = 0; i <= merges->mask; i++)
        if (tkx__merges_at(merges, i, &merge) && !keep_pair(t, &merge))
            return;
    t->spm.has_cuts = true;
}

size_t tkx__spm_piece_end(const tkx__spm *spm, const uint8_t *text, size_t at, size_t n)
{
    if (!spm->has_cuts)
        return n;
    for (at++; at < n; at++) {
        unsigned pair = (unsigned)text[at - 1] << 8 | text[at];

        if (spm->cuts[pair >> 6] >> (pair & 63) & 1)
            break;
    }
    return at;
}
