/* SPDX-License-Identifier: Apache-2.0 */
/*
 * queue.c - finished futures in the order of finishing.
 *
 * An entry is a watch on its future.  Entries of pending futures keep the queue's memory
 * alive after tkx_queue_free(), so a completion never meets a queue that is gone.
 */
#include <tkx/queue.h>

#include <errno.h>
#include <pthread.h>

#include "base/error.h"
#include "base/mem.h"
#include "client/context.h"
#include "client/deadline.h"
#include "client/future.h"

typedef struct entry entry;
struct entry {
    tkx__future_watch watch; /* first */
    tkx_queue *queue;
    tkx_future *future; /* counted */
    void *tag;
    entry *prev, *next; /* pending: both ways; finished: next */
};

struct tkx_queue {
    pthread_mutex_t lock;
    pthread_cond_t finished;
    entry *pending;
    size_t n_pending;
    const tkx_context *context; /* of the pending entries, unless is_mixed */
    bool is_mixed;
    entry *head, **tail; /* finished */
    size_t n_finished;
    bool is_freed; /* only pending entries hold it */
};

tkx_status tkx_queue_new(tkx_queue **out, tkx_error **err)
{
    tkx_queue *queue;

    if (!out)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT, "tkx_queue_new: out is NULL");
    queue = tkx__calloc(1, sizeof *queue);
    if (!queue)
        return tkx__fail_memory(err);
    pthread_mutex_init(&queue->lock, NULL);
    tkx__cond_init(&queue->finished);
    queue->tail = &queue->head;
    *out = queue;
    return TKX_OK;
}

static void destroy(tkx_queue *queue)
{
    pthread_cond_destroy(&queue->finished);
    pthread_mutex_destroy(&queue->lock);
    tkx__free(queue);
}

static void link_pending(tkx_queue *queue, entry *e)
{
    const tkx_context *context = tkx__future_context(e->future);

    if (queue->n_pending == 0) {
        queue->context = context;
        queue->is_mixed = false;
    } else if (queue->context != context) {
        queue->is_mixed = true;
    }
    e->prev = NULL;
    e->next = queue->pending;
    if (e->next)
        e->next->prev = e;
    queue->pending = e;
    queue->n_pending++;
}

static void unlink_pending(tkx_queue *queue, entry *e)
{
    if (e->prev)
        e->prev->next = e->next;
    else
        queue->pending = e->next;
    if (e->next)
        e->next->prev = e->prev;
    queue->n_pending--;
}

static void push_finished(tkx_queue *queue, entry *e)
{
    e->next = NULL;
    *queue->tail = e;
    queue->tail = &e->next;
    queue->n_finished++;
    pthread_cond_signal(&queue->finished);
}

static void on_complete(tkx_future *future, tkx__future_watch *watch)
{
    entry *e = (entry *)watch;
    tkx_queue *queue = e->queue;
    bool is_freed, is_last;

    (void)future;
    pthread_mutex_lock(&queue->lock);
    unlink_pending(queue, e);
    is_freed = queue->is_freed;
    is_last = queue->n_pending == 0;
    if (!is_freed) {
        push_finished(queue, e);
        if (is_last) /* whoever waits for more must learn that nothing is left */
            pthread_cond_broadcast(&queue->finished);
    }
    pthread_mutex_unlock(&queue->lock);
    if (!is_freed)
        return;
    tkx_future_unref(e->future);
    tkx__free(e);
    if (is_last)
        destroy(queue);
}

void tkx_queue_free(tkx_queue *queue)
{
    entry *finished;
    bool is_last;

    if (!queue)
        return;
    pthread_mutex_lock(&queue->lock);
    finished = queue->head;
    queue->head = NULL;
    queue->is_freed = true;
    is_last = queue->n_pending == 0;
    pthread_mutex_unlock(&queue->lock);
    while (finished) {
        entry *next = finished->next;

        tkx_future_unref(finished->future);
        tkx__free(finished);
        finished = next;
    }
    if (is_last)
        destroy(queue);
}

tkx_status tkx_queue_add(tkx_queue *queue, tkx_future *future, void *tag, tkx_error **err)
{
    entry *e;

    if (!queue || !future)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "tkx_queue_add: queue and future are both needed");
    e = tkx__calloc(1, sizeof *e);
    if (!e)
        return tkx__fail_memory(err);
    e->watch.fn = on_complete;
    e->queue = queue;
    e->future = tkx_future_ref(future);
    e->tag = tag;
    pthread_mutex_lock(&queue->lock);
    link_pending(queue, e); /* before the watch, which may fire at once */
    pthread_mutex_unlock(&queue->lock);
    if (!tkx__future_add_watch(future, &e->watch))
        on_complete(future, &e->watch);
    return TKX_OK;
}

/* Lock held, something is pending.  May this thread block for it? */
static bool may_block(const tkx_queue *queue)
{
    if (!queue->is_mixed)
        return !tkx_context_is_loop_thread(queue->context);
    for (const entry *e = queue->pending; e; e = e->next)
        if (tkx_context_is_loop_thread(tkx__future_context(e->future)))
            return false;
    return true;
}

/* Lock held; waits until something has finished. */
static tkx_status await(tkx_queue *queue, int64_t timeout_ms, tkx_error **err)
{
    struct timespec deadline;
    int rc = 0;

    if (queue->head)
        return TKX_OK;
    if (queue->n_pending > 0 && timeout_ms != 0 && !may_block(queue))
        return tkx__fail(err, TKX_ERR_WOULD_BLOCK,
                         "tkx_queue_next on the loop thread would stop the loop that "
                         "completes its futures: use timeout 0, or another thread");
    if (timeout_ms >= 0)
        tkx__deadline_after(timeout_ms, &deadline);
    while (!queue->head && queue->n_pending > 0 && rc != ETIMEDOUT)
        rc = timeout_ms < 0
                 ? pthread_cond_wait(&queue->finished, &queue->lock)
                 : pthread_cond_timedwait(&queue->finished, &queue->lock, &deadline);
    if (queue->head)
        return TKX_OK;
    if (queue->n_pending == 0)
        return tkx__fail(err, TKX_ERR_NOT_FOUND, "nothing is left in the queue");
    return tkx__fail(err, TKX_ERR_TIMEOUT,
                     "none of %zu futures has completed within %lld ms", queue->n_pending,
                     (long long)timeout_ms);
}

tkx_status tkx_queue_next(tkx_queue *queue, int64_t timeout_ms, tkx_future **future,
                          void **tag, tkx_error **err)
{
    tkx_status status;
    entry *e = NULL;

    if (!queue || !future)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "tkx_queue_next: queue and future are both needed");
    pthread_mutex_lock(&queue->lock);
    status = await(queue, timeout_ms, err);
    if (status == TKX_OK) {
        e = queue->head;
        queue->head = e->next;
        if (!queue->head)
            queue->tail = &queue->head;
        queue->n_finished--;
    }
    pthread_mutex_unlock(&queue->lock);
    if (!e)
        return status;
    *future = e->future;
    if (tag)
        *tag = e->tag;
    tkx__free(e);
    return TKX_OK;
}

size_t tkx_queue_size(const tkx_queue *queue)
{
    tkx_queue *q = (tkx_queue *)queue; /* only its lock changes */
    size_t n;

    pthread_mutex_lock(&q->lock);
    n = q->n_pending + q->n_finished;
    pthread_mutex_unlock(&q->lock);
    return n;
}
