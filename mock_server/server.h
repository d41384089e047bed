/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server.h - the server as a whole: loop, lock, threads, records.
 *
 * Threads: the loop thread owns connections, calls and faults.  Intake threads read large
 * bodies, train workers run the lanes, the sample worker draws.  What they share is
 * guarded by lock; the database is part of it.  No computing and no file writing under
 * the lock.
 */
#ifndef MOCK_SERVER_H
#define MOCK_SERVER_H

#include <pthread.h>
#include <stdatomic.h>

#include "mock_server/call.h"
#include "mock_server/db.h"
#include "mock_server/nn/engine.h"
#include "mock_server/op.h"
#include "mock_server/options.h"

enum { LANE_TABLE_SIZE = 512, MOCK_SECRET_SIZE = 32, MOCK_MAX_THREADS = 8 };

typedef struct call_list {
    call *head;
    call *tail;
} call_list;

void call_list_push(call_list *list, call *c);
call *call_list_pop(call_list *list); /* NULL when empty */

typedef struct snapshot_cache snapshot_cache;

struct mock_server {
    mock_options opt;
    nn_engine *engine;
    char state_dir[3072];
    int lock_fd;                            /* holds the state folder */
    unsigned char secret[MOCK_SECRET_SIZE]; /* signs tokens and links; kept in facts */
    char url[512];                          /* http://HOST:PORT */
    int64_t started_ms;

    /* Loop thread only. */
    struct event_base *base;
    struct evhttp *http;
    struct event *wake;
    struct event *tick;
    struct event *stops[2];
    int wake_fd;
    call *live;
    fault_set *faults;
    call_list reordered; /* answers held until another one has gone */
    bool is_ended;

    pthread_mutex_t done_lock;
    call_list done; /* answered, to be sent */

    pthread_mutex_t lock;
    mock_db *db;
    op_table ops;
    lane *lanes[LANE_TABLE_SIZE];
    size_t n_lanes;
    lane *ready_head;
    lane *ready_tail;
    op *sample_head;
    op *sample_tail;
    size_t n_samples; /* waiting */
    call_list intake;
    call *completion_waiters; /* held polls of retrieve_futures */
    int64_t forgot_ms;        /* when old results were last dropped */
    int64_t freed_ms;         /* when what ended sessions used was last freed */
    snapshot_cache *snapshots;
    bool is_stopping;
    pthread_t threads[MOCK_MAX_THREADS];
    size_t n_threads;
    size_t n_threads_left; /* those that have not ended */
    pthread_cond_t intake_ready;
    pthread_cond_t train_ready;
    pthread_cond_t sample_ready;
    pthread_cond_t thread_ended;
};

/* Open the state, register base models, bind.  Ownership: *out is the caller's. */
tkx_status server_new(const mock_options *opt, mock_server **out, tkx_error **err);
/* Serve until SIGTERM or SIGINT.  Gives false when work had to be left behind. */
bool server_run(mock_server *srv);
void server_free(mock_server *srv); /* accepts NULL */

/* The loop thread's part of a call's life (dispatch.c, send.c). */
void dispatch_request(struct evhttp_request *req, void *srv);
void send_answer(call *c); /* with the fault's "after" */
void call_free(call *c);

/* Run the call's fault that comes before the handler; false: no handler is to run. */
bool fault_before(call *c);

/* A timer that runs once on the loop thread. */
void server_after(mock_server *srv, int64_t ms, void (*fn)(int, short, void *),
                  void *arg);

#endif
