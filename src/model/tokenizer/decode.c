/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decode.c - one token after the other: its bytes or its text join what is undecided, and
 * what is decided goes to the text.
 *
 * Byte-level: the longest well-formed start is decided; an ill-formed sequence is decided
 * as soon as the next byte shows it.  Byte tokens: a run is decided when it ends;
 * streaming, its complete characters are decided at once, which differs only where a run
 * turns out not to be UTF-8.
 */
#include "model/tokenizer/decode.h"

#include <string.h>

#include "base/error.h"
#include "model/tokenizer/utf8.h"

#define MAX_TEXT ((size_t)1 << 31)
static const char replacement_character[] = "\xEF\xBF\xBD";

void tkx__decoding_init(tkx__decoding *d, const tkx__decoder *decoder,
                        const tkx__vocab *vocab, bool skips_special, bool is_streaming)
{
    *d = (tkx__decoding){.decoder = decoder,
                         .vocab = vocab,
                         .skips_special = skips_special,
                         .is_streaming = is_streaming,
                         .is_first = true,
                         .n_strip = decoder->n_strip};
    tkx__buf_init(&d->bytes, MAX_TEXT);
    tkx__buf_init(&d->text, MAX_TEXT);
}

void tkx__decoding_clear(tkx__decoding *d)
{
    tkx__buf_clear(&d->bytes);
    tkx__buf_clear(&d->text);
}

tkx_status tkx__decoding_status(const tkx__decoding *d, tkx_error **err)
{
    tkx_status st = d->text.status != TKX_OK ? d->text.status : d->bytes.status;

    if (st == TKX_ERR_LIMIT)
        return tkx__fail(err, st, "the decoded text passes 2 GiB");
    return st == TKX_OK ? TKX_OK : tkx__fail_memory(err);
}

/* Append decided text, less the characters that the start of the text loses. */
static void emit(tkx__decoding *d, const void *text, size_t n)
{
    const uint8_t *p = text;
    const tkx__decoder *decoder = d->decoder;

    while (d->n_strip > 0 && n > 0) {
        if (n < decoder->strip_size ||
            memcmp(p, decoder->strip, decoder->strip_size) != 0) {
            d->n_strip = 0;
            break;
        }
        p += decoder->strip_size;
        n -= decoder->strip_size;
        d->n_strip--;
    }
    if (n > 0)
        tkx__buf_append(&d->text, p, n);
}

static void emit_bad(tkx__decoding *d, size_t n)
{
    for (size_t i = 0; i < n; i++)
        emit(d, replacement_character, 3);
}

/* Forget n decided bytes.  Not tkx__buf_reset(): it would forget a failure as well. */
static void drop_bytes(tkx__decoding *d, size_t n)
{
    if (n == 0)
        return;
    memmove(d->bytes.data, d->bytes.data + n, d->bytes.size - n);
    d->bytes.size -= n;
}

/* Byte-level: decide all but an unfinished character at the end. */
static void decide_bytes(tkx__decoding *d)
{
    const uint8_t *p = (const uint8_t *)d->bytes.data;
    size_t n = d->bytes.size;
    size_t at = 0;

    while (at < n) {
        size_t good = tkx__utf8_check(p + at, n - at);
        ptrdiff_t step;
        int is_cut;

        emit(d, p + at, good);
        at += good;
        if (at == n)
            break;
        step = tkx__utf8_step(p + at, n - at, &is_cut);
        if (is_cut)
            break;
        emit_bad(d, 1);
        at += (size_t)-step;
    }
    drop_bytes(d, at);
}

/* The byte run ends here: it is text as a whole, or one sign per byte. */
static void end_run(tkx__decoding *d)
{
    size_t n = d->bytes.size;

    if (n == 0 || d->decoder->is_byte_level)
        return;
    if (tkx__utf8_check((const uint8_t *)d->bytes.data, n) == n)
        emit(d, d->bytes.data, n);
    else
        emit_bad(d, n);
    drop_bytes(d, n);
}

static void push_byte(tkx__decoding *d, uint8_t byte)
{
    const uint8_t *p;
    ptrdiff_t step;
    int is_cut;

    if (d->is_bad_run) {
        emit_bad(d, 1);
        return;
    }
    tkx__buf_putc(&d->bytes, (char)byte);
    if (!d->is_streaming || d->bytes.status != TKX_OK)
        return;
    p = (const uint8_t *)d->bytes.data;
    step = tkx__utf8_step(p, d->bytes.size, &is_cut);
    if (is_cut)
        return;
    if (step > 0) {
        emit(d, p, (size_t)step);
    } else {
        emit_bad(d, d->bytes.size);
        d->is_bad_run = true;
    }
    drop_bytes(d, d->bytes.size);
}

static const tkx__replacement *replacement_at(const tkx__decoder *decoder,
                                              const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < decoder->n_replacements; i++) {
        const tkx__replacement *r = &decoder->replacements[i];

        if (n >= r->from_size && memcmp(p, r->from, r->from_size) == 0)
            return r;
    }
    return NULL;
}

static void push_text(tkx__decoding *d, const uint8_t *p, size_t n)
{
    const tkx__decoder *decoder = d->decoder;
    size_t from = 0;

    for (size_t at = 0; at < n;) {
        const tkx__replacement *r = replacement_at(decoder, p + at, n - at);

        if (!r) {
            at++;
            continue;
        }
        if (at > from)
            emit(d, p + from, at - from);
        if (!(decoder->drops_in_first && d->is_first) && r->to_size > 0)
            emit(d, r->to, r->to_size);
        at += r->from_size;
        from = at;
    }
    if (n > from)
        emit(d, p + from, n - from);
}

void tkx__decoding_push(tkx__decoding *d, int64_t id)
{
    const tkx__token *token;
    const uint8_t *text;
    size_t size;

    if (id < 0 || !tkx__vocab_has(d->vocab, (uint64_t)id))
        return;
    token = &d->vocab->tokens[id];
    if (d->skips_special && (token->flags & TKX__TOKEN_SPECIAL))
        return;
    text = tkx__vocab_shown(d->vocab, (uint32_t)id, &size);
    if (d->decoder->is_byte_level) {
        tkx__buf_append(&d->bytes, text, size);
        decide_bytes(d);
    } else if (d->decoder->has_byte_tokens && (token->flags & TKX__TOKEN_BYTE)) {
        push_byte(d, token->byte);
    } else {
        end_run(d);
        d->is_bad_run = false;
        if (d->decoder->is_spaced && !d->is_first)
            emit(d, " ", 1);
        push_text(d, text, size);
    }
    d->is_first = false;
}

void tkx__decoding_finish(tkx__decoding *d)
{
    if (!d->decoder->is_byte_level)
        end_run(d);
    else if (d->bytes.size > 0)
        emit_bad(d, 1); /* what is left is one cut sequence */
    drop_bytes(d, d->bytes.size);
    d->is_bad_run = false;
}
