/* SPDX-License-Identifier: Apache-2.0 */
/* work.c - the list under its mutex; a block too small for a request is replaced. */
#include "mock_server/nn/work.h"

#include <pthread.h>
#include <stdint.h>

#include "base/mem.h"

struct nn_work_list {
    pthread_mutex_t mutex;
    nn_work *first;
};

enum { ALIGNMENT = 64 };

nn_work_list *nn_work_list_new(void)
{
    nn_work_list *list = tkx__calloc(1, sizeof *list);

    if (list)
        pthread_mutex_init(&list->mutex, NULL);
    return list;
}

static void free_work(nn_work *work)
{
    if (work)
        tkx__free(work->data);
    tkx__free(work);
}

void nn_work_list_free(nn_work_list *list)
{
    if (!list)
        return;
    while (list->first) {
        nn_work *work = list->first;

        list->first = work->next;
        free_work(work);
    }
    pthread_mutex_destroy(&list->mutex);
    tkx__free(list);
}

/* Unlink the smallest block that is large enough, else any. */
static nn_work *pick(nn_work_list *list, size_t size)
{
    nn_work **best = &list->first;
    nn_work *work;

    for (nn_work **at = &list->first; *at; at = &(*at)->next) {
        bool fits = (*at)->capacity >= size;

        if ((*best)->capacity < size ? fits || (*at)->capacity < (*best)->capacity
                                     : fits && (*at)->capacity < (*best)->capacity)
            best = at;
    }
    work = *best;
    if (work)
        *best = work->next;
    return work;
}

nn_work *nn_work_get(nn_work_list *list, size_t size)
{
    nn_work *work;

    if (!tkx__add(size, ALIGNMENT, &size))
        return NULL;
    pthread_mutex_lock(&list->mutex);
    work = pick(list, size);
    pthread_mutex_unlock(&list->mutex);
    if (work && work->capacity < size) {
        free_work(work);
        work = NULL;
    }
    if (!work) {
        work = tkx__calloc(1, sizeof *work);
        if (!work)
            return NULL;
        work->data = tkx__malloc(size);
        if (!work->data) {
            tkx__free(work);
            return NULL;
        }
        work->capacity = size;
    }
    work->used = 0;
    work->next = NULL;
    return work;
}

void nn_work_put(nn_work_list *list, nn_work *work)
{
    if (!work)
        return;
    pthread_mutex_lock(&list->mutex);
    work->next = list->first;
    list->first = work;
    pthread_mutex_unlock(&list->mutex);
}

void *nn_take(nn_work *work, size_t count, size_t size)
{
    size_t n, at = work->used, skew;

    if (!tkx__mul(count, size, &n) || !tkx__add(n, ALIGNMENT - 1, &n) ||
        !tkx__add(at, n & ~(size_t)(ALIGNMENT - 1), &n)) {
        work->used = SIZE_MAX;
        return NULL;
    }
    work->used = n;
    if (!work->data)
        return NULL;
    skew = (ALIGNMENT - (uintptr_t)work->data % ALIGNMENT) % ALIGNMENT;
    return n + skew <= work->capacity ? work->data + skew + at : NULL;
}
