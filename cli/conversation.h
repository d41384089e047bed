/* SPDX-License-Identifier: Apache-2.0 */
/* conversation.h - who said what so far, and the ids to send for the next answer. */
#ifndef CLI_CONVERSATION_H
#define CLI_CONVERSATION_H

#include <tkx/chat.h>

#include "text.h"

typedef struct conversation {
    tkx_chat_format format;
    int no_thinking;
    tkx_chat_message *messages; /* strings owned */
    size_t n_messages;
    size_t capacity;
} conversation;

/* Text is copied; 1, or 0 when memory is short. */
int conversation_add(conversation *c, const char *role, const char *text);
/* The model's text as the assistant's message, its thought kept apart. */
int conversation_answer(conversation *c, const char *text);
/* Take the last message back: its answer did not come. */
void conversation_drop(conversation *c);
/* Begin anew; the system message stays. */
void conversation_restart(conversation *c);
void conversation_clear(conversation *c);

/* The ids of all of it and of the beginning of an answer.  CLI_OK, or CLI_FAILED after
   saying why. */
int conversation_ids(const conversation *c, const tkx_tokenizer *tokenizer, cli_ids *ids);

#endif
