/* SPDX-License-Identifier: Apache-2.0 */
/* inbox.c - posts from all threads, run in their order on the loop thread. */
#include "net/inbox.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"

tkx_status tkx__inbox_init(tkx__inbox *inbox, tkx_error **err)
{
    pthread_mutex_init(&inbox->lock, NULL);
    inbox->head = NULL;
    inbox->tail = &inbox->head;
    inbox->is_signalled = inbox->is_closed = false;
    inbox->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return inbox->fd >= 0 ? TKX_OK : tkx__fail_errno(err, errno, "eventfd for the loop");
}

void tkx__inbox_clear(tkx__inbox *inbox)
{
    if (inbox->fd >= 0)
        close(inbox->fd);
    inbox->fd = -1;
    pthread_mutex_destroy(&inbox->lock);
}

bool tkx__inbox_push(tkx__inbox *inbox, tkx__post_node *node, bool wake)
{
    const uint64_t one = 1;
    bool is_open;

    pthread_mutex_lock(&inbox->lock);
    is_open = !inbox->is_closed;
    if (is_open) {
        node->next = NULL;
        *inbox->tail = node;
        inbox->tail = &node->next;
        if (wake && !inbox->is_signalled) {
            inbox->is_signalled = true;
            /* Under the lock, so that the descriptor cannot be closed meanwhile.  It only
               fails when the counter is full, and then the loop is awake. */
            if (write(inbox->fd, &one, sizeof one) < 0)
                inbox->is_signalled = false;
        }
    }
    pthread_mutex_unlock(&inbox->lock);
    return is_open;
}

size_t tkx__inbox_run(tkx__inbox *inbox)
{
    tkx__post_node *node;
    size_t n = 0;

    pthread_mutex_lock(&inbox->lock);
    node = inbox->head;
    inbox->head = NULL;
    inbox->tail = &inbox->head;
    pthread_mutex_unlock(&inbox->lock);
    for (; node; n++) {
        tkx__post_node todo = *node; /* its memory may go with fn */

        if (node->is_heap)
            tkx__free(node);
        todo.fn(todo.arg);
        node = todo.next;
    }
    return n;
}

void tkx__inbox_acknowledge(tkx__inbox *inbox)
{
    uint64_t count;

    pthread_mutex_lock(&inbox->lock);
    if (read(inbox->fd, &count, sizeof count) == sizeof count || errno == EAGAIN)
        inbox->is_signalled = false;
    pthread_mutex_unlock(&inbox->lock);
}

bool tkx__inbox_try_close(tkx__inbox *inbox)
{
    pthread_mutex_lock(&inbox->lock);
    inbox->is_closed = !inbox->head;
    pthread_mutex_unlock(&inbox->lock);
    return inbox->is_closed;
}
