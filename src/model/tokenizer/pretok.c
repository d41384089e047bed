/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pretok.c - the general way of cutting: every step makes a list of pieces from a list of
 * pieces, and a new text when it writes into it.  Plain pipelines do not come here.
 */
#include "model/tokenizer/pretok.h"

#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "model/tokenizer/spelling.h"
#include "model/tokenizer/utf8.h"

#define MAX_TEXT ((size_t)1 << 32)

void tkx__pretok_clear(tkx__pretok *pretok)
{
    for (size_t i = 0; i < pretok->n_cuts; i++)
        tkx__splitter_clear(&pretok->cuts[i].splitter);
    *pretok = (tkx__pretok){0};
}

void tkx__pretok_finish(tkx__pretok *pretok)
{
    pretok->is_plain = pretok->n_cuts > 0;
    for (size_t i = 0; i < pretok->n_cuts; i++)
        pretok->is_plain &= pretok->cuts[i].kind == TKX__CUT_SPLIT &&
                            pretok->cuts[i].behavior == TKX__ISOLATED;
    pretok->block = tkx__block_for(pretok);
}

void tkx__pretok_scratch_init(tkx__pretok_scratch *scratch)
{
    *scratch = (tkx__pretok_scratch){0};
    tkx__buf_init(&scratch->texts[0], MAX_TEXT);
    tkx__buf_init(&scratch->texts[1], MAX_TEXT);
}

void tkx__pretok_scratch_clear(tkx__pretok_scratch *scratch)
{
    for (size_t i = 0; i < 2; i++) {
        tkx__free(scratch->pieces[i].items);
        scratch->pieces[i] = (tkx__pieces){0};
        tkx__buf_clear(&scratch->texts[i]);
    }
}

static void add(tkx__pieces *pieces, size_t at, size_t stop)
{
    if (at == stop || pieces->is_failed)
        return;
    if (pieces->n == pieces->capacity) {
        size_t want = pieces->capacity ? pieces->capacity * 2 : 64;
        tkx__piece *items = tkx__realloc(pieces->items, want, sizeof *items);

        if (!items) {
            pieces->is_failed = true;
            return;
        }
        pieces->items = items;
        pieces->capacity = want;
    }
    pieces->items[pieces->n++] = (tkx__piece){at, stop - at};
}

/* What a behaviour remembers from one stretch (match or gap) to the next. */
typedef struct joiner {
    tkx__behavior behavior;
    tkx__pieces *out;
    size_t open_at, open_stop; /* a piece that may still grow; equal: none */
    bool is_open_match;
    bool was_match;
} joiner;

static void close_open(joiner *j)
{
    add(j->out, j->open_at, j->open_stop);
    j->open_at = j->open_stop;
}

static void open_new(joiner *j, size_t at, size_t stop, bool is_match)
{
    close_open(j);
    j->open_at = at;
    j->open_stop = stop;
    j->is_open_match = is_match;
}

/* A match goes to the piece before it, unless that is (or ends with) a match too. */
static void join_previous(joiner *j, size_t at, size_t stop, bool is_match)
{
    if (is_match && !j->was_match && j->open_stop > j->open_at)
        j->open_stop = stop;
    else
        open_new(j, at, stop, is_match);
    j->was_match = is_match;
}

/* A match goes to the piece behind it; of several only the last. */
static void join_next(joiner *j, size_t at, size_t stop, bool is_match)
{
    if (!is_match && j->is_open_match && j->open_stop > j->open_at) {
        j->open_stop = stop;
        j->is_open_match = false;
    } else {
        open_new(j, at, stop, is_match);
    }
}

static void stretch(joiner *j, size_t at, size_t stop, bool is_match)
{
    if (at == stop)
        return;
    switch (j->behavior) {
    case TKX__ISOLATED:
        add(j->out, at, stop);
        break;
    case TKX__REMOVED:
        if (!is_match)
            add(j->out, at, stop);
        break;
    case TKX__MERGED_WITH_PREVIOUS:
        join_previous(j, at, stop, is_match);
        break;
    case TKX__MERGED_WITH_NEXT:
        join_next(j, at, stop, is_match);
        break;
    case TKX__CONTIGUOUS:
        if (j->is_open_match == is_match && j->open_stop > j->open_at)
            j->open_stop = stop;
        else
            open_new(j, at, stop, is_match);
        break;
    }
}

static tkx_status split_piece(const tkx__cut *cut, const uint8_t *text, tkx__piece piece,
                              tkx__pieces *out, tkx_error **err)
{
    joiner j = {.behavior = cut->behavior, .out = out};
    const uint8_t *base = text + piece.at;

    for (size_t at = 0; at < piece.size;) {
        size_t start, stop;
        tkx_status st =
            tkx__splitter_next(&cut->splitter, base, at, piece.size, &start, &stop, err);

        if (st != TKX_OK)
            return st;
        stretch(&j, piece.at + at, piece.at + start, cut->is_inverted);
        stretch(&j, piece.at + start, piece.at + stop, !cut->is_inverted);
        at = stop;
    }
    close_open(&j);
    return TKX_OK;
}

static void prefix_piece(const uint8_t *text, tkx__piece piece, tkx__buf *to,
                         tkx__pieces *out)
{
    size_t at = to->size;

    if (text[piece.at] != ' ')
        tkx__buf_putc(to, ' ');
    tkx__buf_append(to, text + piece.at, piece.size);
    add(out, at, to->size);
}

static bool has_sign(const tkx__cut *cut, const uint8_t *text, size_t n)
{
    return n >= cut->sign_size && memcmp(text, cut->sign, cut->sign_size) == 0;
}

/* The piece with its blanks replaced, at the end of `to`; cut before every sign or not.
 */
static void metaspace_piece(const tkx__cut *cut, const uint8_t *text, tkx__piece piece,
                            bool is_first, tkx__buf *to, tkx__pieces *out)
{
    const uint8_t *p = text + piece.at;
    size_t from = to->size, at = 0;

    if ((cut->prepend == TKX__PREPEND_ALWAYS ||
         (cut->prepend == TKX__PREPEND_FIRST && is_first)) &&
        p[0] != ' ' && !has_sign(cut, p, piece.size))
        tkx__buf_append(to, cut->sign, cut->sign_size);
    while (at < piece.size) {
        bool is_sign = p[at] == ' ' || has_sign(cut, p + at, piece.size - at);

        if (cut->has_split && is_sign && to->size > from) {
            add(out, from, to->size);
            from = to->size;
        }
        if (is_sign)
            tkx__buf_append(to, cut->sign, cut->sign_size);
        else
            tkx__buf_putc(to, (char)p[at]);
        at += p[at] != ' ' && is_sign ? cut->sign_size : 1;
    }
    add(out, from, to->size);
}

static void spell_piece(const uint8_t *text, tkx__piece piece, tkx__buf *to,
                        tkx__pieces *out)
{
    size_t from = to->size;

    for (size_t i = 0; i < piece.size; i++) {
        char *place = tkx__buf_reserve(to, 4);

        if (!place)
            return;
        tkx__buf_grew(
            to, tkx__utf8_put(tkx__spelling_of(text[piece.at + i]), (uint8_t *)place));
    }
    add(out, from, to->size);
}

static void unspell_piece(const uint8_t *text, tkx__piece piece, tkx__buf *to,
                          tkx__pieces *out)
{
    const size_t from = to->size;
    size_t len;

    for (size_t at = 0; at < piece.size; at += len) {
        uint32_t cp = tkx__utf8_get(text + piece.at + at, &len);

        tkx__buf_putc(to, (char)tkx__spelt_byte(cp));
    }
    add(out, from, to->size);
}

static tkx_status cut_pieces(const tkx__cut *cut, const uint8_t **text,
                             const tkx__pieces *in, bool is_first, tkx__buf *to,
                             tkx__pieces *out, tkx_error **err)
{
    tkx_status st = TKX_OK;

    tkx__buf_reset(to);
    for (size_t i = 0; i < in->n && st == TKX_OK; i++) {
        if (cut->kind == TKX__CUT_SPLIT)
            st = split_piece(cut, *text, in->items[i], out, err);
        else if (cut->kind == TKX__CUT_PREFIX_SPACE)
            prefix_piece(*text, in->items[i], to, out);
        else if (cut->kind == TKX__CUT_SPELL)
            spell_piece(*text, in->items[i], to, out);
        else if (cut->kind == TKX__CUT_UNSPELL)
            unspell_piece(*text, in->items[i], to, out);
        else
            metaspace_piece(cut, *text, in->items[i], is_first && i == 0, to, out);
    }
    if (st == TKX_OK && (out->is_failed || to->status != TKX_OK))
        return tkx__fail_memory(err);
    if (cut->kind != TKX__CUT_SPLIT)
        *text = (const uint8_t *)tkx__buf_text(to);
    return st;
}

tkx_status tkx__pretok_apply(const tkx__pretok *pretok, const uint8_t *text, size_t n,
                             bool is_first, tkx__pretok_scratch *scratch,
                             const uint8_t **out_text, const tkx__pieces **out,
                             tkx_error **err)
{
    tkx__pieces *in = &scratch->pieces[0], *next = &scratch->pieces[1];
    size_t which = 0;

    in->n = 0;
    in->is_failed = next->is_failed = false;
    add(in, 0, n);
    if (in->is_failed)
        return tkx__fail_memory(err);
    for (size_t i = 0; i < pretok->n_cuts; i++) {
        tkx__pieces *swap = in;
        tkx_status st;

        next->n = 0;
        is_first =
            is_first && in->n > 0 && in->items[0].at == 0; /* else it was cut off */
        st = cut_pieces(&pretok->cuts[i], &text, in, is_first, &scratch->texts[which],
                        next, err);
        if (st != TKX_OK)
            return st;
        which ^= pretok->cuts[i].kind != TKX__CUT_SPLIT;
        in = next;
        next = swap;
    }
    *out_text = text;
    *out = in;
    return TKX_OK;
}
