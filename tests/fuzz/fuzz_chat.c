/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_chat.c - chat formats: the input as a template to recognise, as an answer to take
 * apart, and as the texts of a conversation.
 */
#include <stdlib.h>
#include <string.h>

#include <tkx/chat.h>

#include "fuzz/fuzz.h"

static volatile size_t sink;

static void parse(tkx_chat_format format, const char *text, size_t size)
{
    tkx_chat_answer answer;

    if (tkx_chat_parse(format, text, size, &answer, NULL) != TKX_OK)
        return;
    sink += strlen(answer.content);
    sink += answer.reasoning_content ? strlen(answer.reasoning_content) : 0;
    for (size_t i = 0; i < answer.n_tool_calls; i++)
        sink += strlen(answer.tool_calls[i]);
    tkx_chat_answer_clear(&answer);
}

static void render(tkx_chat_format format, const char *text, size_t size)
{
    static const char *const roles[] = {"system", "user", "assistant", "tool"};
    tkx_chat_options options = TKX_CHAT_OPTIONS_INIT;
    tkx_chat_message messages[6] = {{0}};
    char *out = NULL;
    size_t n = 0, n_out;

    for (size_t at = 0; at < size && n < 6; at += strlen(text + at) + 1, n++)
        messages[n] = (tkx_chat_message){.role = roles[(size_t)text[at] % 4],
                                         .content = text + at,
                                         .reasoning_content = at % 3 ? NULL : text};
    options.add_generation_prompt = size % 2 == 0;
    options.no_thinking = size % 3 == 0;
    if (tkx_chat_render_text(format, messages, n, &options, &out, &n_out, NULL) ==
        TKX_OK) {
        if (strlen(out) != n_out)
            abort();
        tkx_tokenizer_free_result(out);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char *text = malloc(size + 1);
    tkx_chat_format found;

    if (!text)
        return 0;
    memcpy(text, bytes, size);
    text[size] = '\0';
    (void)tkx_chat_format_detect(text, &found, NULL);
    for (int f = 0; f < TKX_N_CHAT_FORMATS; f++) {
        parse((tkx_chat_format)f, text, size);
        render((tkx_chat_format)f, text, size);
    }
    free(text);
    return 0;
}
