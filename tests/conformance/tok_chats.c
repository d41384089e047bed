/* SPDX-License-Identifier: Apache-2.0 */
/* tok_chats.c - chat/expected.jsonl: conversations, their text and ids. */
#include <stdlib.h>
#include <string.h>

#include <tkx/chat.h>

#include "tok_cases.h"

#define MAX_MESSAGES 64

typedef struct chat_case {
    const char *format, *tokenizer, *name, *date;
    tkx_chat_message messages[MAX_MESSAGES];
    size_t n_messages;
    bool add_generation_prompt, enable_thinking;
    tkx__json_text text;
    int64_t *ids;
    size_t n_ids;
} chat_case;

static void read_message(tkx__json_reader *r, tkx_chat_message *m)
{
    tkx__json_text key;

    tkx__json_read_object(r);
    while (tkx__json_read_key(r, &key)) {
        if (tkx__json_text_is(&key, "role"))
            tkx__json_read_string(r, &m->role);
        else if (tkx__json_text_is(&key, "content"))
            tkx__json_read_string(r, &m->content);
        else if (tkx__json_text_is(&key, "reasoning_content"))
            tkx__json_read_string(r, &m->reasoning_content);
        else
            tkx__json_skip(r);
    }
}

static void read_messages(tkx__json_reader *r, chat_case *c)
{
    tkx__json_read_array(r);
    while (tkx__json_read_element(r)) {
        if (c->n_messages == MAX_MESSAGES)
            tkx__json_fail(r, TKX_ERR_LIMIT, "too many messages");
        else
            read_message(r, &c->messages[c->n_messages++]);
    }
}

static int read_case(tkx__json_text line, tkx__arena *arena, chat_case *c)
{
    tkx__json_reader r;
    tkx__json_text key;

    *c = (chat_case){.enable_thinking = true};
    tkx__json_reader_init(&r, line.data, line.size, arena, 0);
    tkx__json_read_object(&r);
    while (tkx__json_read_key(&r, &key)) {
        if (tkx__json_text_is(&key, "format"))
            tkx__json_read_string(&r, &c->format);
        else if (tkx__json_text_is(&key, "tokenizer"))
            tkx__json_read_string(&r, &c->tokenizer);
        else if (tkx__json_text_is(&key, "name"))
            tkx__json_read_string(&r, &c->name);
        else if (tkx__json_text_is(&key, "date_string"))
            tkx__json_read_string(&r, &c->date);
        else if (tkx__json_text_is(&key, "messages"))
            read_messages(&r, c);
        else if (tkx__json_text_is(&key, "add_generation_prompt"))
            tkx__json_read_bool(&r, &c->add_generation_prompt);
        else if (tkx__json_text_is(&key, "enable_thinking"))
            tkx__json_read_bool(&r, &c->enable_thinking);
        else if (tkx__json_text_is(&key, "text"))
            tkx__json_read_text(&r, &c->text);
        else if (tkx__json_text_is(&key, "ids"))
            tkx__json_read_i64s(&r, &c->ids, &c->n_ids);
        else
            tkx__json_skip(&r);
    }
    return tkx__json_finish(&r, "line", NULL) == TKX_OK && c->format && c->tokenizer;
}

static void run_chat(const char *dir, const chat_case *c, const char *name,
                     conf_report *report)
{
    tkx_chat_options options = TKX_CHAT_OPTIONS_INIT;
    tkx_chat_rendering rendering = {0};
    tkx_chat_format format;
    tkx_tokenizer *tokenizer = NULL;
    tkx_error *err = NULL;
    char path[TOK_PATH], *text = NULL;
    size_t n = 0;
    int is_same = 0;

    options.add_generation_prompt = c->add_generation_prompt;
    options.no_thinking = !c->enable_thinking;
    options.date = c->date;
    snprintf(path, sizeof path, "%s/../%s/tokenizer.json", dir, c->tokenizer);
    if (tkx_tokenizer_open(path, &tokenizer, &err) != TKX_OK ||
        tkx_chat_format_find(c->format, &format, &err) != TKX_OK ||
        tkx_chat_render_text(format, c->messages, c->n_messages, &options, &text, &n,
                             &err) != TKX_OK ||
        tkx_chat_render(format, tokenizer, c->messages, c->n_messages, &options,
                        &rendering, &err) != TKX_OK)
        conf_fail(report, name, "%s", tkx_error_message(err));
    else
        is_same = tok_same_text(report, name, "text", &c->text, text, n) &&
                  tok_same_ids(report, name, "ids", c->ids, c->n_ids, rendering.ids,
                               rendering.n_ids);
    if (is_same)
        conf_pass(report, name);
    tkx_chat_rendering_clear(&rendering);
    tkx_tokenizer_free_result(text);
    tkx_tokenizer_unref(tokenizer);
    tkx_error_free(err);
}

void tok_run_chats(const char *dir, conf_report *report)
{
    char path[TOK_PATH], name[TOK_PATH + 128];
    size_t n = 0, at = 0, number = 0;
    char *all;
    tkx__json_text line;
    tkx__arena arena;
    chat_case c;

    snprintf(path, sizeof path, "%s/expected.jsonl", dir);
    all = tok_read_file(path, &n, report);
    while (all && tok_next_line(all, n, &at, &line)) {
        tkx__arena_init(&arena, 4096, 1 << 24);
        if (read_case(line, &arena, &c)) {
            snprintf(name, sizeof name, "%s %zu %.40s/%.40s", path, number, c.format,
                     c.name ? c.name : "?");
            run_chat(dir, &c, name, report);
        } else {
            conf_fail(report, path, "line %zu is no JSON object with a conversation",
                      number);
        }
        number++;
        tkx__arena_clear(&arena);
    }
    free(all);
}
