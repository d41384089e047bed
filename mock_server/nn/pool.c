/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool.c - jobs wait in a list; a thread takes the next piece of the oldest job that has
 * one.
 *
 * A job lives on its caller's stack: it leaves the list when its last piece is handed
 * out, and the caller returns when its last piece has ended.  Everything is under one
 * mutex, which pieces of milliseconds do not feel.
 */
#include "mock_server/nn/pool.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"

typedef struct job {
    nn_pool_fn *fn;
    void *ctx;
    size_t n;
    size_t next; /* first piece not handed out */
    size_t n_done;
    struct job *after;
} job;

struct nn_pool {
    pthread_mutex_t mutex;
    pthread_cond_t work;  /* a job was added, or the end */
    pthread_cond_t ended; /* some job's last piece ended */
    job *first;
    job **tail;
    bool is_closing;
    int n_workers;
    pthread_t *workers;
};

/* With the mutex held: take a piece of j, run it without the mutex, count it. */
static void run_piece(nn_pool *pool, job *j)
{
    size_t piece = j->next++;

    if (j->next == j->n) {
        job **at = &pool->first;

        while (*at != j)
            at = &(*at)->after;
        *at = j->after;
        if (!*at)
            pool->tail = at;
    }
    pthread_mutex_unlock(&pool->mutex);
    j->fn(j->ctx, piece);
    pthread_mutex_lock(&pool->mutex);
    if (++j->n_done == j->n)
        pthread_cond_broadcast(&pool->ended);
}

static void *worker_main(void *arg)
{
    nn_pool *pool = arg;

    pthread_mutex_lock(&pool->mutex);
    while (!pool->is_closing) {
        if (pool->first)
            run_piece(pool, pool->first);
        else
            pthread_cond_wait(&pool->work, &pool->mutex);
    }
    pthread_mutex_unlock(&pool->mutex);
    return NULL;
}

tkx_status nn_pool_new(int n_threads, nn_pool **out, tkx_error **err)
{
    nn_pool *pool = tkx__calloc(1, sizeof *pool);
    size_t n = n_threads > 1 ? (size_t)n_threads - 1 : 0;

    if (!pool)
        return tkx__fail_memory(err);
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->work, NULL);
    pthread_cond_init(&pool->ended, NULL);
    pool->tail = &pool->first;
    pool->workers = tkx__calloc(n ? n : 1, sizeof *pool->workers);
    if (!pool->workers) {
        nn_pool_free(pool);
        return tkx__fail_memory(err);
    }
    for (; n > 0; n--) {
        int code =
            pthread_create(&pool->workers[pool->n_workers], NULL, worker_main, pool);

        if (code != 0) {
            nn_pool_free(pool);
            return tkx__fail_errno(err, code, "start a compute thread");
        }
        pool->n_workers++;
    }
    *out = pool;
    return TKX_OK;
}

void nn_pool_free(nn_pool *pool)
{
    if (!pool)
        return;
    pthread_mutex_lock(&pool->mutex);
    pool->is_closing = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->mutex);
    for (int i = 0; i < pool->n_workers; i++)
        pthread_join(pool->workers[i], NULL);
    pthread_cond_destroy(&pool->ended);
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->mutex);
    tkx__free(pool->workers);
    tkx__free(pool);
}

int nn_pool_n_threads(const nn_pool *pool)
{
    return pool->n_workers + 1;
}

/* Lock held. */
static void append(nn_pool *pool, job *j)
{
    *pool->tail = j;
    pool->tail = &j->after;
}

void nn_pool_run(nn_pool *pool, size_t n, nn_pool_fn *fn, void *ctx)
{
    job mine = {.fn = fn, .ctx = ctx, .n = n};

    if (n == 0)
        return;
    pthread_mutex_lock(&pool->mutex);
    append(pool, &mine);
    if (n > 1)
        pthread_cond_broadcast(&pool->work);
    while (mine.next < mine.n)
        run_piece(pool, &mine);
    while (mine.n_done < mine.n)
        pthread_cond_wait(&pool->ended, &pool->mutex);
    pthread_mutex_unlock(&pool->mutex);
}
