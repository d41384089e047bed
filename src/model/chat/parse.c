/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parse.c - a model's answer: cut at its stop text, thought and tool calls taken out.
 *
 * A thought ends at the first </think>; without one, an answer that opens a thought is
 * all thought (it was cut off).  What stands between <tool_call> and </tool_call> is
 * handed out as it is: whether it is JSON is the caller's question.
 */
#include <stdbool.h>
#include <string.h>

#include <tkx/chat.h>

#include "base/error.h"
#include "base/mem.h"

typedef struct span {
    const char *data;
    size_t size;
} span;

static const char *find(span s, const char *word)
{
    size_t n = strlen(word);

    for (size_t at = 0; at + n <= s.size; at++) {
        const char *p = memchr(s.data + at, word[0], s.size - at - n + 1);

        if (!p)
            return NULL;
        if (memcmp(p, word, n) == 0)
            return p;
        at = (size_t)(p - s.data);
    }
    return NULL;
}

static bool cut_at_stop(tkx_chat_format format, span *s)
{
    size_t n_stops;
    const char *const *stops = tkx_chat_format_stops(format, &n_stops);
    bool is_complete = false;

    for (size_t i = 0; i < n_stops; i++) {
        const char *p = find(*s, stops[i]);

        if (p) {
            s->size = (size_t)(p - s->data);
            is_complete = true;
        }
    }
    return is_complete;
}

static span strip(span s)
{
    while (s.size > 0 && (s.data[0] == '\n' || s.data[0] == '\r')) {
        s.data++;
        s.size--;
    }
    while (s.size > 0 && (s.data[s.size - 1] == '\n' || s.data[s.size - 1] == '\r'))
        s.size--;
    return s;
}

static tkx_status copy(span s, char **out, tkx_error **err)
{
    *out = tkx__strndup(s.size ? s.data : "", s.size);
    return *out ? TKX_OK : tkx__fail_memory(err);
}

static tkx_status take_thought(span *s, tkx_chat_answer *out, tkx_error **err)
{
    static const char opens[] = "<think>", closes[] = "</think>";
    span thought = *s;
    const char *close = find(*s, closes), *open = find(*s, opens);

    if (!close && !(open && strip(*s).data == open))
        return TKX_OK;
    if (close) {
        thought.size = (size_t)(close - s->data);
        s->size -= thought.size + strlen(closes);
        s->data = close + strlen(closes);
    } else {
        s->data += s->size;
        s->size = 0;
    }
    if (open && open < thought.data + thought.size) {
        thought.size -= (size_t)(open - thought.data) + strlen(opens);
        thought.data = open + strlen(opens);
    }
    return copy(strip(thought), &out->reasoning_content, err);
}

static tkx_status add_call(span s, tkx_chat_answer *out, tkx_error **err)
{
    char **calls = tkx__realloc(out->tool_calls, out->n_tool_calls + 1, sizeof *calls);

    if (!calls)
        return tkx__fail_memory(err);
    out->tool_calls = calls;
    calls[out->n_tool_calls] = NULL;
    out->n_tool_calls++;
    return copy(strip(s), &calls[out->n_tool_calls - 1], err);
}

/* The calls leave the text; what stood before the first of them stays. */
static tkx_status take_calls(span *s, tkx_chat_answer *out, tkx_error **err)
{
    static const char opens[] = "<tool_call>", closes[] = "</tool_call>";
    span left = *s;
    const char *open;

    while ((open = find(left, opens)) != NULL) {
        span inside = {open + strlen(opens),
                       left.size - (size_t)(open - left.data) - strlen(opens)};
        const char *close = find(inside, closes);
        tkx_status st;

        if (!close)
            break; /* cut off: it stays text */
        if (out->n_tool_calls == 0)
            s->size = (size_t)(open - s->data);
        left.data = close + strlen(closes);
        left.size = inside.size - (size_t)(left.data - inside.data);
        inside.size = (size_t)(close - inside.data);
        st = add_call(inside, out, err);
        if (st != TKX_OK)
            return st;
    }
    return TKX_OK;
}

tkx_status tkx_chat_parse(tkx_chat_format format, const char *text, size_t size_bytes,
                          tkx_chat_answer *out, tkx_error **err)
{
    bool is_qwen = format == TKX_CHAT_FORMAT_QWEN2 || format == TKX_CHAT_FORMAT_QWEN3;
    span s = {text, size_bytes};
    tkx_chat_answer made = {0};
    tkx_status st = TKX_OK;

    if (!tkx_chat_format_name(format))
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT, "%d is no chat format",
                         (int)format);
    made.is_complete = cut_at_stop(format, &s);
    if (format == TKX_CHAT_FORMAT_QWEN3)
        st = take_thought(&s, &made, err);
    if (made.reasoning_content)
        while (s.size > 0 && s.data[0] == '\n') {
            s.data++;
            s.size--;
        }
    if (st == TKX_OK && is_qwen)
        st = take_calls(&s, &made, err);
    if (made.n_tool_calls > 0)
        s = strip(s);
    if (st == TKX_OK)
        st = copy(s, &made.content, err);
    if (st == TKX_OK)
        *out = made;
    else
        tkx_chat_answer_clear(&made);
    return st;
}

void tkx_chat_answer_clear(tkx_chat_answer *answer)
{
    if (!answer)
        return;
    tkx__free(answer->content);
    tkx__free(answer->reasoning_content);
    for (size_t i = 0; i < answer->n_tool_calls; i++)
        tkx__free(answer->tool_calls[i]);
    tkx__free(answer->tool_calls);
    *answer = (tkx_chat_answer){0};
}
