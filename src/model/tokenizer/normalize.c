/* SPDX-License-Identifier: Apache-2.0 */
/*
 * normalize.c - the steps, each from one buffer to the other.
 *
 * The Unicode forms are utf8proc's.  Most text is in NFC already: stretches of plain
 * characters are told apart by a quick look and copied, and only what lies between two
 * ASCII characters around the rest is handed over (no ASCII character composes with what
 * stands before it, so a text may be cut before any of them).
 */
#include "model/tokenizer/normalize.h"

#include <string.h>
#include <utf8proc.h>

#include "base/error.h"
#include "base/mem.h"
#include "model/tokenizer/unicode.h"
#include "model/tokenizer/unicode_reference.h"
#include "model/tokenizer/utf8.h"

void tkx__normalizer_clear(tkx__normalizer *normalizer)
{
    for (size_t i = 0; i < normalizer->n_steps; i++) {
        tkx__splitter_clear(&normalizer->steps[i].splitter);
        tkx__charsmap_clear(&normalizer->steps[i].charsmap);
        tkx__free(normalizer->steps[i].text);
    }
    *normalizer = (tkx__normalizer){0};
}

/* ---- Unicode forms ---- */

static bool is_plain_nfc(uint32_t cp)
{
    const utf8proc_property_t *p;

    if (cp < 0x300)
        return true;
    if (cp >= 0x1100 && cp < 0x1200) /* Hangul parts compose by arithmetic */
        return false;
    p = utf8proc_get_property((utf8proc_int32_t)cp);
    return p->combining_class == 0 && p->decomp_seqindex == UINT16_MAX &&
           p->comb_index == UINT16_MAX;
}

/* End of the stretch from at that the form leaves alone. */
static size_t plain_end(const uint8_t *text, size_t at, size_t n, tkx__norm_kind kind)
{
    while (at < n) {
        size_t len;

        if (text[at] < 0x80) {
            at++;
            continue;
        }
        if (kind != TKX__NORM_NFC || !is_plain_nfc(tkx__utf8_get(text + at, &len)))
            break;
        at += len;
    }
    return at;
}

/* The stretch to hand over: back to where the base of a mark can stand, on to the next
   ASCII character that begins a plain stretch. */
static size_t odd_end(const uint8_t *text, size_t at, size_t n)
{
    while (at < n && text[at] >= 0x80)
        at++;
    return at;
}

static utf8proc_option_t options_of(tkx__norm_kind kind)
{
    int options = UTF8PROC_STABLE;

    if (kind == TKX__NORM_NFC || kind == TKX__NORM_NFKC)
        options |= UTF8PROC_COMPOSE;
    else
        options |= UTF8PROC_DECOMPOSE;
    if (kind == TKX__NORM_NFKC || kind == TKX__NORM_NFKD)
        options |= UTF8PROC_COMPAT;
    return (utf8proc_option_t)options;
}

static void put_characters(const utf8proc_int32_t *cps, size_t n, tkx__buf *out)
{
    for (size_t i = 0; i < n; i++) {
        char *to = tkx__buf_reserve(out, 4);

        if (!to)
            return;
        tkx__buf_grew(out, tkx__utf8_put((uint32_t)cps[i], (uint8_t *)to));
    }
}

/* Through utf8proc: decompose into code points, order and compose, write. */
static tkx_status convert(const uint8_t *text, size_t n, tkx__norm_kind kind,
                          tkx__buf *out, tkx_error **err)
{
    utf8proc_int32_t small[256];
    utf8proc_int32_t *cps = small;
    utf8proc_option_t options = options_of(kind);
    utf8proc_ssize_t size = 256, got;
    tkx_status st = TKX_OK;

    got = utf8proc_decompose(text, (utf8proc_ssize_t)n, cps, size, options);
    if (got > size) {
        size = got;
        cps = tkx__malloc((size_t)(size + 1) * sizeof *cps);
        if (!cps)
            return tkx__fail_memory(err);
        got = utf8proc_decompose(text, (utf8proc_ssize_t)n, cps, size, options);
    }
    if (got >= 0)
        got = utf8proc_normalize_utf32(cps, got, options);
    if (got >= 0)
        put_characters(cps, (size_t)got, out);
    else
        st = tkx__fail(err, TKX_ERR_INVALID_ARGUMENT, "normalising text: %s",
                       utf8proc_errmsg(got));
    if (cps != small)
        tkx__free(cps);
    return st;
}

/* The same around characters that the reference's forms do not know. */
static tkx_status convert_known(const uint8_t *text, size_t n, tkx__norm_kind kind,
                                tkx__buf *out, tkx_error **err)
{
    size_t from = 0;

    for (size_t at = 0, len; at < n; at += len) {
        tkx_status st = TKX_OK;

        if (!tkx__unicode_is_newer(tkx__utf8_get(text + at, &len)))
            continue;
        if (at > from)
            st = convert(text + from, at - from, kind, out, err);
        if (st != TKX_OK)
            return st;
        tkx__buf_append(out, text + at, len);
        from = at + len;
    }
    return from < n ? convert(text + from, n - from, kind, out, err) : TKX_OK;
}

static tkx_status to_form(const uint8_t *text, size_t n, tkx__norm_kind kind,
                          tkx__buf *out, tkx_error **err)
{
    size_t at = 0;

    while (at < n) {
        size_t plain = plain_end(text, at, n, kind), stop;
        tkx_status st;

        if (plain == n) {
            tkx__buf_append(out, text + at, n - at);
            break;
        }
        /* What is plain may still be the base of what is not: give one character back,
           and more down to an ASCII one. */
        while (plain > at && text[plain - 1] >= 0x80)
            plain--;
        if (plain > at)
            plain--;
        if (plain > at)
            tkx__buf_append(out, text + at, plain - at);
        stop = odd_end(text, plain + 1, n);
        st = convert_known(text + plain, stop - plain, kind, out, err);
        if (st != TKX_OK)
            return st;
        at = stop;
    }
    return TKX_OK;
}

/* ---- the other steps ---- */

static void lowercase(const uint8_t *text, size_t n, tkx__buf *out)
{
    for (size_t at = 0; at < n;) {
        size_t len;
        uint32_t cp = tkx__utf8_get(text + at, &len);
        char *to = tkx__buf_reserve(out, 4);

        if (!to)
            return;
        if (cp == 0x130) { /* the one character whose lower case is two */
            tkx__buf_append(out, "i\xCC\x87", 3);
        } else {
            tkx__buf_grew(out, tkx__utf8_put(tkx__unicode_lower(cp), (uint8_t *)to));
        }
        at += len;
    }
}

static void strip_accents(const uint8_t *text, size_t n, tkx__buf *out)
{
    for (size_t at = 0; at < n;) {
        size_t len;
        uint32_t cp = tkx__utf8_get(text + at, &len);

        if (!tkx__unicode_is_accent(cp))
            tkx__buf_append(out, text + at, len);
        at += len;
    }
}

static void strip(const tkx__norm_step *step, const uint8_t **text, size_t *n)
{
    size_t from = 0, to = *n, len;

    while (step->strips_left && from < to &&
           (tkx__unicode_flags_at(*text + from, &len) & TKX__UNI_SPACE))
        from += len;
    while (step->strips_right && to > from) {
        size_t back = tkx__utf8_back(*text, to);

        if (!(tkx__unicode_flags_at(*text + back, &len) & TKX__UNI_SPACE))
            break;
        to = back;
    }
    *text += from;
    *n = to - from;
}

static tkx_status replace(const tkx__norm_step *step, const uint8_t *text, size_t n,
                          tkx__buf *out, tkx_error **err)
{
    for (size_t at = 0; at < n;) {
        size_t start, stop;
        tkx_status st =
            tkx__splitter_next(&step->splitter, text, at, n, &start, &stop, err);

        if (st != TKX_OK)
            return st;
        if (start > at)
            tkx__buf_append(out, text + at, start - at);
        if (stop > start)
            tkx__buf_append(out, step->text, step->text_size);
        at = stop;
    }
    return TKX_OK;
}

static bool is_ascii(const uint8_t *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (text[i] >= 0x80)
            return false;
    return true;
}

/* True when the step would copy the text as it is. */
static bool is_unchanged(tkx__norm_kind kind, const uint8_t *text, size_t n)
{
    switch (kind) {
    case TKX__NORM_NFC:
        return plain_end(text, 0, n, kind) == n;
    case TKX__NORM_NFD:
    case TKX__NORM_NFKC:
    case TKX__NORM_NFKD:
    case TKX__NORM_STRIP_ACCENTS:
        return is_ascii(text, n);
    default:
        return n == 0;
    }
}

static tkx_status apply(const tkx__norm_step *step, const uint8_t *text, size_t n,
                        tkx__buf *out, tkx_error **err)
{
    switch (step->kind) {
    case TKX__NORM_LOWERCASE:
        lowercase(text, n, out);
        return TKX_OK;
    case TKX__NORM_STRIP_ACCENTS:
        strip_accents(text, n, out);
        return TKX_OK;
    case TKX__NORM_PREPEND:
        tkx__buf_append(out, step->text, step->text_size);
        tkx__buf_append(out, text, n);
        return TKX_OK;
    case TKX__NORM_REPLACE:
        return replace(step, text, n, out, err);
    case TKX__NORM_CHARSMAP:
        tkx__charsmap_apply(&step->charsmap, text, n, out);
        return TKX_OK;
    default:
        return to_form(text, n, step->kind, out, err);
    }
}

tkx_status tkx__normalizer_apply(const tkx__normalizer *normalizer, const uint8_t *text,
                                 size_t n, tkx__buf buffers[2], const uint8_t **out,
                                 size_t *out_size, tkx_error **err)
{
    size_t which = 0;

    for (size_t i = 0; i < normalizer->n_steps; i++) {
        const tkx__norm_step *step = &normalizer->steps[i];
        tkx__buf *to = &buffers[which];
        tkx_status st;

        if (step->kind == TKX__NORM_STRIP) {
            strip(step, &text, &n);
            continue;
        }
        if (is_unchanged(step->kind, text, n))
            continue;
        tkx__buf_reset(to);
        st = apply(step, text, n, to, err);
        if (st == TKX_OK && to->status != TKX_OK)
            st = to->status == TKX_ERR_LIMIT
                     ? tkx__fail(err, TKX_ERR_LIMIT,
                                 "the normalised text passes %zu bytes", to->max_size)
                     : tkx__fail_memory(err);
        if (st != TKX_OK)
            return st;
        text = (const uint8_t *)tkx__buf_text(to);
        n = to->size;
        which ^= 1;
    }
    *out = text;
    *out_size = n;
    return TKX_OK;
}
