/* SPDX-License-Identifier: Apache-2.0 */
/* chat_stream.c - see chat_stream.h. */
#include "chat_stream.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "command.h"
#include "output.h"

#define WAIT_MS 50

int chat_stream_open(chat_stream *s, tkx_tokenizer *tokenizer)
{
    tkx_error *err = NULL;

    memset(s, 0, sizeof *s);
    if (tkx_text_stream_new(tokenizer, TKX_DECODE_SKIP_SPECIAL, &s->text, &err) != TKX_OK)
        return cli_fail(err, "cannot decode");
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    return CLI_OK;
}

void chat_stream_close(chat_stream *s)
{
    if (!s->text)
        return;
    tkx_text_stream_free(s->text);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    cli_ids_clear(&s->arrived);
    s->text = NULL;
}

void chat_stream_take(int64_t sample, int32_t token, float logprob, void *user_data)
{
    chat_stream *s = user_data;

    (void)sample;
    (void)logprob;
    pthread_mutex_lock(&s->lock);
    (void)cli_ids_append(&s->arrived, token);
    pthread_cond_signal(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

/* The next id that was not printed; 0: none came in the given time. */
static int next_id(chat_stream *s, long wait_ms, int32_t *id)
{
    struct timespec until;
    int has_one;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += wait_ms * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    pthread_mutex_lock(&s->lock);
    while (wait_ms > 0 && s->n_printed == s->arrived.n_ids &&
           pthread_cond_timedwait(&s->changed, &s->lock, &until) == 0)
        ;
    has_one = s->n_printed < s->arrived.n_ids;
    if (has_one)
        *id = s->arrived.ids[s->n_printed++];
    pthread_mutex_unlock(&s->lock);
    return has_one;
}

static void put(const char *piece, size_t size)
{
    fwrite(piece, 1, size, stdout);
    fflush(stdout);
}

int chat_stream_print(chat_stream *s)
{
    const char *piece;
    size_t size;
    int32_t id;

    if (!next_id(s, WAIT_MS, &id))
        return 0;
    if (tkx_text_stream_push(s->text, id, &piece, &size, NULL) == TKX_OK)
        put(piece, size);
    return 1;
}

void chat_stream_finish(chat_stream *s)
{
    const char *piece;
    size_t size;
    int32_t id;

    while (next_id(s, 0, &id)) {
        if (tkx_text_stream_push(s->text, id, &piece, &size, NULL) == TKX_OK)
            put(piece, size);
    }
    if (tkx_text_stream_finish(s->text, &piece, &size, NULL) == TKX_OK)
        put(piece, size);
}
