/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/operation.h - a queued operation: submit its parts in turn, follow their promises.
 *
 * One engine for everything but samples: create_model (no turn), optim_step, saves and
 * loads (one part), forward and forward_backward (a part for each chunk).  Loop thread
 * only, except that encode and decode may run on a worker.
 */
#ifndef TKX_API_OPERATION_H
#define TKX_API_OPERATION_H

#include "api/poll.h"
#include "api/recorder.h"
#include "api/turns.h"

typedef struct tkx__operation_spec {
    const char *what;         /* static, for messages and headers */
    const char *request_type; /* static */
    const char *sdk_method;   /* static */
    tkx__lane lane;
    size_t n_parts;         /* at least 1 */
    bool is_save;           /* no inner retries; a 409 is final */
    bool is_parallel;       /* parts 2..n first, then part 1 */
    bool has_protobuf;      /* body and result can be protobuf */
    bool encodes_on_worker; /* bodies are large */
    bool has_one_layer;     /* create_model: inner retries only */
    /* Which datums part i holds: failures of several parts are then reported one by one.
       NULL: the parts are not told apart. */
    void (*part_range)(void *arg, size_t i, size_t *first, size_t *count);
    /* Bytes of part i for the dispatch budget; NULL: 0 for all. */
    int64_t (*part_bytes)(void *arg, size_t i);
    tkx__encode_fn *encode; /* with a recorder it runs twice for each part */
    void *(*decode)(const tkx__payload *payload, void *decode_arg, tkx_error **err);
    void *decode_arg;
    void (*free_result)(void *result);
    /* What happens to it, for progress.  NULL: nobody looks. */
    void (*on_sending)(void *arg, size_t bytes);
    void (*on_event)(void *arg, const tkx__poll_event *event);
    /* No body is needed any more: all submits have ended.  NULL: nobody cares. */
    void (*on_submitted)(void *arg);
    tkx__recorder *recorder;                    /* NULL: nothing is written down */
    const char *(*path_of)(const void *result); /* of a save, for the recorder; or NULL */
    const char *record_as; /* its op in the record; static.  NULL: what */
} tkx__operation_spec;

/* The end, told once, the operation is gone by then.  results[n_parts] on success, and
   then the results (not the array) are the receiver's.  error: the receiver's. */
typedef void tkx__operation_fn(void *arg, void **results, size_t n, tkx_error *error);

typedef struct tkx__operation tkx__operation;

/* NULL: out of memory.  Any thread; nothing happens before tkx__operation_start(). */
tkx__operation *tkx__operation_new(tkx__site *site, const tkx__operation_spec *spec,
                                   tkx__operation_fn *fn, void *arg);

/* turns NULL: no order.  Otherwise ids [first, first + n_parts) belong to it. */
void tkx__operation_start(tkx__operation *op, tkx__turns *turns, uint64_t first);

/*
 * Nobody waits for the outcome.  What was not submitted still is, in its turn; polls
 * stop.  fn still runs, with CANCELLED, when no body is needed any more.
 */
void tkx__operation_detach(tkx__operation *op);

#endif
