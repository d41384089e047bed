/* SPDX-License-Identifier: Apache-2.0 */
/*
 * telemetry_queue.c - copies of events, numbered as they come, the newest dropped when
 * there is no room.
 *
 * Ids come from the system's random source, not from the loop's, which other threads must
 * not use.
 */
#include "api/telemetry_queue.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "api/telemetry.h"
#include "base/mem.h"

#define MAX_EVENT_BYTES ((size_t)64 << 10)

void tkx__telemetry_queue_init(tkx__telemetry_queue *q)
{
    memset(q, 0, sizeof *q);
    pthread_mutex_init(&q->lock, NULL);
    q->tail = &q->head;
}

void tkx__telemetry_queue_clear(tkx__telemetry_queue *q)
{
    while (q->head) {
        tkx__telemetry_item *item = q->head;

        q->head = item->next;
        tkx__telemetry_item_free(item);
    }
    pthread_mutex_destroy(&q->lock);
}

void tkx__telemetry_uuid(char out[37])
{
    unsigned char b[16] = {0};

    /* Never waits; without entropy the ids are poor, which harms nobody. */
    if (getrandom(b, sizeof b, GRND_NONBLOCK) < 0)
        b[0] = 1;
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    for (size_t i = 0, at = 0; i < sizeof b; i++)
        at += (size_t)snprintf(out + at, 4, "%s%02x",
                               i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", b[i]);
}

static bool keep(tkx__arena *arena, const char **text)
{
    if (*text)
        *text = tkx__arena_strndup(arena, *text, strlen(*text));
    return *text != NULL;
}

static bool keep_if_any(tkx__arena *arena, const char **text)
{
    return !*text || keep(arena, text);
}

static bool keep_data(tkx__arena *arena, tkx_json_member_list *data)
{
    tkx_json_member *copy = tkx__arena_zalloc(arena, data->count + 1, sizeof *copy);

    for (size_t i = 0; copy && i < data->count; i++) {
        copy[i] = data->items[i];
        if (!keep(arena, &copy[i].name) || !keep(arena, &copy[i].json))
            return false;
    }
    data->items = copy;
    return copy != NULL;
}

tkx__telemetry_item *tkx__telemetry_item_new(const tkx_telemetry_event *event)
{
    tkx__telemetry_item *item = tkx__calloc(1, sizeof *item);
    char id[37];

    if (!item)
        return NULL;
    tkx__telemetry_uuid(id);
    tkx__arena_init(&item->arena, 256, MAX_EVENT_BYTES);
    item->event = *event;
    item->event.event_id = id;
    tkx_telemetry_event *e = &item->event;
    const char **texts[] = {&e->event_id,  &e->event,      &e->severity,
                            &e->duration,  &e->error_type, &e->error_message,
                            &e->traceback, &e->event_name};
    bool is_kept = true;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        is_kept = is_kept && keep_if_any(&item->arena, texts[i]);
    if (is_kept && keep_data(&item->arena, &e->event_data))
        return item;
    tkx__telemetry_item_free(item);
    return NULL;
}

void tkx__telemetry_item_free(tkx__telemetry_item *item)
{
    if (!item)
        return;
    tkx__arena_clear(&item->arena);
    tkx__free(item);
}

size_t tkx__telemetry_queue_put(tkx__telemetry_queue *q, tkx__telemetry_item *item)
{
    size_t n = 0;

    pthread_mutex_lock(&q->lock);
    if (item && q->n < TKX__TELEMETRY_MAX_EVENTS) {
        item->event.event_session_index = q->next_index++;
        item->next = NULL;
        *q->tail = item;
        q->tail = &item->next;
        n = ++q->n;
    } else {
        q->n_dropped++;
    }
    pthread_mutex_unlock(&q->lock);
    if (n == 0)
        tkx__telemetry_item_free(item);
    return n;
}

size_t tkx__telemetry_queue_take(tkx__telemetry_queue *q, size_t max,
                                 tkx__telemetry_item **out)
{
    size_t n = 0;

    pthread_mutex_lock(&q->lock);
    tkx__telemetry_item **end = &q->head;
    for (; *end && n < max; n++)
        end = &(*end)->next;
    *out = n ? q->head : NULL;
    if (n) {
        q->head = *end;
        *end = NULL;
        if (!q->head)
            q->tail = &q->head;
        q->n -= n;
    }
    pthread_mutex_unlock(&q->lock);
    return n;
}
