/* SPDX-License-Identifier: Apache-2.0 */
/*
 * render.c - the formats as code, byte for byte what the models' templates write.
 *
 * llama3 trims every message.  The chatml family writes messages as they are; qwen2 and
 * smollm2 have a system text of their own for conversations without one; qwen formats
 * join tool answers that stand together into one user turn.  qwen3 takes thoughts out of
 * all assistant messages up to the last question of the user, and gives the final one a
 * thought, empty if need be.
 */
#include "model/chat/render.h"

#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/options.h"
#include "model/tokenizer/unicode.h"
#include "model/tokenizer/utf8.h"

#define MAX_TEXT ((size_t)256 << 20)
#define QWEN2_SYSTEM                                                                     \
    "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."
#define SMOLLM2_SYSTEM                                                                   \
    "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
#define EMPTY_THOUGHT "<think>\n\n</think>\n\n"

typedef struct rendering {
    const tkx_chat_message *messages;
    size_t n;
    const tkx_chat_options *options;
    tkx__chat_text *out;
} rendering;

typedef struct span {
    const char *data;
    size_t size;
} span;

static span span_of(const char *text)
{
    return (span){text, strlen(text)};
}

static bool is_role(const tkx_chat_message *m, const char *role)
{
    return strcmp(m->role, role) == 0;
}

static void put(rendering *r, const char *text)
{
    tkx__buf_puts(&r->out->text, text);
}

static void put_span(rendering *r, span s)
{
    tkx__buf_append(&r->out->text, s.data, s.size);
}

/* The final assistant message begins (ends) at the end of the text so far. */
static void answer_begins(rendering *r, size_t i)
{
    if (i + 1 == r->n && is_role(&r->messages[i], "assistant") &&
        !r->options->add_generation_prompt)
        r->out->answer_at = r->out->answer_stop = r->out->text.size;
}

static void answer_ends(rendering *r, size_t i)
{
    if (i + 1 == r->n && is_role(&r->messages[i], "assistant") &&
        !r->options->add_generation_prompt)
        r->out->answer_stop = r->out->text.size;
}

/* ---- llama3 ---- */

static bool is_trimmed(const uint8_t *p)
{
    size_t len;

    return (tkx__unicode_flags_at(p, &len) & TKX__UNI_SPACE) != 0 ||
           (*p >= 0x1C && *p <= 0x1F);
}

static span trim(const char *text)
{
    const uint8_t *p = (const uint8_t *)text;
    size_t from = 0, to = strlen(text);

    if (tkx__utf8_check(p, to) != to)
        return (span){text, to};
    while (from < to && is_trimmed(p + from))
        from += tkx__utf8_len(p[from]);
    while (to > from) {
        size_t back = tkx__utf8_back(p, to);

        if (!is_trimmed(p + back))
            break;
        to = back;
    }
    return (span){text + from, to - from};
}

static void llama_header(rendering *r, const char *role)
{
    tkx__buf_printf(&r->out->text, "<|start_header_id|>%s<|end_header_id|>\n\n", role);
}

static void render_llama(rendering *r, bool has_date)
{
    size_t i = 0;

    put(r, "<|begin_of_text|>");
    if (has_date) {
        llama_header(r, "system");
        put(r, "Cutting Knowledge Date: December 2023\nToday Date: ");
        put(r, r->options->date ? r->options->date : "26 Jul 2024");
        put(r, "\n\n");
        if (is_role(&r->messages[0], "system"))
            put_span(r, trim(r->messages[i++].content));
        put(r, "<|eot_id|>");
    }
    for (; i < r->n; i++) {
        llama_header(r, r->messages[i].role);
        answer_begins(r, i);
        put_span(r, trim(r->messages[i].content));
        put(r, "<|eot_id|>");
        answer_ends(r, i);
    }
    if (r->options->add_generation_prompt)
        llama_header(r, "assistant");
}

/* ---- the chatml family ---- */

static void chatml_turn(rendering *r, size_t i)
{
    tkx__buf_printf(&r->out->text, "<|im_start|>%s\n", r->messages[i].role);
    answer_begins(r, i);
    put(r, r->messages[i].content);
    put(r, "<|im_end|>");
    answer_ends(r, i);
    put(r, "\n");
}

static void default_system(rendering *r, const char *text)
{
    if (text && !is_role(&r->messages[0], "system"))
        tkx__buf_printf(&r->out->text, "<|im_start|>system\n%s<|im_end|>\n", text);
}

static void tool_answer(rendering *r, size_t i)
{
    if (i == 0 || !is_role(&r->messages[i - 1], "tool"))
        put(r, "<|im_start|>user");
    put(r, "\n<tool_response>\n");
    put(r, r->messages[i].content);
    put(r, "\n</tool_response>");
    if (i + 1 == r->n || !is_role(&r->messages[i + 1], "tool"))
        put(r, "<|im_end|>\n");
}

static void render_chatml(rendering *r, const char *system, bool has_tools)
{
    default_system(r, system);
    for (size_t i = 0; i < r->n; i++) {
        if (has_tools && is_role(&r->messages[i], "tool"))
            tool_answer(r, i);
        else
            chatml_turn(r, i);
    }
    if (r->options->add_generation_prompt)
        put(r, "<|im_start|>assistant\n");
}

/* ---- qwen3 ---- */

static span strip_line_ends(span s, bool left, bool right)
{
    while (left && s.size > 0 && s.data[0] == '\n') {
        s.data++;
        s.size--;
    }
    while (right && s.size > 0 && s.data[s.size - 1] == '\n')
        s.size--;
    return s;
}

static const char *find_last(const char *text, size_t n, const char *word)
{
    size_t size = strlen(word);

    for (size_t at = n + 1; at-- > 0;)
        if (n - at >= size && memcmp(text + at, word, size) == 0)
            return text + at;
    return NULL;
}

/* The thought of a message and what is left of its text. */
static span take_thought(const tkx_chat_message *m, span *content)
{
    static const char opens[] = "<think>", closes[] = "</think>";
    const char *close, *open, *last;
    span thought;

    *content = span_of(m->content);
    if (m->reasoning_content)
        return span_of(m->reasoning_content);
    close = strstr(m->content, closes);
    if (!close)
        return (span){"", 0};
    thought =
        strip_line_ends((span){m->content, (size_t)(close - m->content)}, false, true);
    open = find_last(thought.data, thought.size, opens);
    if (open) {
        open += strlen(opens);
        thought = (span){open, (size_t)(thought.data + thought.size - open)};
    }
    last = find_last(m->content, content->size, closes) + strlen(closes);
    *content = strip_line_ends(span_of(last), true, false);
    return strip_line_ends(thought, true, false);
}

/* A user message that only carries a tool's answer is no question. */
static bool is_question(const tkx_chat_message *m)
{
    static const char opens[] = "<tool_response>", closes[] = "</tool_response>";
    size_t n = strlen(m->content);

    return is_role(m, "user") &&
           !(strncmp(m->content, opens, strlen(opens)) == 0 && n >= strlen(closes) &&
             strcmp(m->content + n - strlen(closes), closes) == 0);
}

static size_t last_question(const rendering *r)
{
    for (size_t i = r->n; i-- > 0;)
        if (is_question(&r->messages[i]))
            return i;
    return r->n - 1;
}

static void qwen3_answer(rendering *r, size_t i, size_t question)
{
    span content, thought = take_thought(&r->messages[i], &content);
    bool keeps_thought = i > question && (i + 1 == r->n || thought.size > 0);

    put(r, "<|im_start|>assistant\n");
    answer_begins(r, i);
    if (keeps_thought) {
        thought = strip_line_ends(thought, true, true);
        put(r, "<think>\n");
        put_span(r, thought);
        put(r, "\n</think>\n\n");
        if (r->options->no_thinking && thought.size == 0)
            answer_begins(r, i);
        content = strip_line_ends(content, true, false);
    }
    put_span(r, content);
    put(r, "<|im_end|>");
    answer_ends(r, i);
    put(r, "\n");
}

static void render_qwen3(rendering *r)
{
    size_t question = last_question(r);

    for (size_t i = 0; i < r->n; i++) {
        if (is_role(&r->messages[i], "assistant"))
            qwen3_answer(r, i, question);
        else if (is_role(&r->messages[i], "tool"))
            tool_answer(r, i);
        else
            chatml_turn(r, i);
    }
    if (r->options->add_generation_prompt) {
        put(r, "<|im_start|>assistant\n");
        if (r->options->no_thinking)
            put(r, EMPTY_THOUGHT);
    }
}

/* ---- any format ---- */

static tkx_status check(tkx_chat_format format, const tkx_chat_message *messages,
                        size_t n, tkx_error **err)
{
    bool is_qwen = format == TKX_CHAT_FORMAT_QWEN2 || format == TKX_CHAT_FORMAT_QWEN3;

    if (!tkx_chat_format_name(format))
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT, "%d is no chat format",
                         (int)format);
    if (n == 0)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "a conversation needs at least one message");
    for (size_t i = 0; i < n; i++) {
        const tkx_chat_message *m = &messages[i];

        if (!m->role || !m->content)
            return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT, "message %zu has no %s", i,
                             m->role ? "content" : "role");
        if (is_qwen && !is_role(m, "system") && !is_role(m, "user") &&
            !is_role(m, "assistant") && !is_role(m, "tool"))
            return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                             "message %zu: %s has no role '%.64s'; it has system, user, "
                             "assistant and tool",
                             i, tkx_chat_format_name(format), m->role);
    }
    return TKX_OK;
}

tkx_status tkx__chat_render(tkx_chat_format format, const tkx_chat_message *messages,
                            size_t n_messages, const tkx_chat_options *options,
                            tkx__chat_text *out, tkx_error **err)
{
    tkx_chat_options all = TKX_CHAT_OPTIONS_INIT;
    rendering r = {.messages = messages, .n = n_messages, .options = &all, .out = out};
    tkx_status st;

    *out = (tkx__chat_text){.answer_at = 0};
    tkx__buf_init(&out->text, MAX_TEXT);
    st = tkx__options_overlay(&all, sizeof all, options, "tkx_chat_options", err);
    if (st == TKX_OK)
        st = check(format, messages, n_messages, err);
    if (st != TKX_OK)
        return st;
    if (format == TKX_CHAT_FORMAT_LLAMA3 || format == TKX_CHAT_FORMAT_LLAMA31)
        render_llama(&r, format == TKX_CHAT_FORMAT_LLAMA31);
    else if (format == TKX_CHAT_FORMAT_QWEN3)
        render_qwen3(&r);
    else if (format == TKX_CHAT_FORMAT_QWEN2)
        render_chatml(&r, QWEN2_SYSTEM, true);
    else
        render_chatml(&r, format == TKX_CHAT_FORMAT_SMOLLM2 ? SMOLLM2_SYSTEM : NULL,
                      false);
    if (out->text.status == TKX_ERR_LIMIT)
        return tkx__fail(err, TKX_ERR_LIMIT, "the conversation's text passes 256 MiB");
    return out->text.status == TKX_OK ? TKX_OK : tkx__fail_memory(err);
}

tkx_status tkx_chat_render_text(tkx_chat_format format, const tkx_chat_message *messages,
                                size_t n_messages, const tkx_chat_options *options,
                                char **text, size_t *size_bytes, tkx_error **err)
{
    tkx__chat_text rendered;
    tkx_status st =
        tkx__chat_render(format, messages, n_messages, options, &rendered, err);

    if (st == TKX_OK) {
        *size_bytes = rendered.text.size;
        *text = tkx__buf_take(&rendered.text, NULL);
    }
    tkx__buf_clear(&rendered.text);
    return st;
}
