/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model/chat/render.h - a conversation as text, and where in it the final answer stands.
 */
#ifndef TKX_MODEL_CHAT_RENDER_H
#define TKX_MODEL_CHAT_RENDER_H

#include <tkx/chat.h>

#include "base/buf.h"

typedef struct tkx__chat_text {
    tkx__buf text;
    /* Bytes of the final assistant message that a model would write, its end-of-turn mark
       included; equal when the conversation does not end with one. */
    size_t answer_at, answer_stop;
} tkx__chat_text;

/* The caller clears out->text, also after a failure. */
tkx_status tkx__chat_render(tkx_chat_format format, const tkx_chat_message *messages,
                            size_t n_messages, const tkx_chat_options *options,
                            tkx__chat_text *out, tkx_error **err);

#endif
