/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tkx/chat.h - conversations as the text that a chat model was trained on, and back.
 *
 * The formats are written out here, not run from a model's template: llama3, llama31
 * (with the knowledge-date header), qwen2 (and 2.5), qwen3 (with and without thinking),
 * chatml, smollm2.  Markers inside a message's text are markers to the model as well:
 * check text from strangers before it becomes a message.
 */
#ifndef TKX_CHAT_H
#define TKX_CHAT_H

#include <stddef.h>
#include <stdint.h>

#include <tkx/error.h>
#include <tkx/tokenizer.h>

TKX_BEGIN_DECLS

typedef enum tkx_chat_format {
    TKX_CHAT_FORMAT_LLAMA3 = 0,
    TKX_CHAT_FORMAT_LLAMA31,
    TKX_CHAT_FORMAT_QWEN2,
    TKX_CHAT_FORMAT_QWEN3,
    TKX_CHAT_FORMAT_CHATML,
    TKX_CHAT_FORMAT_SMOLLM2,
    TKX_N_CHAT_FORMATS
} tkx_chat_format;

typedef struct tkx_chat_message {
    const char *role;              /* system, user, assistant, tool */
    const char *content;           /* UTF-8 */
    const char *reasoning_content; /* qwen3, assistant: NULL unless kept apart */
} tkx_chat_message;

typedef struct tkx_chat_options {
    size_t struct_size;
    int add_generation_prompt; /* end with the start of the assistant's turn */
    int no_thinking;           /* qwen3: the answer begins with an empty thought */
    const char *date;          /* llama31: "26 Jul 2024" when NULL */
} tkx_chat_options;

#define TKX_CHAT_OPTIONS_INIT                                                            \
    {                                                                                    \
        .struct_size = sizeof(tkx_chat_options), .add_generation_prompt = 1              \
    }

/** A format by its name.  Thread: any.  Errors: INVALID_ARGUMENT; the message lists
    them. */
TKX_API tkx_status tkx_chat_format_find(const char *name, tkx_chat_format *out,
                                        tkx_error **err);

/** "llama3" and so on; NULL for a value that is no format.  Thread: any. */
TKX_API const char *tkx_chat_format_name(tkx_chat_format format);

/**
 * The format that a model's own template writes, by its markers.
 *
 * Thread:    any.
 * Errors:    UNSUPPORTED when no format fits or @p chat_template is NULL.
 */
TKX_API tkx_status tkx_chat_format_detect(const char *chat_template, tkx_chat_format *out,
                                          tkx_error **err);

/**
 * The text of a conversation.  @p options may be NULL for the defaults.
 *
 * Thread:    any.
 * Ownership: *text is the caller's, NUL-terminated; tkx_tokenizer_free_result().
 * Shapes:    messages[n_messages].
 * Errors:    INVALID_ARGUMENT for no message, a message without role or content, or a
 *            role that the format does not have; LIMIT above 256 MiB.
 */
TKX_API tkx_status tkx_chat_render_text(tkx_chat_format format,
                                        const tkx_chat_message *messages,
                                        size_t n_messages,
                                        const tkx_chat_options *options, char **text,
                                        size_t *size_bytes, tkx_error **err);

/** A conversation as tokens. */
typedef struct tkx_chat_rendering {
    int64_t *ids;
    float *weights; /* what to train on: 1 or 0 for each id */
    size_t n_ids;
} tkx_chat_rendering;

/**
 * The ids of a conversation.  Weights are 1 on the final assistant message's text and on
 * the token that ends its turn, 0 elsewhere, and 0 everywhere when the conversation does
 * not end with an assistant message or asks for another answer.  For qwen3 a thought
 * belongs to the text, unless it is the empty one of no_thinking.
 *
 * Thread:    any.
 * Ownership: *out is the caller's; tkx_chat_rendering_clear().
 * Shapes:    out->ids[n_ids], out->weights[n_ids].
 * Errors:    as tkx_chat_render_text() and tkx_tokenizer_encode().
 */
TKX_API tkx_status tkx_chat_render(tkx_chat_format format, const tkx_tokenizer *tokenizer,
                                   const tkx_chat_message *messages, size_t n_messages,
                                   const tkx_chat_options *options,
                                   tkx_chat_rendering *out, tkx_error **err);

/** Thread: any.  Accepts NULL. */
TKX_API void tkx_chat_rendering_clear(tkx_chat_rendering *rendering);

/** Texts that end an answer.  Static.  Thread: any. */
TKX_API const char *const *tkx_chat_format_stops(tkx_chat_format format, size_t *n_stops);

/** A model's answer, taken apart. */
typedef struct tkx_chat_answer {
    char *content;           /* never NULL after a success */
    char *reasoning_content; /* NULL: no thought */
    char **tool_calls;       /* [n_tool_calls]: the text inside each <tool_call> */
    size_t n_tool_calls;
    int is_complete; /* a stop text ended it */
} tkx_chat_answer;

/**
 * Take a model's text apart: what follows a stop text is cut off; a thought and tool
 * calls are kept apart (qwen formats).
 *
 * Thread:    any.
 * Ownership: *out is the caller's; tkx_chat_answer_clear().
 */
TKX_API tkx_status tkx_chat_parse(tkx_chat_format format, const char *text,
                                  size_t size_bytes, tkx_chat_answer *out,
                                  tkx_error **err);

/** Thread: any.  Accepts NULL. */
TKX_API void tkx_chat_answer_clear(tkx_chat_answer *answer);

TKX_END_DECLS
#endif
