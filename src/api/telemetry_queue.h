/* SPDX-License-Identifier: Apache-2.0 */
/* api/telemetry_queue.h - events on their way to the loop thread; any thread. */
#ifndef TKX_API_TELEMETRY_QUEUE_H
#define TKX_API_TELEMETRY_QUEUE_H

#include <pthread.h>

#include <tkx/types/telemetry.h>

#include "base/arena.h"

typedef struct tkx__telemetry_item {
    struct tkx__telemetry_item *next;
    tkx__arena arena; /* the event's texts */
    tkx_telemetry_event event;
} tkx__telemetry_item;

typedef struct tkx__telemetry_queue {
    pthread_mutex_t lock;
    tkx__telemetry_item *head, **tail;
    size_t n;
    int64_t next_index;
    int64_t n_dropped;
} tkx__telemetry_queue;

void tkx__telemetry_queue_init(tkx__telemetry_queue *queue);
void tkx__telemetry_queue_clear(tkx__telemetry_queue *queue);

/* A copy of the event, with an id of its own; NULL: too large, or no memory. */
tkx__telemetry_item *tkx__telemetry_item_new(const tkx_telemetry_event *event);
void tkx__telemetry_item_free(tkx__telemetry_item *item);

/* Takes the item, numbers it, and gives how many there are now; 0: no room, dropped. */
size_t tkx__telemetry_queue_put(tkx__telemetry_queue *queue, tkx__telemetry_item *item);
/* Up to max of the oldest ones, as a list; their number. */
size_t tkx__telemetry_queue_take(tkx__telemetry_queue *queue, size_t max,
                                 tkx__telemetry_item **out);

/* A uuid4 into out[37].  Any thread. */
void tkx__telemetry_uuid(char out[37]);

#endif
