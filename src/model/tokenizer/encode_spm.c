/* SPDX-License-Identifier: Apache-2.0 */
/*
 * encode_spm.c - a SentencePiece text, cut where nothing merges across (spm.c).
 */
#include <string.h>

#include "base/error.h"
#include "model/tokenizer/encoder.h"

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
    st = tkx__encode_piece(e, (const uint8_t *)e->prefixed.data, n + 1);
    e->limit = limit;
    return st == TKX_OK ? tkx__encode_flush(e) : st;
}

tkx_status tkx__encode_spm(tkx__encoder *e, const uint8_t *text, size_t n, bool is_first)
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
        st = tkx__encode_piece(e, text + at, stop - at);
        at = stop;
    }
    return st == TKX_OK ? tkx__encode_flush(e) : st;
}
