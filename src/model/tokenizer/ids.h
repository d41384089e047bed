/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model/tokenizer/ids.h - a growing list of ids that remembers its first failure.
 */
#ifndef TKX_MODEL_TOKENIZER_IDS_H
#define TKX_MODEL_TOKENIZER_IDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"

typedef struct tkx__ids {
    uint32_t *data;
    size_t n;
    size_t capacity;
    bool is_failed; /* memory was short; nothing is added after that */
} tkx__ids;

static inline void tkx__ids_clear(tkx__ids *ids)
{
    tkx__free(ids->data);
    *ids = (tkx__ids){0};
}

/* Room for n more: data + n may be written, then n raised. */
static inline uint32_t *tkx__ids_reserve(tkx__ids *ids, size_t n)
{
    if (ids->is_failed)
        return NULL;
    if (n > ids->capacity - ids->n) {
        size_t want = ids->capacity ? ids->capacity * 2 : 64;
        uint32_t *data;

        while (want < ids->n + n)
            want *= 2;
        data = tkx__realloc(ids->data, want, sizeof *data);
        if (!data) {
            ids->is_failed = true;
            return NULL;
        }
        ids->data = data;
        ids->capacity = want;
    }
    return ids->data + ids->n;
}

static inline void tkx__ids_add(tkx__ids *ids, uint32_t id)
{
    uint32_t *place = tkx__ids_reserve(ids, 1);

    if (place) {
        *place = id;
        ids->n++;
    }
}

#endif
