/* SPDX-License-Identifier: Apache-2.0 */
/* format.c - the formats by name, by the markers of a template, and what ends their
 * answers. */
#include <string.h>

#include <tkx/chat.h>

#include "base/error.h"

static const char *const names[TKX_N_CHAT_FORMATS] = {
    [TKX_CHAT_FORMAT_LLAMA3] = "llama3", [TKX_CHAT_FORMAT_LLAMA31] = "llama31",
    [TKX_CHAT_FORMAT_QWEN2] = "qwen2",   [TKX_CHAT_FORMAT_QWEN3] = "qwen3",
    [TKX_CHAT_FORMAT_CHATML] = "chatml", [TKX_CHAT_FORMAT_SMOLLM2] = "smollm2",
};

#define KNOWN "llama3, llama31, qwen2, qwen3, chatml, smollm2"

static const char *const llama_stops[] = {"<|eot_id|>", "<|end_of_text|>", "<|eom_id|>"};
static const char *const chatml_stops[] = {"<|im_end|>", "<|endoftext|>"};

tkx_status tkx_chat_format_find(const char *name, tkx_chat_format *out, tkx_error **err)
{
    for (int i = 0; i < TKX_N_CHAT_FORMATS; i++) {
        if (strcmp(names[i], name) == 0) {
            *out = (tkx_chat_format)i;
            return TKX_OK;
        }
    }
    return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                     "chat format '%.64s' is not known; known are " KNOWN, name);
}

const char *tkx_chat_format_name(tkx_chat_format format)
{
    return (unsigned)format < TKX_N_CHAT_FORMATS ? names[format] : NULL;
}

/*
 * Markers of a template, the more particular first.  `without` excludes templates that
 * look alike and write something else (a metadata header, as SmolLM3 has).
 */
static const struct {
    const char *marker, *also, *without;
    tkx_chat_format format;
} markers[] = {
    {"<|start_header_id|>", "Cutting Knowledge Date", NULL, TKX_CHAT_FORMAT_LLAMA31},
    {"<|start_header_id|>", "<|eot_id|>", NULL, TKX_CHAT_FORMAT_LLAMA3},
    {"<|im_start|>", "</think>", "Knowledge Cutoff", TKX_CHAT_FORMAT_QWEN3},
    {"<|im_start|>", "created by Alibaba Cloud", "</think>", TKX_CHAT_FORMAT_QWEN2},
    {"<|im_start|>", "named SmolLM, trained by Hugging Face", NULL,
     TKX_CHAT_FORMAT_SMOLLM2},
    {"<|im_start|>", "<|im_end|>", "Knowledge Cutoff", TKX_CHAT_FORMAT_CHATML},
};

tkx_status tkx_chat_format_detect(const char *chat_template, tkx_chat_format *out,
                                  tkx_error **err)
{
    if (!chat_template)
        return tkx__fail(err, TKX_ERR_UNSUPPORTED,
                         "the model has no chat template; name its chat format: " KNOWN);
    for (size_t i = 0; i < sizeof markers / sizeof markers[0]; i++) {
        if (strstr(chat_template, markers[i].marker) &&
            strstr(chat_template, markers[i].also) &&
            !(markers[i].without && strstr(chat_template, markers[i].without))) {
            *out = markers[i].format;
            return TKX_OK;
        }
    }
    return tkx__fail(err, TKX_ERR_UNSUPPORTED,
                     "the model's chat template ('%.40s...') has the markers of no known "
                     "format; name its chat format: " KNOWN,
                     chat_template);
}

const char *const *tkx_chat_format_stops(tkx_chat_format format, size_t *n_stops)
{
    if (format == TKX_CHAT_FORMAT_LLAMA3 || format == TKX_CHAT_FORMAT_LLAMA31) {
        *n_stops = sizeof llama_stops / sizeof llama_stops[0];
        return llama_stops;
    }
    *n_stops = sizeof chatml_stops / sizeof chatml_stops[0];
    return chatml_stops;
}
