/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tokens.c - a conversation as ids, and which of them to train on.
 *
 * The whole text is encoded at once, as the models saw it.  Where the answer begins among
 * the ids is found by encoding what stands before it: the ids that both share stand
 * before, and a token that reaches over the border belongs to the answer.  Its end
 * likewise.
 */
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "model/chat/render.h"

/* How many ids at the start of whole come from text[0..size) alone. */
static tkx_status shared_ids(const tkx_tokenizer *tokenizer, const tkx__buf *text,
                             size_t size, const tkx_chat_rendering *whole,
                             size_t *n_shared, tkx_error **err)
{
    int64_t *ids = NULL;
    size_t n = 0;
    tkx_status st = tkx_tokenizer_encode(tokenizer, text->data, size, TKX_ENCODE_DEFAULT,
                                         &ids, &n, err);

    *n_shared = 0;
    while (st == TKX_OK && *n_shared < n && *n_shared < whole->n_ids &&
           ids[*n_shared] == whole->ids[*n_shared])
        (*n_shared)++;
    tkx_tokenizer_free_result(ids);
    return st;
}

static tkx_status weigh(const tkx_tokenizer *tokenizer, const tkx__chat_text *rendered,
                        tkx_chat_rendering *out, tkx_error **err)
{
    size_t from = 0, to = 0;
    tkx_status st;

    out->weights = tkx__calloc(out->n_ids ? out->n_ids : 1, sizeof *out->weights);
    if (!out->weights)
        return tkx__fail_memory(err);
    if (rendered->answer_stop == rendered->answer_at)
        return TKX_OK;
    st = shared_ids(tokenizer, &rendered->text, rendered->answer_at, out, &from, err);
    if (st == TKX_OK)
        st = shared_ids(tokenizer, &rendered->text, rendered->answer_stop, out, &to, err);
    for (size_t i = from; st == TKX_OK && i < to; i++)
        out->weights[i] = 1.0f;
    return st;
}

tkx_status tkx_chat_render(tkx_chat_format format, const tkx_tokenizer *tokenizer,
                           const tkx_chat_message *messages, size_t n_messages,
                           const tkx_chat_options *options, tkx_chat_rendering *out,
                           tkx_error **err)
{
    tkx__chat_text rendered;
    tkx_chat_rendering made = {0};
    tkx_status st =
        tkx__chat_render(format, messages, n_messages, options, &rendered, err);

    if (st == TKX_OK)
        st = tkx_tokenizer_encode(tokenizer, rendered.text.data, rendered.text.size,
                                  TKX_ENCODE_DEFAULT, &made.ids, &made.n_ids, err);
    if (st == TKX_OK)
        st = weigh(tokenizer, &rendered, &made, err);
    if (st == TKX_OK)
        *out = made;
    else
        tkx_chat_rendering_clear(&made);
    tkx__buf_clear(&rendered.text);
    return st;
}

void tkx_chat_rendering_clear(tkx_chat_rendering *rendering)
{
    if (!rendering)
        return;
    tkx__free(rendering->ids);
    tkx__free(rendering->weights);
    *rendering = (tkx_chat_rendering){0};
}
