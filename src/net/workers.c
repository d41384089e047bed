/* SPDX-License-Identifier: Apache-2.0 */
/*
 * workers.c - a bounded pool.
 *
 * A thread is started when work comes and all others are busy.  Signals are blocked in
 * them, so that a program's handlers keep running on its own threads.
 */
#include "net/workers.h"

#include <signal.h>

#include "base/mem.h"

typedef struct job {
    tkx__post_node node; /* posts itself when done */
    tkx__task_fn *work, *done;
    void *arg;
    struct job *next;
} job;

struct tkx__workers {
    tkx__inbox *inbox;
    bool never_here;
    int max;
    pthread_t *threads; /* [max] */
    struct {
        pthread_mutex_t lock;
        pthread_cond_t changed;
        job *head, **tail;
        int n_threads, n_idle, n_queued;
        bool is_ending;
    } shared;
};

tkx__workers *tkx__workers_new(int n, bool never_here, tkx__inbox *inbox)
{
    tkx__workers *w = tkx__calloc(1, sizeof *w);

    if (!w)
        return NULL;
    w->threads = tkx__calloc((size_t)n + 1, sizeof *w->threads);
    if (!w->threads) {
        tkx__free(w);
        return NULL;
    }
    w->inbox = inbox;
    w->never_here = never_here;
    w->max = n;
    w->shared.tail = &w->shared.head;
    pthread_mutex_init(&w->shared.lock, NULL);
    pthread_cond_init(&w->shared.changed, NULL);
    return w;
}

static void finish(void *arg)
{
    job *j = arg;
    tkx__task_fn *done = j->done;
    void *done_arg = j->arg;

    tkx__free(j);
    done(done_arg);
}

static void do_here(void *arg)
{
    job *j = arg;

    j->work(j->arg);
    finish(j);
}

static void *run(void *arg)
{
    tkx__workers *w = arg;

    pthread_mutex_lock(&w->shared.lock);
    for (;;) {
        job *j = w->shared.head;

        if (!j && w->shared.is_ending)
            break;
        if (!j) {
            w->shared.n_idle++;
            pthread_cond_wait(&w->shared.changed, &w->shared.lock);
            w->shared.n_idle--;
            continue;
        }
        w->shared.head = j->next;
        w->shared.n_queued--;
        if (!w->shared.head)
            w->shared.tail = &w->shared.head;
        pthread_mutex_unlock(&w->shared.lock);
        j->work(j->arg);
        tkx__inbox_push(w->inbox, &j->node, true); /* open until we are joined */
        pthread_mutex_lock(&w->shared.lock);
    }
    pthread_mutex_unlock(&w->shared.lock);
    return NULL;
}

/* Lock held. */
static void start_one(tkx__workers *w)
{
    sigset_t all, old;

    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    if (pthread_create(&w->threads[w->shared.n_threads], NULL, run, w) == 0)
        w->shared.n_threads++;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

bool tkx__workers_submit(tkx__workers *w, tkx__task_fn *work, tkx__task_fn *done,
                         void *arg)
{
    job *j = tkx__calloc(1, sizeof *j);
    bool is_taken, is_here = false;

    if (!j)
        return false;
    *j = (job){.node = {.fn = finish, .arg = j}, .work = work, .done = done, .arg = arg};
    pthread_mutex_lock(&w->shared.lock);
    is_taken = !w->shared.is_ending;
    if (is_taken) {
        if (w->shared.n_queued >= w->shared.n_idle && w->shared.n_threads < w->max)
            start_one(w);
        is_here = w->shared.n_threads == 0; /* none wanted, or none to be had */
        is_taken = !is_here || !w->never_here;
    }
    if (is_taken && !is_here) {
        *w->shared.tail = j;
        w->shared.tail = &j->next;
        w->shared.n_queued++;
        pthread_cond_signal(&w->shared.changed);
    }
    pthread_mutex_unlock(&w->shared.lock);
    if (is_taken && is_here) {
        j->node.fn = do_here;
        is_taken = tkx__inbox_push(w->inbox, &j->node, true);
    }
    if (!is_taken)
        tkx__free(j);
    return is_taken;
}

void tkx__workers_end(tkx__workers *w)
{
    int n;

    pthread_mutex_lock(&w->shared.lock);
    w->shared.is_ending = true;
    n = w->shared.n_threads;
    w->shared.n_threads = 0;
    pthread_cond_broadcast(&w->shared.changed);
    pthread_mutex_unlock(&w->shared.lock);
    for (int i = 0; i < n; i++)
        pthread_join(w->threads[i], NULL);
}

void tkx__workers_free(tkx__workers *w)
{
    if (!w)
        return;
    pthread_cond_destroy(&w->shared.changed);
    pthread_mutex_destroy(&w->shared.lock);
    tkx__free(w->threads);
    tkx__free(w);
}
