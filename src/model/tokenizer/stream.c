/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stream.c - decoding one id at a time.
 *
 * A piece is released when the text so far ends with a whole character.  As in the
 * reference, text that ends with U+FFFD waits as well, since what comes next may complete
 * it; a waiting text of more than MAX_WAITING bytes is released all the same.
 */
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "model/tokenizer/tokenizer.h"

#define MAX_WAITING 4096

struct tkx_text_stream {
    tkx_tokenizer *tokenizer; /* owned */
    tkx__decoding decoding;
    bool is_released; /* the text was handed out: empty it first */
};

tkx_status tkx_text_stream_new(tkx_tokenizer *tokenizer, unsigned flags,
                               tkx_text_stream **out, tkx_error **err)
{
    tkx_text_stream *stream = tkx__calloc(1, sizeof *stream);

    if (!stream)
        return tkx__fail_memory(err);
    tkx__decoding_init(&stream->decoding, &tokenizer->decoder, &tokenizer->vocab,
                       (flags & TKX_DECODE_SKIP_SPECIAL) != 0, true);
    /* Room for usual tokens now, so that none is needed later. */
    if (!tkx__buf_reserve(&stream->decoding.text, 1024) ||
        !tkx__buf_reserve(&stream->decoding.bytes, 1024)) {
        tkx__decoding_clear(&stream->decoding);
        tkx__free(stream);
        return tkx__fail_memory(err);
    }
    stream->tokenizer = tkx_tokenizer_ref(tokenizer);
    *out = stream;
    return TKX_OK;
}

static bool must_wait(const tkx__decoding *d)
{
    if (d->text.size > MAX_WAITING)
        return false;
    return d->bytes.size > 0 ||
           (d->text.size >= 3 &&
            memcmp(d->text.data + d->text.size - 3, "\xEF\xBF\xBD", 3) == 0);
}

static tkx_status release(tkx_text_stream *stream, bool is_all, const char **piece,
                          size_t *size_bytes, tkx_error **err)
{
    tkx__decoding *d = &stream->decoding;
    tkx_status st = tkx__decoding_status(d, err);

    if (st != TKX_OK)
        return st;
    stream->is_released = is_all || !must_wait(d);
    *piece = stream->is_released ? tkx__buf_text(&d->text) : "";
    *size_bytes = stream->is_released ? d->text.size : 0;
    return TKX_OK;
}

static void forget_released(tkx_text_stream *stream)
{
    if (stream->is_released)
        tkx__buf_reset(&stream->decoding.text);
    stream->is_released = false;
}

tkx_status tkx_text_stream_push(tkx_text_stream *stream, int64_t id, const char **piece,
                                size_t *size_bytes, tkx_error **err)
{
    forget_released(stream);
    tkx__decoding_push(&stream->decoding, id);
    return release(stream, false, piece, size_bytes, err);
}

tkx_status tkx__text_stream_push_decided(tkx_text_stream *stream, int64_t id,
                                         const char **piece, size_t *size_bytes,
                                         tkx_error **err)
{
    forget_released(stream);
    tkx__decoding_push(&stream->decoding, id);
    return release(stream, true, piece, size_bytes, err);
}

tkx_status tkx_text_stream_finish(tkx_text_stream *stream, const char **piece,
                                  size_t *size_bytes, tkx_error **err)
{
    forget_released(stream);
    tkx__decoding_finish(&stream->decoding);
    return release(stream, true, piece, size_bytes, err);
}

void tkx_text_stream_free(tkx_text_stream *stream)
{
    if (!stream)
        return;
    tkx__decoding_clear(&stream->decoding);
    tkx_tokenizer_unref(stream->tokenizer);
    tkx__free(stream);
}
