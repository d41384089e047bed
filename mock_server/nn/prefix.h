/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nn/prefix.h - keys and values of prompts that were read before with the same weights.
 *
 * In whole blocks of NN_PREFILL_ROWS tokens: a block is computed alike whatever follows,
 * so what comes out is the same to the bit with and without.  Thread: any.
 */
#ifndef MOCK_NN_PREFIX_H
#define MOCK_NN_PREFIX_H

#include <pthread.h>

#include "mock_server/nn/decode.h"

enum { NN_PREFIX_SLOTS = 8, NN_PREFILL_ROWS = 256 };

typedef struct nn_prefix {
    int64_t *tokens; /* NULL: a free slot */
    size_t n;
    nn_kv kv;
    uint64_t used_at;
} nn_prefix;

typedef struct nn_prefix_store {
    pthread_mutex_t lock;
    nn_prefix slots[NN_PREFIX_SLOTS];
    uint64_t clock;
} nn_prefix_store;

void nn_prefix_store_init(nn_prefix_store *store);
void nn_prefix_store_clear(nn_prefix_store *store);

/* The longest known beginning of the prompt, at most that many positions of it, into kv,
   which has room; how many positions that is. */
size_t nn_prefix_take(nn_prefix_store *store, const nn_config *config,
                      const int64_t *tokens, size_t most, nn_kv *kv);
/* Keeps the blocks of a prompt that was read; without memory for them, nothing. */
void nn_prefix_keep(nn_prefix_store *store, const nn_config *config,
                    const int64_t *tokens, size_t n, const nn_kv *kv);

#endif
