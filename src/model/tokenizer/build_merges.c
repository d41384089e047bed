/* SPDX-License-Identifier: Apache-2.0 */
/*
 * build_merges.c - merges from their spellings.
 *
 * A large vocabulary has 150,000 of them, each of two parts to be found among as many
 * tokens: most of the time that loading takes.  They are looked up many at a time; what
 * they make is nearly always the token behind what the merge before made, which a look
 * at its text tells.
 */
#include <string.h>

#include "base/error.h"
#include "base/large.h"
#include "base/mem.h"
#include "model/tokenizer/build.h"

#define BATCH 64
#define MAX_PART 1024
#define MAX_BYTES (BATCH * 32 + 2 * MAX_PART)

typedef struct waiting {
    const char *left, *right; /* as spelt */
    size_t left_size, right_size;
    const uint8_t *text; /* as tokens: left, right behind it */
    size_t n_left, n_right;
} waiting;

struct tkx__merge_list {
    tkx_tokenizer *t;
    tkx__merge *merges;
    size_t n, capacity;
    uint32_t next_made; /* what the next one makes, likely */
    waiting batch[BATCH];
    size_t n_batch;
    uint8_t bytes[MAX_BYTES];
    size_t n_bytes;
};

tkx_status tkx__merge_list_new(tkx_tokenizer *t, size_t n_expected, tkx__merge_list **out,
                               tkx_error **err)
{
    tkx__merge_list *list = tkx__calloc(1, sizeof *list);

    *out = list;
    if (!list)
        return tkx__fail_memory(err);
    list->t = t;
    list->next_made = TKX__NO_ID;
    list->capacity = n_expected > 256 ? n_expected : 256;
    list->merges = tkx__realloc(NULL, list->capacity, sizeof *list->merges);
    if (!list->merges)
        return tkx__fail_memory(err);
    tkx__large_advise(list->merges, list->capacity * sizeof *list->merges);
    return TKX_OK;
}

void tkx__merge_list_free(tkx__merge_list *list)
{
    if (list)
        tkx__free(list->merges);
    tkx__free(list);
}

static tkx_status no_token(size_t rank, const waiting *w, const char *which,
                           tkx_error **err)
{
    return tkx__fail(
        err, TKX_ERR_PARSE,
        "merge %zu ('%.*s' and '%.*s'): %s is no token of the vocabulary; the "
        "file is damaged or was put together from two",
        rank, (int)(w->left_size < 64 ? w->left_size : 64), w->left,
        (int)(w->right_size < 64 ? w->right_size : 64), w->right, which);
}

static uint32_t find_made(const tkx__merge_list *list, const waiting *w)
{
    const tkx__vocab *vocab = &list->t->vocab;
    const size_t n = w->n_left + w->n_right;
    const uint32_t id = list->next_made;

    if (!vocab->has_equals && tkx__vocab_has(vocab, id) && vocab->tokens[id].size == n &&
        !(vocab->tokens[id].flags & TKX__TOKEN_LITERAL) &&
        memcmp(tkx__vocab_text(vocab, id), w->text, n) == 0)
        return id;
    return tkx__vocab_find(vocab, w->text, n);
}

static tkx_status put(tkx__merge_list *list, const waiting *w, uint32_t left,
                      uint32_t right, tkx_error **err)
{
    uint32_t made;

    if (left == TKX__NO_ID || right == TKX__NO_ID)
        return no_token(list->n, w, left == TKX__NO_ID ? "the first" : "the second", err);
    made = find_made(list, w);
    if (made == TKX__NO_ID)
        return no_token(list->n, w, "what they make", err);
    if (list->n == list->capacity) {
        tkx__merge *merges =
            tkx__realloc(list->merges, list->capacity * 2, sizeof *list->merges);

        if (!merges)
            return tkx__fail_memory(err);
        list->merges = merges;
        list->capacity *= 2;
    }
    list->merges[list->n] =
        (tkx__merge){(uint64_t)left << 32 | right, (uint32_t)list->n, made};
    list->n++;
    list->next_made = made + 1;
    return TKX_OK;
}

static tkx_status flush(tkx__merge_list *list, tkx_error **err)
{
    tkx__vocab_query queries[2 * BATCH];
    tkx_status st = TKX_OK;

    for (size_t i = 0; i < list->n_batch; i++) {
        const waiting *w = &list->batch[i];

        queries[2 * i] = (tkx__vocab_query){.text = w->text, .size = w->n_left};
        queries[2 * i + 1] =
            (tkx__vocab_query){.text = w->text + w->n_left, .size = w->n_right};
    }
    tkx__vocab_find_all(&list->t->vocab, queries, 2 * list->n_batch);
    for (size_t i = 0; i < list->n_batch && st == TKX_OK; i++)
        st = put(list, &list->batch[i], queries[2 * i].id, queries[2 * i + 1].id, err);
    list->n_batch = list->n_bytes = 0;
    return st;
}

/* The parts as tokens, one behind the other. */
static bool write_parts(const tkx__merge_list *list, waiting *w, uint8_t *bytes)
{
    ptrdiff_t n, m;

    w->text = bytes;
    w->n_left = w->left_size;
    w->n_right = w->right_size;
    if (!list->t->is_byte_level) {
        memcpy(bytes, w->left, w->left_size);
        memcpy(bytes + w->left_size, w->right, w->right_size);
        return true;
    }
    n = tkx__build_unspell(w->left, w->left_size, bytes);
    m = n < 0 ? -1 : tkx__build_unspell(w->right, w->right_size, bytes + n);
    w->n_left = (size_t)n;
    w->n_right = (size_t)m;
    return m >= 0;
}

tkx_status tkx__merge_list_add(tkx__merge_list *list, const char *left, size_t n_left,
                               const char *right, size_t n_right, tkx_error **err)
{
    const size_t rank = list->n + list->n_batch;
    waiting w = {left, right, n_left, n_right, NULL, 0, 0};

    if (n_left > MAX_PART || n_right > MAX_PART)
        return tkx__fail(err, TKX_ERR_LIMIT, "merge %zu is longer than 2048 bytes", rank);
    if (list->n_batch == BATCH || n_left + n_right > MAX_BYTES - list->n_bytes) {
        tkx_status st = flush(list, err);

        if (st != TKX_OK)
            return st;
    }
    if (!write_parts(list, &w, list->bytes + list->n_bytes))
        return no_token(rank, &w, "a part", err);
    list->batch[list->n_batch++] = w;
    list->n_bytes += w.n_left + w.n_right;
    return TKX_OK;
}

tkx_status tkx__merge_list_add_line(tkx__merge_list *list, const char *line, size_t n,
                                    tkx_error **err)
{
    const char *blank = n > 1 ? memchr(line + 1, ' ', n - 1) : NULL;
    size_t n_left = blank ? (size_t)(blank - line) : 0;

    if (!blank || n_left + 1 == n)
        return tkx__fail(err, TKX_ERR_PARSE,
                         "merge %zu, '%.*s', is not two tokens with a blank between",
                         list->n + list->n_batch, (int)(n < 64 ? n : 64), line);
    return tkx__merge_list_add(list, line, n_left, blank + 1, n - n_left - 1, err);
}

tkx_status tkx__merge_list_finish(tkx__merge_list *list, tkx_error **err)
{
    tkx_status st = flush(list, err);

    return st == TKX_OK
               ? tkx__merges_put_list(&list->t->merges, list->merges, list->n, err)
               : st;
}
