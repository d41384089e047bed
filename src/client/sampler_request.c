/* SPDX-License-Identifier: Apache-2.0 */
/* sampler_request.c - a request kept for longer than its call. */
#include <string.h>

#include "client/sampler_in.h"
#include "client/tensor_copy.h"

typedef struct copier {
    tkx__arena *arena;
    bool is_short; /* of memory */
} copier;

static const void *copy(copier *c, const void *from, size_t count, size_t size)
{
    void *to;

    if (!from || count == 0)
        return from ? "" : NULL;
    to = tkx__arena_alloc(c->arena, count, size);
    if (to)
        memcpy(to, from, count * size);
    else
        c->is_short = true;
    return to;
}

static const char *copy_text(copier *c, const char *text)
{
    return text ? copy(c, text, strlen(text) + 1, 1) : NULL;
}

static void copy_prompt(copier *c, tkx_model_input *input)
{
    tkx_chunk *chunks = tkx__arena_zalloc(c->arena, input->n_chunks + 1, sizeof *chunks);

    c->is_short |= !chunks;
    for (size_t i = 0; chunks && i < input->n_chunks; i++) {
        const tkx_chunk *from = &input->chunks[i];

        chunks[i] = *from;
        chunks[i].tokens = copy(c, from->tokens, from->n_tokens, sizeof *from->tokens);
        chunks[i].bytes = copy(c, from->bytes, from->n_bytes, 1);
        chunks[i].format = copy_text(c, from->format);
        chunks[i].location = copy_text(c, from->location);
    }
    input->chunks = chunks;
}

static void copy_stops(copier *c, tkx_sampling_params *p)
{
    const char **strings;

    p->stop_tokens = copy(c, p->stop_tokens, p->n_stop, sizeof *p->stop_tokens);
    if (!p->stop_strings)
        return;
    strings = tkx__arena_zalloc(c->arena, p->n_stop + 1, sizeof *strings);
    c->is_short |= !strings;
    for (size_t i = 0; strings && i < p->n_stop; i++)
        strings[i] = copy_text(c, p->stop_strings[i]);
    p->stop_strings = strings;
}

static void copy_extra(copier *c, tkx_json_member_list *list)
{
    tkx_json_member *items = tkx__arena_zalloc(c->arena, list->count + 1, sizeof *items);

    c->is_short |= !items;
    for (size_t i = 0; items && i < list->count; i++) {
        items[i].name = copy_text(c, list->items[i].name);
        items[i].json = copy_text(c, list->items[i].json);
    }
    list->items = items;
}

bool tkx__either_copy_request(tkx__arena *arena, const tkx_sample_request *from,
                              tkx_sample_request *to)
{
    copier c = {.arena = arena};

    *to = *from;
    to->base_model = to->model_path = to->sampling_session_id = NULL;
    copy_prompt(&c, &to->prompt);
    copy_stops(&c, &to->params);
    if (from->target_prompt_logprobs) {
        to->target_prompt_logprobs =
            tkx__tensor_copy(arena, from->target_prompt_logprobs);
        c.is_short |= !to->target_prompt_logprobs;
    }
    copy_extra(&c, &to->extra_json);
    return !c.is_short;
}

bool tkx__either_is_text(const tkx_sample_request *request)
{
    for (size_t i = 0; i < request->prompt.n_chunks; i++) {
        if (request->prompt.chunks[i].kind != TKX_CHUNK_TEXT)
            return false;
    }
    return true;
}
