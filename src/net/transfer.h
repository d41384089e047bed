/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net/transfer.h - one request on its way, and the reply that grows.
 *
 * A transfer and its easy handle are used again for later requests.  Loop thread only.
 */
#ifndef TKX_NET_TRANSFER_H
#define TKX_NET_TRANSFER_H

#include "base/buf.h"
#include "net/loop_impl.h"

/* A body of more than two slices (libcurl's buffer has 64 KiB; larger ones cost more, in
   fresh pages, than they save in system calls). */
#define TKX__BIG_UPLOAD 131072

/* Where a redirect led; NULL url: nowhere so far. */
typedef struct tkx__redirect {
    char *url;
    int n;
    bool is_get;     /* the method became GET, the body is gone */
    bool is_foreign; /* another origin: credentials stay behind */
} tkx__redirect;

struct tkx__transfer {
    CURL *easy;
    tkx__loop *loop;
    tkx__request request; /* what it points to is borrowed */
    tkx__body body;
    tkx__reply_fn *fn;
    void *arg;
    tkx__transfer *prev, *next; /* in loop->open; next alone in loop->spare */
    tkx__transfer *next_big;    /* in loop->big: not given to libcurl yet */
    int64_t started_ms;
    uint64_t body_at;  /* next byte of request.body to be read */
    tkx__buf gathered; /* a small body that came in slices, to go out with the headers */
    tkx__redirect redirect;

    /* The reply so far. */
    tkx__buf head; /* lines "name\0value\0", names in lower case */
    size_t n_headers;
    tkx__buf content;
    size_t max_bytes;
    bool is_too_long, is_short_of_memory, body_failed;

    /* The request's own header lines as libcurl reads them. */
    struct curl_slist *lines; /* [n_lines], then their text; one block */
    size_t lines_size;

    /* What the easy handle is set to, so that only changes are set. */
    struct {
        bool is_tls, is_fresh, is_custom_method;
        int64_t timeout_ms, connect_timeout_ms;
        long receive_buffer;
    } now;
    char why[CURL_ERROR_SIZE];
};

tkx__transfer *tkx__transfer_send(void *loop, const tkx__request *request,
                                  tkx__reply_fn *fn, void *arg);
void tkx__transfer_cancel(void *loop, tkx__transfer *transfer);
/* Let large uploads begin, as many as a pass may carry. */
void tkx__transfers_begin_big(tkx__loop *loop);
/* Deliver what libcurl has finished; returns how many. */
size_t tkx__transfers_deliver(tkx__loop *loop, tkx__lane_state *lane);
/* Drop all without a word, free the spare ones. */
void tkx__transfers_clear(tkx__loop *loop);

/* Set up the easy handle for its request (setup.c).  False: out of memory, or a URL or
   method that cannot be sent. */
bool tkx__transfer_setup(tkx__transfer *transfer);
bool tkx__transfer_init_easy(tkx__transfer *transfer);

/* A 3xx to be followed: true when the transfer now describes the next request; else the
   reply stands (or *error says why the redirect was refused).  redirect.c */
bool tkx__transfer_redirect(tkx__transfer *transfer, int status, tkx_error **error);

/* Why there is no reply (curl_error.c). */
tkx_error *tkx__transfer_error(const tkx__transfer *transfer, CURLcode code);
/* "POST https://host/path", without the query. */
void tkx__transfer_what(const tkx__transfer *transfer, char *to, size_t size);

#endif
