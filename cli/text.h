/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text.h - text to token ids for the commands that send them, and back.
 */
#ifndef CLI_TEXT_H
#define CLI_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include <tkx/chat.h>

/*
 * The tokenizer to use: the file of --tokenizer if given, else the one that the service
 * names (only "bytes" is built in).  CLI_OK, or CLI_FAILED after saying what to do.
 */
int cli_text_open(const char *file, const char *tokenizer_id, tkx_tokenizer **out);

typedef struct cli_ids {
    int32_t *ids;
    size_t n_ids;
    size_t capacity;
} cli_ids;

int cli_ids_append(cli_ids *ids, int64_t id);
void cli_ids_clear(cli_ids *ids);

/* Append a text's ids. */
int cli_text_encode(const tkx_tokenizer *tokenizer, const char *text, cli_ids *ids);
/* Append the ids of "1,2,3". */
int cli_ids_parse(const char *option, const char *list, cli_ids *ids);
/* The text of ids, special tokens left out, and its size (which may be NULL): it may hold
   NULs.  free() it.  NULL after saying why. */
char *cli_text_decode(const tkx_tokenizer *tokenizer, const int32_t *ids, size_t n_ids,
                      size_t *n_text);
/* The chat format: by name if given, else what the model's own template writes. */
int cli_text_chat_format(const tkx_tokenizer *tokenizer, const char *name,
                         tkx_chat_format *out);
/* The ids that end an answer: of the format's stop texts, and of the model. */
int cli_text_chat_stops(const tkx_tokenizer *tokenizer, tkx_chat_format format,
                        cli_ids *ids);
/* The text of one id, a special one too; free() it.  NULL after saying why. */
char *cli_text_of_id(const tkx_tokenizer *tokenizer, int32_t id);
/* The id that ends a training text; -1 after saying that the tokenizer has none. */
int64_t cli_text_end_id(const tkx_tokenizer *tokenizer);

#endif
