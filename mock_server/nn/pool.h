/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nn/pool.h - a fixed set of threads that run numbered pieces of work.
 *
 * Pieces are handed out in ascending order, and the caller helps; several callers may run
 * at once.  Which thread runs which piece must not matter to the result.
 */
#ifndef MOCK_NN_POOL_H
#define MOCK_NN_POOL_H

#include <stddef.h>

#include <tkx/error.h>

typedef struct nn_pool nn_pool;
typedef void nn_pool_fn(void *ctx, size_t piece);

/* n_threads counts the caller; 1 makes no thread at all. */
tkx_status nn_pool_new(int n_threads, nn_pool **out, tkx_error **err);
void nn_pool_free(nn_pool *pool);
int nn_pool_n_threads(const nn_pool *pool);

/* fn(ctx, 0 .. n - 1); returns when all have ended. */
void nn_pool_run(nn_pool *pool, size_t n, nn_pool_fn *fn, void *ctx);

#endif
