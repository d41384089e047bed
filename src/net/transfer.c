/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transfer.c - requests start, end and are told; handles go round.
 *
 *     spare --send--> open --finished by libcurl--> told --> spare
 *                      |  ^                |
 *                      |  '-- redirect ----'        cancel: open --> spare, not told
 *
 * Replies are delivered from the loop's turn, never inside libcurl or send().
 */
#include "net/transfer.h"

#include <string.h>

#include "base/error.h"
#include "base/mem.h"

#define MAX_HEAD_BYTES (256u << 10)
#define MAX_SPARE 20000u
#define N_HEADERS_ON_STACK 64

/* ---- handles ---- */

static void destroy(tkx__transfer *t)
{
    if (t->easy)
        curl_easy_cleanup(t->easy);
    tkx__buf_clear(&t->head);
    tkx__buf_clear(&t->content);
    tkx__buf_clear(&t->gathered);
    tkx__free(t->redirect.url);
    tkx__wipe(t->lines, t->lines_size);
    tkx__free(t->lines);
    tkx__free(t);
}

static tkx__transfer *take_spare(tkx__loop *loop)
{
    tkx__transfer *t = loop->spare;

    if (t) {
        loop->spare = t->next;
        loop->n_spare--;
        return t;
    }
    t = tkx__calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->loop = loop;
    tkx__buf_init(&t->head, MAX_HEAD_BYTES);
    tkx__buf_init(&t->content, SIZE_MAX);
    tkx__buf_init(&t->gathered, SIZE_MAX);
    if (tkx__transfer_init_easy(t))
        return t;
    destroy(t);
    return NULL;
}

/* Nothing of the reply is kept: thousands of handles wait in long polls, and the first
   bytes of an answer are early enough to make room for it. */
static void give_back(tkx__transfer *t)
{
    tkx__loop *loop = t->loop;

    tkx__free(t->redirect.url);
    t->redirect = (tkx__redirect){0};
    tkx__buf_clear(&t->head);
    tkx__buf_clear(&t->content);
    tkx__buf_clear(&t->gathered);
    tkx__wipe(t->lines, t->lines_size); /* a key may be among them */
    tkx__free(t->lines);
    t->lines = NULL;
    t->lines_size = 0;
    if (loop->n_spare >= MAX_SPARE) {
        destroy(t);
        return;
    }
    t->next = loop->spare;
    loop->spare = t;
    loop->n_spare++;
}

static void link_open(tkx__transfer *t)
{
    tkx__loop *loop = t->loop;

    t->prev = NULL;
    t->next = loop->open;
    if (t->next)
        t->next->prev = t;
    loop->open = t;
    loop->stats.n_transfers++;
}

static void unlink_open(tkx__transfer *t)
{
    tkx__loop *loop = t->loop;

    if (t->prev)
        t->prev->next = t->next;
    else
        loop->open = t->next;
    if (t->next)
        t->next->prev = t->prev;
    loop->stats.n_transfers--;
}

static CURLM *multi_of(const tkx__transfer *t)
{
    return t->loop->lanes[t->request.lane].multi;
}

/* ---- telling ---- */

static size_t list_headers(const tkx__transfer *t, tkx__header *to, size_t max)
{
    const char *at = t->head.data;
    size_t n = 0;

    for (; n < t->n_headers && n < max; n++) {
        to[n].name = at;
        at += strlen(at) + 1;
        to[n].value = at;
        at += strlen(at) + 1;
    }
    return n;
}

/* Hand the outcome on; t is spare afterwards. */
static void tell(tkx__transfer *t, int status, tkx_error *error)
{
    tkx__header some[N_HEADERS_ON_STACK];
    tkx__header *all = some;
    tkx__reply reply = {.elapsed_ms = tkx__loop_now(t->loop) - t->started_ms};

    if (!error && t->n_headers > N_HEADERS_ON_STACK) {
        all = tkx__calloc(t->n_headers, sizeof *all);
        if (!all)
            tkx__fail_memory(&error);
    }
    reply.error = error;
    if (!error && all) {
        reply.http_status = status;
        reply.headers = all;
        reply.n_headers = list_headers(t, all, t->n_headers);
        reply.body_size = t->content.size;
        reply.body = t->content.size > 0 ? t->content.data : NULL;
    }
    unlink_open(t);
    t->fn(&reply, t->arg);
    if (!error && t->content.size > 0 && !reply.body) { /* taken */
        t->content.data = NULL;
        t->content.capacity = 0;
    }
    if (all != some)
        tkx__free(all);
    tkx_error_free(error);
    give_back(t);
}

/* While the handle is in its multi handle, which knows the connection. */
static void drop_stray(const tkx__loop *loop, CURL *easy)
{
    curl_socket_t fd = CURL_SOCKET_BAD;
    char *scheme = NULL;

    curl_easy_getinfo(easy, CURLINFO_SCHEME, &scheme);
    if (!scheme || (strcmp(scheme, "HTTP") != 0 && strcmp(scheme, "http") != 0))
        return;
    curl_easy_getinfo(easy, CURLINFO_ACTIVESOCKET, &fd);
    if (fd != CURL_SOCKET_BAD)
        tkx__sock_drop_stray(loop, fd);
}

static void finish(tkx__transfer *t, CURLcode code)
{
    tkx_error *error = NULL;
    long status = 0;

    if (code == CURLE_OK)
        drop_stray(t->loop, t->easy);
    curl_multi_remove_handle(multi_of(t), t->easy);
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    if (code != CURLE_OK || status <= 0) {
        tell(t, 0, tkx__transfer_error(t, code));
        return;
    }
    if (tkx__transfer_redirect(t, (int)status, &error)) {
        if (tkx__transfer_setup(t) &&
            curl_multi_add_handle(multi_of(t), t->easy) == CURLM_OK)
            return;
        tkx__fail_memory(&error);
    }
    tell(t, (int)status, error);
}

size_t tkx__transfers_deliver(tkx__loop *loop, tkx__lane_state *lane)
{
    size_t n = 0;
    CURLMsg *message;
    int n_left;

    (void)loop;
    if (!lane->has_messages)
        return 0;
    lane->has_messages = false;
    while ((message = curl_multi_info_read(lane->multi, &n_left))) {
        CURLcode code = message->data.result; /* the message goes with its handle */
        char *t = NULL;

        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &t);
        finish((tkx__transfer *)(void *)t, code);
        n++;
    }
    return n;
}

/* ---- sending and dropping ---- */

/* Large uploads begin one by one, since libcurl sends the first slice of each that it has
   been given in one go. */
static void push_big(tkx__transfer *t)
{
    tkx__transfer **at = &t->loop->big;

    while (*at)
        at = &(*at)->next_big;
    *at = t;
    t->next_big = NULL;
}

static void drop_big(tkx__transfer *t)
{
    tkx__transfer **at = &t->loop->big;

    while (*at && *at != t)
        at = &(*at)->next_big;
    if (*at)
        *at = t->next_big;
}

void tkx__transfers_begin_big(tkx__loop *loop)
{
    tkx__transfer *t = tkx__socks_are_sated(loop) ? NULL : loop->big;
    tkx_error *error = NULL;

    if (!t)
        return;
    loop->big = t->next_big;
    if (curl_multi_add_handle(multi_of(t), t->easy) == CURLM_OK)
        return;
    tkx__fail_memory(&error);
    tell(t, 0, error);
}

static bool begin(tkx__transfer *t)
{
    if (!t->body.read || !t->request.body || t->body.size_bytes < TKX__BIG_UPLOAD)
        return curl_multi_add_handle(multi_of(t), t->easy) == CURLM_OK;
    push_big(t);
    return true;
}

tkx__transfer *tkx__transfer_send(void *ctx, const tkx__request *request,
                                  tkx__reply_fn *fn, void *arg)
{
    tkx__loop *loop = ctx;
    tkx__transfer *t;

    if (loop->has_ended || !tkx__lane_open(loop, request->lane))
        return NULL;
    t = take_spare(loop);
    if (!t)
        return NULL;
    t->request = *request;
    if (request->body)
        t->body = *request->body;
    t->request.body = request->body ? &t->body : NULL;
    t->fn = fn;
    t->arg = arg;
    t->started_ms = tkx__loop_now(loop);
    if (!tkx__transfer_setup(t) || !begin(t)) {
        give_back(t);
        return NULL;
    }
    link_open(t);
    loop->stats.n_requests++;
    return t;
}

void tkx__transfer_cancel(void *ctx, tkx__transfer *t)
{
    (void)ctx;
    drop_big(t);
    curl_multi_remove_handle(multi_of(t), t->easy); /* with its message, if one waits */
    unlink_open(t);
    give_back(t);
}

void tkx__transfers_clear(tkx__loop *loop)
{
    while (loop->open)
        tkx__transfer_cancel(loop, loop->open);
    while (loop->spare) {
        tkx__transfer *t = loop->spare;

        loop->spare = t->next;
        destroy(t);
    }
    loop->n_spare = 0;
}
