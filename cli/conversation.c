/* SPDX-License-Identifier: Apache-2.0 */
/* conversation.c - see conversation.h. */
#include "conversation.h"

#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "output.h"

static void free_message(tkx_chat_message *m)
{
    free((char *)(uintptr_t)m->content);
    free((char *)(uintptr_t)m->reasoning_content);
}

static int add(conversation *c, const char *role, const char *text, const char *thought)
{
    tkx_chat_message m = {.role = role, .content = strdup(text)};

    if (thought)
        m.reasoning_content = strdup(thought);
    if (c->n_messages == c->capacity) {
        size_t capacity = c->capacity ? 2 * c->capacity : 16;
        tkx_chat_message *grown = realloc(c->messages, capacity * sizeof *grown);

        if (grown) {
            c->messages = grown;
            c->capacity = capacity;
        }
    }
    if (!m.content || (thought && !m.reasoning_content) || c->n_messages == c->capacity) {
        free_message(&m);
        cli_error("out of memory");
        return 0;
    }
    c->messages[c->n_messages++] = m;
    return 1;
}

int conversation_add(conversation *c, const char *role, const char *text)
{
    return add(c, role, text, NULL);
}

int conversation_answer(conversation *c, const char *text)
{
    tkx_chat_answer answer;
    tkx_error *err = NULL;
    int ok;

    if (tkx_chat_parse(c->format, text, strlen(text), &answer, &err) != TKX_OK) {
        cli_fail(err, "cannot read the answer");
        return 0;
    }
    ok = add(c, "assistant", answer.content, answer.reasoning_content);
    tkx_chat_answer_clear(&answer);
    return ok;
}

void conversation_drop(conversation *c)
{
    if (c->n_messages)
        free_message(&c->messages[--c->n_messages]);
}

static int has_system(const conversation *c)
{
    return c->n_messages > 0 && strcmp(c->messages[0].role, "system") == 0;
}

void conversation_restart(conversation *c)
{
    size_t keep = has_system(c) ? 1 : 0;

    while (c->n_messages > keep)
        conversation_drop(c);
}

void conversation_clear(conversation *c)
{
    while (c->n_messages)
        conversation_drop(c);
    free(c->messages);
    c->messages = NULL;
    c->capacity = 0;
}

int conversation_ids(const conversation *c, const tkx_tokenizer *tokenizer, cli_ids *ids)
{
    tkx_chat_options options = TKX_CHAT_OPTIONS_INIT;
    tkx_chat_rendering rendering;
    tkx_error *err = NULL;
    int status = CLI_OK;

    options.no_thinking = c->no_thinking;
    if (tkx_chat_render(c->format, tokenizer, c->messages, c->n_messages, &options,
                        &rendering, &err) != TKX_OK)
        return cli_fail(err, "cannot render the conversation");
    for (size_t i = 0; i < rendering.n_ids && status == CLI_OK; i++)
        status = cli_ids_append(ids, rendering.ids[i]);
    tkx_chat_rendering_clear(&rendering);
    return status;
}
