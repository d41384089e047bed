/* SPDX-License-Identifier: Apache-2.0 */
/* local_stop.c - each sample keeps the end of its text, as long as the longest stop. */
#include "client/local_stop.h"

#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/mem.h"
#include "model/tokenizer/tokenizer.h"

#define MAX_TEXT ((size_t)1 << 20) /* of a tail with one token's text */

typedef struct sample_text {
    tkx_text_stream *stream;
    tkx__buf tail;
} sample_text;

struct tkx__stop_watch {
    char **strings; /* [n_strings] */
    size_t n_strings;
    size_t longest;
    sample_text *samples; /* [n_samples] */
    size_t n_samples;
};

static tkx_status copy_strings(tkx__stop_watch *w, const char *const *strings, size_t n,
                               tkx_error **err)
{
    w->strings = tkx__calloc(n + 1, sizeof(char *));
    if (!w->strings)
        return tkx__fail_memory(err);
    for (size_t i = 0; i < n; i++) {
        size_t size = strings[i] ? strlen(strings[i]) : 0;

        if (size == 0 || size > MAX_TEXT / 4)
            return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT, "stop string %zu is %s", i,
                             size ? "too long" : "empty");
        w->strings[i] = tkx__strdup(strings[i]);
        if (!w->strings[i])
            return tkx__fail_memory(err);
        w->n_strings++;
        if (size > w->longest)
            w->longest = size;
    }
    return TKX_OK;
}

tkx_status tkx__stop_watch_new(tkx_tokenizer *tokenizer, const char *const *strings,
                               size_t n, size_t n_samples, tkx__stop_watch **out,
                               tkx_error **err)
{
    tkx__stop_watch *w = tkx__calloc(1, sizeof *w);
    tkx_status st;

    if (!w)
        return tkx__fail_memory(err);
    st = copy_strings(w, strings, n, err);
    if (st == TKX_OK) {
        w->samples = tkx__calloc(n_samples, sizeof *w->samples);
        st = w->samples ? TKX_OK : tkx__fail_memory(err);
    }
    for (size_t i = 0; st == TKX_OK && i < n_samples; i++) {
        tkx__buf_init(&w->samples[i].tail, MAX_TEXT);
        w->n_samples++;
        st = tkx_text_stream_new(tokenizer, TKX_DECODE_DEFAULT, &w->samples[i].stream,
                                 err);
    }
    if (st == TKX_OK) {
        *out = w;
        return TKX_OK;
    }
    tkx__stop_watch_free(w);
    return st;
}

void tkx__stop_watch_free(tkx__stop_watch *watch)
{
    if (!watch)
        return;
    for (size_t i = 0; watch->samples && i < watch->n_samples; i++) {
        tkx_text_stream_free(watch->samples[i].stream);
        tkx__buf_clear(&watch->samples[i].tail);
    }
    for (size_t i = 0; i < watch->n_strings; i++)
        tkx__free(watch->strings[i]);
    tkx__free(watch->samples);
    tkx__free(watch->strings);
    tkx__free(watch);
}

static bool contains(const tkx__buf *text, const char *word)
{
    size_t n = strlen(word);

    for (size_t i = 0; i + n <= text->size; i++) {
        const char *at = memchr(text->data + i, word[0], text->size - n - i + 1);

        if (!at)
            return false;
        if (memcmp(at, word, n) == 0)
            return true;
        i = (size_t)(at - text->data);
    }
    return false;
}

/* Keep one byte less than the longest stop: what it could still begin with. */
static void trim(tkx__buf *tail, size_t longest)
{
    size_t keep = tail->size < longest - 1 ? tail->size : longest - 1;

    if (keep)
        memmove(tail->data, tail->data + tail->size - keep, keep);
    tail->size = keep;
}

bool tkx__stop_watch_push(tkx__stop_watch *w, size_t sample, int64_t id)
{
    sample_text *s = &w->samples[sample];
    const char *piece;
    size_t size;

    if (tkx__text_stream_push_decided(s->stream, id, &piece, &size, NULL) != TKX_OK)
        return false;
    tkx__buf_append(&s->tail, piece, size);
    for (size_t i = 0; i < w->n_strings; i++) {
        if (contains(&s->tail, w->strings[i]))
            return true;
    }
    trim(&s->tail, w->longest);
    return false;
}
