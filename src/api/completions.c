/* SPDX-License-Identifier: Apache-2.0 */
/*
 * completions.c - one long poll that reports all finished samples of a sampling session.
 *
 *     IDLE --somebody waits, or something to report--> POLLING --answer--> IDLE
 *                                                         |  fault: 1 s, 5 s (402)
 *                                                         +--> OVER: one long poll each
 *
 * The answer names finished requests; each is then fetched by an ordinary poll.  An id is
 * reported back as read until a poll that carried it has succeeded.  A completion can
 * come before the submit's own answer, so unknown ones are kept, a bounded number.  This
 * mode only ever speaks of finished requests: those that wait very long are asked for one
 * by one (probes), a few at a time.
 */
#include <stdlib.h>
#include <string.h>

#include "api/backoff.h"
#include "api/exchange.h"
#include "api/sampler_impl.h"
#include "api/scan.h"
#include "base/error.h"
#include "base/mem.h"

#define BLOCK INT64_C(1000000000) /* of numbers, one for each copy of a client */
#define MAX_EARLY 1024
#define MAX_BAD 3
#define MAX_FETCHES                                                                      \
    256 /* at once; thousands would each open a connection over HTTP/1.1 */
#define MAX_PROBES 64
#define PROBE_AFTER_MS 120000
#define PROBE_EVERY_MS 30000
#define ACK_TIMEOUT_MS 5000
#define MAX_ANSWER ((size_t)64 << 20)

typedef struct early {
    char *id;
    int64_t bytes;
} early;

typedef struct tkx__completions {
    tkx__sampler *sampler;
    tkx__sample **buckets;
    size_t n_buckets; /* a power of two */
    size_t n_awaited;
    tkx__sample *queue, **queue_tail; /* by hash_next: completed, not yet fetched */
    size_t n_fetches;
    early early[MAX_EARLY]; /* a ring */
    size_t n_early, next_early;
    char **retrieved; /* to report */
    size_t n_retrieved, n_carried, capacity;
    int64_t cursor, carried_cursor;
    tkx__call *call;
    tkx__timer *timer;  /* next poll */
    tkx__timer *prober; /* armed while somebody waits */
    bool is_prober_armed;
    bool is_paused; /* the timer is armed */
    bool is_over;
    unsigned n_bad, n_probes;
    tkx__buf text;
    tkx__body body;
} completions;

/* FNV-1a. */
static size_t hash(const char *text)
{
    uint64_t h = UINT64_C(14695981039346656037);

    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * UINT64_C(1099511628211);
    return (size_t)h;
}

static tkx__sample **place_of(completions *c, const char *id)
{
    return &c->buckets[hash(id) & (c->n_buckets - 1)];
}

static bool grow(completions *c)
{
    size_t n = c->n_buckets ? 2 * c->n_buckets : 64;
    tkx__sample **old = c->buckets;
    size_t n_old = c->n_buckets;

    tkx__sample **buckets = tkx__calloc(n, sizeof(tkx__sample *));
    if (!buckets)
        return n_old > 0; /* longer chains, no harm */
    c->buckets = buckets;
    c->n_buckets = n;
    for (size_t i = 0; i < n_old; i++)
        while (old[i]) {
            tkx__sample *s = old[i];
            old[i] = s->hash_next;
            tkx__sample **at = place_of(c, s->request_id);
            s->hash_next = *at;
            *at = s;
        }
    tkx__free(old);
    return true;
}

static tkx__sample *find(completions *c, const char *id)
{
    for (tkx__sample *s = *place_of(c, id); s; s = s->hash_next)
        if (strcmp(s->request_id, id) == 0)
            return s;
    return NULL;
}

void tkx__completions_forget(completions *c, tkx__sample *s)
{
    for (tkx__sample **at = place_of(c, s->request_id); s->is_awaited && *at;
         at = &(*at)->hash_next)
        if (*at == s) {
            *at = s->hash_next;
            s->is_awaited = false;
            c->n_awaited--;
            return;
        }
}

/* --- completions that came early ------------------------------------------------- */

static void keep_early(completions *c, char *id, int64_t bytes)
{
    early *e = &c->early[c->next_early++ % MAX_EARLY];

    if (!e->id)
        c->n_early++;
    tkx__free(e->id);
    *e = (early){id, bytes};
}

static bool take_early(completions *c, const char *id, int64_t *bytes)
{
    for (size_t i = 0; c->n_early > 0 && i < MAX_EARLY; i++)
        if (c->early[i].id && strcmp(c->early[i].id, id) == 0) {
            *bytes = c->early[i].bytes;
            tkx__free(c->early[i].id);
            c->early[i].id = NULL;
            c->n_early--;
            return true;
        }
    return false;
}

/* --- polling --------------------------------------------------------------------- */

static void poll_if_needed(completions *c);

static void on_timer(void *arg)
{
    completions *c = arg;

    c->is_paused = false;
    poll_if_needed(c);
}

static void pause_for(completions *c, int64_t delay_ms)
{
    c->is_paused = true;
    c->sampler->site->io.ops->timer_arm(c->sampler->site->io.ctx, c->timer, delay_ms);
}

/* The mode has failed for good: everybody gets a long poll of their own. */
static void end(completions *c, const tkx_error *why)
{
    c->is_over = true;
    tkx__log_write(c->sampler->site->log, TKX_LOG_WARNING, "sample",
                   "waiting for all samples of %s in one request has failed (%s); each "
                   "waits on its own now",
                   c->sampler->id, why ? tkx_error_message(why) : "unreadable answer");
    for (size_t i = 0; i < c->n_buckets; i++)
        while (c->buckets[i]) {
            tkx__sample *s = c->buckets[i];
            tkx__completions_forget(c, s);
            tkx__sample_fetch(s, 0);
        }
}

static void drop_carried(completions *c)
{
    if (c->n_carried == 0)
        return;
    for (size_t i = 0; i < c->n_carried; i++)
        tkx__free(c->retrieved[i]);
    c->n_retrieved -= c->n_carried;
    memmove(c->retrieved, c->retrieved + c->n_carried,
            c->n_retrieved * sizeof *c->retrieved);
    c->n_carried = 0;
}

enum { K_ID, K_SIZE, N_ITEM_KEYS };
static const char *const item_keys[N_ITEM_KEYS] = {"request_id",
                                                   "response_payload_uncompressed_size"};

/* --- fetching what has completed ------------------------------------------------- */

static void fetch(completions *c, tkx__sample *s, int64_t bytes)
{
    s->when.bytes = bytes;
    if (c->n_fetches >= MAX_FETCHES) {
        s->is_queued = true;
        s->hash_next = NULL;
        *c->queue_tail = s;
        c->queue_tail = &s->hash_next;
        return;
    }
    s->is_fetched = true;
    c->n_fetches++;
    tkx__sample_fetch(s, bytes);
}

static void unqueue(completions *c, tkx__sample *s)
{
    tkx__sample **at = &c->queue;

    while (*at && *at != s)
        at = &(*at)->hash_next;
    if (*at)
        *at = s->hash_next;
    if (c->queue_tail == &s->hash_next)
        c->queue_tail = at;
    s->is_queued = false;
}

void tkx__completions_fetched(completions *c, tkx__sample *s)
{
    tkx__sample *next;

    if (s->is_queued)
        unqueue(c, s);
    if (!s->is_fetched)
        return;
    s->is_fetched = false;
    c->n_fetches--;
    next = c->sampler->site->is_closed ? NULL : c->queue;
    if (!next)
        return;
    unqueue(c, next);
    fetch(c, next, next->when.bytes);
}

/* Whatever its state says: the fetch shows what came of it. */
static bool on_completion(completions *c, tkx__span item)
{
    tkx__span v[N_ITEM_KEYS];
    int64_t bytes = 0;

    if (!tkx__scan_pick(item.text, item.size, item_keys, N_ITEM_KEYS, v))
        return false;
    char *id = tkx__span_dup(v[K_ID]);
    if (!id)
        return false;
    if (!tkx__span_i64(v[K_SIZE], &bytes) || bytes < 0)
        bytes = 0;
    tkx__sample *s = find(c, id);
    if (!s) {
        keep_early(c, id, bytes);
        return true;
    }
    tkx__free(id);
    tkx__completions_forget(c, s);
    fetch(c, s, bytes);
    return true;
}

static bool on_list(completions *c, const tkx__reply *reply)
{
    static const char *const keys[] = {"completions", "cursor"};
    tkx__span v[2], item;
    tkx__scan scan;
    int64_t cursor;

    if (!tkx__scan_pick(reply->body, reply->body_size, keys, 2, v) ||
        !tkx__span_i64(v[1], &cursor) || !tkx__scan_enter(&scan, v[0].text, v[0].size) ||
        scan.closer != ']')
        return false;
    c->carried_cursor = c->cursor;
    c->cursor = cursor;
    drop_carried(c);
    while (tkx__scan_element(&scan, &item))
        if (!on_completion(c, item))
            return false;
    return !scan.is_bad;
}

static void on_fault(completions *c, const tkx_error *error)
{
    tkx__site *site = c->sampler->site;
    int http = tkx_error_http_status(error);
    tkx_status st = tkx_error_status(error);

    c->n_carried = 0; /* reported again by the next one */
    if (http == 402 && tkx__billing_on_402(&site->billing, tkx__site_now(site)))
        pause_for(c, TKX__BILLING_SLEEP_MS);
    else if (st == TKX_ERR_CONNECTION || st == TKX_ERR_TIMEOUT ||
             tkx__status_is_retryable(http) || (http == 400 && ++c->n_bad <= MAX_BAD))
        pause_for(c, 1000);
    else
        end(c, error);
}

static void on_answer(void *arg, tkx__outcome *outcome)
{
    completions *c = arg;

    c->call = NULL;
    if (outcome->error) {
        on_fault(c, outcome->error);
        tkx_error_free(outcome->error);
    } else {
        c->n_bad = 0;
        if (!on_list(c, outcome->reply))
            end(c, NULL);
    }
    poll_if_needed(c);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool write_body(completions *c, bool is_ack)
{
    tkx__buf *b = &c->text;

    if (c->n_retrieved > 0)
        qsort(c->retrieved, c->n_retrieved, sizeof *c->retrieved, by_text);
    c->n_carried = c->n_retrieved;
    tkx__buf_reset(b);
    tkx__buf_puts(b,
                  "{\"target\":{\"type\":\"sampling_session\",\"sampling_session_id\":");
    tkx__put_quoted(b, c->sampler->id);
    tkx__buf_printf(b, ",\"cloned_sampler_id\":%lld},\"prev_cursor\":%lld,",
                    (long long)(c->sampler->next_seq / BLOCK), (long long)c->cursor);
    tkx__buf_puts(b, is_ack ? "\"timeout\":0.0," : "");
    tkx__buf_puts(b, "\"retrieved_request_ids\":[");
    for (size_t i = 0; i < c->n_retrieved; i++) {
        if (i)
            tkx__buf_putc(b, ',');
        tkx__put_quoted(b, c->retrieved[i]);
    }
    tkx__buf_puts(b, "]}");
    c->body = (tkx__body){.bytes = b->data, .size_bytes = b->size};
    return b->status == TKX_OK;
}

static void poll_if_needed(completions *c)
{
    tkx__site *site = c->sampler->site;
    bool is_ack = c->n_awaited == 0;

    if (c->call || c->is_paused || c->is_over || site->is_closed ||
        (is_ack && c->n_retrieved == 0 && c->cursor == c->carried_cursor))
        return;
    const tkx__call_spec spec = {
        .what = "retrieve_futures",
        .route = "retrieve_futures",
        .lane = TKX__LANE_RETRIEVE,
        .body = &c->body,
        .seq_id = -1,
        .timeout_ms = is_ack ? ACK_TIMEOUT_MS : site->poll_timeout_ms,
        .max_reply_bytes = MAX_ANSWER,
    };
    if (!write_body(c, is_ack) ||
        tkx__call_start(site, &spec, on_answer, c, &c->call, NULL) != TKX_OK)
        pause_for(c, 1000);
}

/* --- probes ---------------------------------------------------------------------- */

static void arm_prober(completions *c)
{
    if (c->is_prober_armed || c->n_awaited == 0)
        return;
    c->is_prober_armed = true;
    c->sampler->site->io.ops->timer_arm(c->sampler->site->io.ctx, c->prober,
                                        PROBE_EVERY_MS);
}

static void on_prober(void *arg)
{
    completions *c = arg;
    int64_t before = tkx__site_now(c->sampler->site) - PROBE_AFTER_MS;

    c->is_prober_armed = false;
    for (size_t i = 0; i < c->n_buckets; i++)
        for (tkx__sample *s = c->buckets[i], *next; s && c->n_probes < MAX_PROBES;
             s = next) {
            next = s->hash_next;
            if (s->when.awaited_ms > before)
                continue;
            tkx__completions_forget(c, s);
            c->n_probes++;
            tkx__sample_probe(s);
        }
    arm_prober(c);
}

void tkx__completions_probed(completions *c)
{
    c->n_probes--;
}

/* --- for samples ----------------------------------------------------------------- */

bool tkx__completions_await(completions *c, tkx__sample *s)
{
    int64_t bytes;

    if (c->is_over || (c->n_awaited >= 2 * c->n_buckets && !grow(c)))
        return false;
    if (take_early(c, s->request_id, &bytes)) {
        fetch(c, s, bytes);
        return true;
    }
    tkx__sample **at = place_of(c, s->request_id);
    s->hash_next = *at;
    *at = s;
    s->is_awaited = true;
    s->when.awaited_ms = tkx__site_now(c->sampler->site);
    c->n_awaited++;
    arm_prober(c);
    poll_if_needed(c);
    return true;
}

void tkx__completions_retrieved(completions *c, char **request_id)
{
    if (c->is_over)
        return;
    if (c->n_retrieved == c->capacity) {
        size_t capacity = c->capacity ? 2 * c->capacity : 64;
        char **list = tkx__realloc(c->retrieved, capacity, sizeof *list);
        if (!list)
            return; /* the service keeps the payload a little longer */
        c->retrieved = list;
        c->capacity = capacity;
    }
    c->retrieved[c->n_retrieved++] = *request_id;
    *request_id = NULL;
    poll_if_needed(c);
}

completions *tkx__completions_new(tkx__sampler *sampler)
{
    const tkx__io *io = &sampler->site->io;
    completions *c = tkx__calloc(1, sizeof *c);

    if (!c)
        return NULL;
    c->sampler = sampler;
    c->queue_tail = &c->queue;
    tkx__buf_init(&c->text, MAX_ANSWER);
    c->timer = io->ops->timer_new(io->ctx, on_timer, c);
    c->prober = io->ops->timer_new(io->ctx, on_prober, c);
    if (!c->timer || !c->prober || !grow(c)) {
        tkx__completions_free(c);
        return NULL;
    }
    return c;
}

static void *read_nothing(const tkx__payload *payload, void *arg, tkx_error **err)
{
    (void)payload, (void)err;
    return arg;
}

static void on_goodbye(void *arg, void *result, tkx_error *error)
{
    (void)arg, (void)result;
    tkx_error_free(error);
}

/* What was read and not reported yet, so that the service may delete it.  Best effort:
   nobody waits for the answer, and a closing site ends it. */
static void say_goodbye(completions *c)
{
    static char nothing;
    tkx__site *site = c->sampler->site;

    if (c->is_over || site->is_closed || c->n_retrieved == 0 || !write_body(c, true))
        return;
    const tkx__exchange_call spec = {
        .call = {.what = "retrieve_futures",
                 .route = "retrieve_futures",
                 .lane = TKX__LANE_RETRIEVE,
                 .seq_id = -1,
                 .timeout_ms = ACK_TIMEOUT_MS},
        .body = &c->text,
        .decode = read_nothing,
    };
    tkx__exchange_start(site, &spec, on_goodbye, &nothing, NULL);
}

void tkx__completions_free(completions *c)
{
    if (!c)
        return;
    const tkx__io *io = &c->sampler->site->io;
    tkx__call_cancel(c->call);
    say_goodbye(c);
    io->ops->timer_free(io->ctx, c->timer);
    io->ops->timer_free(io->ctx, c->prober);
    for (size_t i = 0; i < MAX_EARLY; i++)
        tkx__free(c->early[i].id);
    for (size_t i = 0; i < c->n_retrieved; i++)
        tkx__free(c->retrieved[i]);
    tkx__free(c->retrieved);
    tkx__free(c->buckets);
    tkx__buf_clear(&c->text);
    tkx__free(c);
}
