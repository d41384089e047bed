/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chat_stream.h - tokens from the thread that computes, as text on the terminal.
 *
 * The computing thread only appends ids; the command's thread decodes and prints whole
 * characters.
 */
#ifndef CLI_CHAT_STREAM_H
#define CLI_CHAT_STREAM_H

#include <pthread.h>

#include <tkx/local.h>

#include "text.h"

typedef struct chat_stream {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    cli_ids arrived;  /* under the lock */
    size_t n_printed; /* of them; the command's thread */
    tkx_text_stream *text;
} chat_stream;

/* CLI_OK, or CLI_FAILED after saying why. */
int chat_stream_open(chat_stream *s, tkx_tokenizer *tokenizer);
void chat_stream_close(chat_stream *s);

/* A token callback; user_data is the stream. */
tkx_local_token_fn chat_stream_take;

/* Print what has arrived, or wait a moment for something; 1 when something was
   printed. */
int chat_stream_print(chat_stream *s);
/* No more will come: print the rest, an unfinished character as U+FFFD. */
void chat_stream_finish(chat_stream *s);

#endif
