/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net/lane.h - one group of connections: a multi handle and the sockets it watches.
 *
 * Lanes share nothing but the loop, so a lane full of long polls, or one stalled in flow
 * control, leaves the others alone.  Made when first used.  Loop thread only.
 *
 * A socket stays registered for reading while its connection idles: the next request on
 * it then costs no system call, and a peer that hangs up is noticed at once.
 */
#ifndef TKX_NET_LANE_H
#define TKX_NET_LANE_H

#include <curl/curl.h>
#include <event2/util.h>

#include "net/loop.h"

typedef struct tkx__sock tkx__sock;

typedef struct tkx__lane_state {
    tkx__loop *loop;
    CURLM *multi;      /* NULL: not used yet */
    int64_t due_ms;    /* when libcurl wants to be called; INT64_MAX: no wish */
    int64_t nudge_ms;  /* when its connections are looked at anyway; INT64_MAX: never */
    bool has_tls;      /* it has made a connection that may carry many streams */
    bool has_messages; /* libcurl was called since its messages were read */
} tkx__lane_state;

bool tkx__lane_open(tkx__loop *loop, tkx__lane lane);
void tkx__lane_close(tkx__lane_state *lane);
/* When it wants to run again. */
int64_t tkx__lane_due(const tkx__lane_state *lane);
/* Give libcurl its timeouts.  What begins, begins there. */
void tkx__lane_run_timeouts(tkx__lane_state *lane, int64_t now_ms);

/* Bring the registrations of all sockets that changed in line with what libcurl wants. */
void tkx__socks_flush(tkx__loop *loop);
void tkx__socks_clear(tkx__loop *loop);
/* Large bodies have had their share of this pass. */
bool tkx__socks_are_sated(const tkx__loop *loop);
/* For libevent: large bodies may go on. */
void tkx__socks_timers_ran(evutil_socket_t fd, short what, void *loop);

/* For the easy handles. */
curl_socket_t tkx__open_socket(void *loop, curlsocktype purpose,
                               struct curl_sockaddr *address);
int tkx__close_socket(void *loop, curl_socket_t fd);

/* The request on it has its answer: end the connection if another answer follows. */
void tkx__sock_drop_stray(const tkx__loop *loop, curl_socket_t fd);

#endif
