/* SPDX-License-Identifier: Apache-2.0 */
/* timers.c - a binary heap; every timer knows its place, so moving one is O(log n). */
#include "net/timers.h"

#include "base/mem.h"

#define NOT_ARMED SIZE_MAX

struct tkx__timer {
    tkx__task_fn *fn;
    void *arg;
    int64_t due_ms;
    uint64_t order;
    size_t at; /* in the heap, or NOT_ARMED */
};

static bool before(const tkx__timer *a, const tkx__timer *b)
{
    return a->due_ms != b->due_ms ? a->due_ms < b->due_ms : a->order < b->order;
}

static void put(tkx__timers *t, size_t at, tkx__timer *timer)
{
    t->heap[at] = timer;
    timer->at = at;
}

static void sift(tkx__timers *t, size_t at)
{
    tkx__timer *timer = t->heap[at];
    size_t child;

    while (at > 0 && before(timer, t->heap[(at - 1) / 2])) {
        put(t, at, t->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    while ((child = 2 * at + 1) < t->size) {
        if (child + 1 < t->size && before(t->heap[child + 1], t->heap[child]))
            child++;
        if (!before(t->heap[child], timer))
            break;
        put(t, at, t->heap[child]);
        at = child;
    }
    put(t, at, timer);
}

void tkx__timers_clear(tkx__timers *t)
{
    tkx__free(t->heap);
    t->heap = NULL;
    t->size = t->capacity = 0;
}

tkx__timer *tkx__timers_new(tkx__timers *t, tkx__task_fn *fn, void *arg)
{
    tkx__timer *timer;

    if (t->n_made == t->capacity) {
        size_t capacity = t->capacity ? t->capacity * 2 : 16;
        tkx__timer **heap = tkx__realloc(t->heap, capacity, sizeof(tkx__timer *));

        if (!heap)
            return NULL;
        t->heap = heap;
        t->capacity = capacity;
    }
    timer = tkx__malloc(sizeof *timer);
    if (!timer)
        return NULL;
    *timer = (tkx__timer){.fn = fn, .arg = arg, .at = NOT_ARMED};
    t->n_made++;
    return timer;
}

void tkx__timers_disarm(tkx__timers *t, tkx__timer *timer)
{
    size_t at = timer->at;

    if (at == NOT_ARMED)
        return;
    timer->at = NOT_ARMED;
    t->size--;
    if (at == t->size)
        return;
    put(t, at, t->heap[t->size]);
    sift(t, at);
}

void tkx__timers_arm(tkx__timers *t, tkx__timer *timer, int64_t due_ms)
{
    timer->due_ms = due_ms;
    timer->order = t->n_arms++;
    if (timer->at == NOT_ARMED)
        put(t, t->size++, timer);
    sift(t, timer->at);
}

void tkx__timers_free(tkx__timers *t, tkx__timer *timer)
{
    if (!timer)
        return;
    tkx__timers_disarm(t, timer);
    t->n_made--;
    tkx__free(timer);
}

int64_t tkx__timers_next(const tkx__timers *t)
{
    return t->size ? t->heap[0]->due_ms : INT64_MAX;
}

size_t tkx__timers_run(tkx__timers *t, int64_t now_ms)
{
    const uint64_t limit = t->n_arms; /* what is armed from here on waits its turn */
    size_t n = 0;

    while (t->size && t->heap[0]->due_ms <= now_ms && t->heap[0]->order < limit) {
        tkx__timer *timer = t->heap[0];

        tkx__timers_disarm(t, timer);
        timer->fn(timer->arg); /* may free it */
        n++;
    }
    return n;
}
