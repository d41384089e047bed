/* SPDX-License-Identifier: Apache-2.0 */
/* prefix.c - a few prompts by their tokens, the one that was not used for longest
   goes. */
#include "mock_server/nn/prefix.h"

#include <string.h>

#include "base/mem.h"

#define MAX_SLOT_BYTES ((size_t)8 << 20)

static size_t whole_blocks(size_t n)
{
    return n / NN_PREFILL_ROWS * NN_PREFILL_ROWS;
}

static size_t piece_bytes(const nn_config *c)
{
    return c->n_layers * 2 * NN_KV_PIECE * nn_kv_rows(c) * sizeof(float);
}

static void copy_pieces(const nn_config *c, nn_kv *to, const nn_kv *from, size_t n)
{
    for (size_t i = 0; i < n / NN_KV_PIECE; i++)
        memcpy(to->pieces[i], from->pieces[i], piece_bytes(c));
    to->n = n;
}

static void clear_slot(nn_prefix *slot)
{
    tkx__free(slot->tokens);
    nn_kv_clear(&slot->kv);
    *slot = (nn_prefix){0};
}

void nn_prefix_store_init(nn_prefix_store *store)
{
    memset(store, 0, sizeof *store);
    pthread_mutex_init(&store->lock, NULL);
}

void nn_prefix_store_clear(nn_prefix_store *store)
{
    for (size_t i = 0; i < NN_PREFIX_SLOTS; i++)
        clear_slot(&store->slots[i]);
    pthread_mutex_destroy(&store->lock);
}

static size_t n_common(const nn_prefix *slot, const int64_t *tokens, size_t n)
{
    size_t i = 0;

    while (i < n && i < slot->n && slot->tokens[i] == tokens[i])
        i++;
    return whole_blocks(i);
}

size_t nn_prefix_take(nn_prefix_store *store, const nn_config *config,
                      const int64_t *tokens, size_t most, nn_kv *kv)
{
    nn_prefix *best = NULL;
    size_t n = 0;

    if (most < NN_PREFILL_ROWS)
        return 0;
    pthread_mutex_lock(&store->lock);
    for (size_t i = 0; i < NN_PREFIX_SLOTS; i++) {
        size_t common = n_common(&store->slots[i], tokens, most);

        if (common > n) {
            best = &store->slots[i];
            n = common;
        }
    }
    if (best) {
        best->used_at = ++store->clock;
        copy_pieces(config, kv, &best->kv, n);
    }
    pthread_mutex_unlock(&store->lock);
    return n;
}

/* A slot that the prompt goes on from, a free one, or the oldest; NULL: it is kept
   already. */
static nn_prefix *slot_for(nn_prefix_store *store, const int64_t *tokens, size_t n)
{
    nn_prefix *oldest = &store->slots[0];

    for (size_t i = 0; i < NN_PREFIX_SLOTS; i++) {
        nn_prefix *slot = &store->slots[i];
        size_t common = n_common(slot, tokens, n);

        if (slot->tokens && common == n)
            return NULL;
        if (slot->tokens && common == slot->n)
            return slot;
        if (slot->used_at < oldest->used_at)
            oldest = slot;
    }
    return oldest;
}

void nn_prefix_keep(nn_prefix_store *store, const nn_config *config,
                    const int64_t *tokens, size_t n, const nn_kv *kv)
{
    size_t most = MAX_SLOT_BYTES / piece_bytes(config) * NN_KV_PIECE;
    nn_prefix *slot;

    n = whole_blocks(n < most ? n : most);
    if (n == 0)
        return;
    pthread_mutex_lock(&store->lock);
    slot = slot_for(store, tokens, n);
    if (slot) {
        clear_slot(slot);
        slot->tokens = tkx__calloc(n, sizeof *slot->tokens);
        if (slot->tokens && nn_kv_reserve(&slot->kv, config, n)) {
            memcpy(slot->tokens, tokens, n * sizeof *tokens);
            copy_pieces(config, &slot->kv, kv, n);
            slot->n = n;
            slot->used_at = ++store->clock;
        } else {
            clear_slot(slot);
        }
    }
    pthread_mutex_unlock(&store->lock);
}
