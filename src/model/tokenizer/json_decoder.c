/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_decoder.c - from a file's decoders to one tkx__decoder.
 *
 * The reference runs its decoders one after the other over the list of tokens.  Ours does
 * all in one pass, which comes to the same in the order that files have: texts replaced
 * in each token, byte tokens joined, tokens fused, the text's start stripped.  Any other
 * order is refused.
 */
#include <string.h>

#include "base/error.h"
#include "model/tokenizer/build.h"
#include "model/tokenizer/component.h"
#include "model/tokenizer/json_parts.h"

enum { IS_REPLACING, IS_BYTES, IS_FUSED, IS_STRIPPED };

typedef struct decoding {
    tkx__decoder *decoder;
    int stage;
    size_t n_parts;
} decoding;

static bool shares_byte(const uint8_t *a, size_t n, const char *b, size_t m)
{
    for (size_t i = 0; i < n; i++)
        if (memchr(b, a[i], m))
            return true;
    return false;
}

/* Replacements are looked for side by side: none may touch what another one does. */
static bool is_apart(const tkx__decoder *d, const char *from, size_t n)
{
    for (size_t i = 0; i < d->n_replacements; i++) {
        const tkx__replacement *r = &d->replacements[i];

        if (shares_byte(r->from, r->from_size, from, n) ||
            shares_byte(r->to, r->to_size, from, n))
            return false;
    }
    return true;
}

static tkx_status add_replacement(tkx__decoder *d, const char *from, size_t n_from,
                                  const char *to, size_t n_to, tkx_error **err)
{
    tkx__replacement *r;

    if (n_from == 0 || n_from > TKX__MAX_REPLACEMENT_BYTES ||
        n_to > TKX__MAX_REPLACEMENT_BYTES || d->n_replacements == TKX__MAX_REPLACEMENTS)
        return tkx__fail(
            err, TKX_ERR_LIMIT,
            "decoder: more than %d replacements, or one longer than %d bytes",
            TKX__MAX_REPLACEMENTS, TKX__MAX_REPLACEMENT_BYTES);
    if (!is_apart(d, from, n_from))
        return tkx__fail(err, TKX_ERR_UNSUPPORTED,
                         "decoder: a Replace of what another one writes is not offered");
    r = &d->replacements[d->n_replacements++];
    memcpy(r->from, from, n_from);
    if (n_to > 0)
        memcpy(r->to, to, n_to);
    r->from_size = n_from;
    r->to_size = n_to;
    return TKX_OK;
}

static tkx_status add_strip(decoding *d, const tkx__component *c, tkx_error **err)
{
    tkx__decoder *decoder = d->decoder;

    if (d->stage != IS_FUSED || c->stop != 0 || c->start < 0 || c->content.size == 0 ||
        c->content.size > sizeof decoder->strip)
        return tkx__fail(err, TKX_ERR_UNSUPPORTED,
                         "decoder: only one Strip, of one character from the start of "
                         "what Fuse joined, is offered");
    memcpy(decoder->strip, c->content.data, c->content.size);
    decoder->strip_size = c->content.size;
    decoder->n_strip = (size_t)c->start;
    d->stage = IS_STRIPPED;
    return TKX_OK;
}

/* What a decoder changes in tokens must come before they are joined. */
static tkx_status too_late(const tkx__component *c, tkx_error **err)
{
    return tkx__fail(err, TKX_ERR_UNSUPPORTED,
                     "decoder: %.*s is not offered at this place; offered is the order "
                     "Replace or Metaspace, ByteFallback, Fuse, Strip",
                     (int)(c->type.size < 64 ? c->type.size : 64), c->type.data);
}

static tkx_status add_metaspace(decoding *d, const tkx__component *c, tkx_error **err)
{
    tkx__prepend scheme = TKX__PREPEND_NEVER;
    uint8_t sign[4];
    size_t n = 0;
    tkx_status st = tkx__parts_scheme(c, &scheme, err);

    if (st == TKX_OK)
        st = tkx__parts_sign(c, sign, &n, err);
    if (st == TKX_OK && d->decoder->n_replacements > 0)
        st = too_late(c, err); /* a first token loses its signs, not other texts */
    if (st == TKX_OK)
        st = add_replacement(d->decoder, (const char *)sign, n, " ", 1, err);
    d->decoder->drops_in_first = scheme != TKX__PREPEND_NEVER;
    return st;
}

static tkx_status add_decoder(const tkx__component *c, void *user_data, tkx_error **err)
{
    decoding *d = user_data;
    tkx__decoder *decoder = d->decoder;
    bool is_replace = tkx__component_is(c, "Replace") && c->has_pattern && !c->is_regex;

    decoder->is_spaced = false;
    if (d->n_parts++ > 0 && decoder->is_byte_level)
        return tkx__component_is(c, "Fuse") ? TKX_OK : too_late(c, err);
    if (tkx__component_is(c, "ByteLevel")) {
        decoder->is_byte_level = true;
        return d->n_parts == 1 ? TKX_OK : too_late(c, err);
    }
    if (tkx__component_is(c, "Strip"))
        return add_strip(d, c, err);
    if (tkx__component_is(c, "Fuse")) {
        if (d->stage < IS_FUSED)
            d->stage = IS_FUSED;
        return TKX_OK;
    }
    if (tkx__component_is(c, "ByteFallback")) {
        decoder->has_byte_tokens = true;
        if (d->stage > IS_BYTES)
            return too_late(c, err);
        d->stage = IS_BYTES;
        return TKX_OK;
    }
    if (!is_replace && !tkx__component_is(c, "Metaspace"))
        return tkx__parts_unsupported("decoder", c,
                                      "ByteLevel, ByteFallback, Fuse, Strip, Replace (of "
                                      "a text), Metaspace",
                                      err);
    if (d->stage != IS_REPLACING || decoder->drops_in_first)
        return too_late(c, err);
    return is_replace ? add_replacement(decoder, c->pattern.data, c->pattern.size,
                                        c->content.data, c->content.size, err)
                      : add_metaspace(d, c, err);
}

tkx_status tkx__parts_decoder(tkx_tokenizer *t, tkx__json_text raw, tkx__arena *arena,
                              tkx_error **err)
{
    decoding d = {.decoder = &t->decoder};
    tkx_status st;

    t->decoder.is_spaced = true; /* until the file says otherwise */
    st = tkx__component_walk(raw, "decoder", arena, add_decoder, &d, err);
    if (st == TKX_OK && t->is_byte_level != t->decoder.is_byte_level)
        return tkx__fail(err, TKX_ERR_UNSUPPORTED,
                         "the pre_tokenizer and the decoder must both be ByteLevel, or "
                         "neither");
    return st;
}
