/* SPDX-License-Identifier: Apache-2.0 */
/* net/tape_in.h - the inside of a tape, for tape*.c. */
#ifndef TKX_NET_TAPE_IN_H
#define TKX_NET_TAPE_IN_H

#include <stdatomic.h>
#include <stdio.h>

#include "base/arena.h"
#include "net/redact.h"
#include "net/tape.h"

#define TKX__TAPE_VERSION 1

/* A recorded exchange.  Texts are in the tape's arena. */
typedef struct tkx__taped {
    struct tkx__taped *next; /* in the order of sending */
    struct tkx__taped *next_in_bucket;
    int64_t n;
    const char *method;
    const char *url;   /* without the base, redacted */
    const char *range; /* "": none */
    const char *body;
    size_t body_size;
    uint64_t hash; /* of what it is matched by */
    bool is_background;
    bool is_dropped; /* it had no end */
    bool is_used;
    int http_status;
    tkx_status error; /* OK: there is an answer */
    bool is_retryable;
    const char *message;
    tkx__header *headers;
    size_t n_headers;
    const char *answer;
    size_t answer_size;
    int64_t elapsed_ms;
} tkx__taped;

/* A request under way: recorded through the inner io, or waiting for its answer. */
typedef struct tkx__tape_request {
    struct tkx__tape_request *next, *prev;
    tkx__tape *tape;
    tkx__transfer *inner;
    tkx__timer *timer;
    tkx__reply_fn *fn;
    void *arg;
    tkx__buf line;     /* recording: the begin of its line */
    tkx__taped *taped; /* replaying: its answer; NULL: error, or it just runs out */
    tkx_error *error;
} tkx__tape_request;

struct tkx__tape {
    tkx__io io;    /* ours */
    tkx__io inner; /* the one below */
    tkx__io_ops ops;
    const tkx__log *log;
    char *base_url;
    char *path;
    tkx__tape_request *open;
    /* recording */
    FILE *file;
    int64_t next_n;
    int64_t started_ms;
    bool is_broken; /* a write failed */
    tkx__secrets secrets;
    /* replaying */
    tkx__arena arena;
    char *text;
    tkx__taped *first;
    tkx__taped **buckets; /* [n_buckets], a power of two */
    size_t n_buckets;
    atomic_ullong n_recorded, n_replayed, n_mismatched;
};

/* Fill ops with those of the inner io, behind our ctx; and the fields that both need. */
tkx_status tkx__tape_init(tkx__tape *tape, const tkx__tape_config *config,
                          tkx_error **err);
tkx__tape_request *tkx__tape_add(tkx__tape *tape, tkx__reply_fn *fn, void *arg);
void tkx__tape_drop(tkx__tape_request *request);

/* Learn the credentials that the request carries. */
void tkx__tape_learn(tkx__tape *tape, const tkx__request *request);
/* The URL as it is written: without the base, without secrets. */
void tkx__tape_put_url(const tkx__tape *tape, const char *url, tkx__buf *out);
/* The whole body, redacted; *is_text says whether it is UTF-8.  NULL: no memory, or the
   body could not be read. */
char *tkx__tape_body(const tkx__tape *tape, const tkx__body *body, size_t *size,
                     bool *is_text);
char *tkx__tape_redacted(const tkx__tape *tape, const char *bytes, size_t *size,
                         bool *is_text);
const char *tkx__tape_range(const tkx__request *request); /* "": none */

/* Read a recording into tape->first. */
tkx_status tkx__tape_read(tkx__tape *tape, tkx_error **err);
/* Of what a request is matched by. */
uint64_t tkx__tape_hash(const char *method, const char *url, const char *range,
                        const char *body, size_t size);
/* Does it depend on time rather than on what the program does? */
bool tkx__tape_is_background(const char *url);

#endif
