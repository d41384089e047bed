/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net/loop.h - the real world behind net/io.h: libevent, libcurl, a few workers.
 *
 * Either it owns a thread, or it lives in a base that the caller runs.
 */
#ifndef TKX_NET_LOOP_H
#define TKX_NET_LOOP_H

#include "base/log.h"
#include "net/io.h"

struct event_base;
typedef struct tkx__loop tkx__loop;

/* Strings are copied; NULL and 0 mean the defaults of tkx_context_options. */
typedef struct tkx__loop_config {
    struct event_base *base; /* NULL: a thread of our own */
    const tkx__log *log;     /* must outlive the loop */
    int n_workers;
    const char *ca_file;
    const char *proxy;
    const char *no_proxy;
    int64_t connect_timeout_ms;
    size_t max_reply_bytes;
    size_t max_connections;
    bool is_http1_only;
} tkx__loop_config;

/* Made without its thread, so that the maker can still use its timers. */
tkx_status tkx__loop_new(const tkx__loop_config *config, tkx__loop **out,
                         tkx_error **err);
tkx_status tkx__loop_start(tkx__loop *loop, tkx_error **err);
/* Valid as long as the loop's memory; after the end post() and send() refuse. */
const tkx__io *tkx__loop_io(const tkx__loop *loop);
bool tkx__loop_has_thread(const tkx__loop *loop);

/* post_node() of the table. */
bool tkx__loop_post_node(tkx__loop *loop, tkx__post_node *node);

/* May the calling thread stop and wait for the loop?  Not on our thread; with a lent base
   only on the thread that runs it, outside every callback of ours. */
bool tkx__loop_may_wait(const tkx__loop *loop);
/* A lent base: run it here until is_over(arg).  False: it cannot be run here (we are
   inside one of its callbacks). */
bool tkx__loop_run_until(tkx__loop *loop, bool (*is_over)(void *arg), void *arg);

/*
 * Run what was posted, wait for work that has begun, drop transfers without a word, end
 * the threads, close every descriptor.  Not on the loop thread (of a lent base: the
 * thread that runs it, outside its callbacks).  Later posts are refused.  Again: nothing.
 */
void tkx__loop_end(tkx__loop *loop);
void tkx__loop_free(tkx__loop *loop); /* ends it first; accepts NULL */

/* For tests and figures; loop thread, or after the end. */
typedef struct tkx__loop_stats {
    size_t n_transfers;   /* open now */
    size_t n_connections; /* opened so far, all lanes */
    size_t n_requests;    /* sent so far */
} tkx__loop_stats;
tkx__loop_stats tkx__loop_get_stats(const tkx__loop *loop);

#endif
