/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lane.c - libcurl's wishes about sockets and time, carried to libevent.
 *
 * libcurl changes its mind about a socket several times within one turn; only the outcome
 * is registered, in tkx__socks_flush().  A descriptor must leave libevent before it is
 * closed, hence the close callback.
 *
 * libevent runs the callbacks of all sockets that are ready before it looks at timers
 * again.  A slice of a large body takes a tenth of a millisecond or more, so such sockets
 * (told by the size of the last one) share a limit for each pass; those that come after
 * it stay ready, and libevent tells of them in the next.  An event that is due at once
 * tells that timers have been looked at.
 */
#include "net/lane.h"

#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/loop_impl.h"

#define BULK_BYTES 32768  /* a larger slice is one of a large body */
#define PASS_BYTES 262144 /* for all of them together */
#define NUDGE_MS 250

struct tkx__sock {
    struct event event;
    tkx__lane_state *lane;
    int fd;
    short wanted;     /* EV_READ | EV_WRITE, by libcurl */
    short registered; /* with libevent */
    bool is_changed;  /* in loop->changed */
    bool is_bulk;     /* its last slice was large */
    tkx__sock *next_changed;
};

/* ---- sockets ---- */

/*
 * A second answer to one request, by a proxy or server that is broken, would be taken as
 * the answer to the next request on that connection.  Only seen in clear: over TLS an
 * idle connection has other things to say.  And only on one that nobody wants anything
 * of: on any other the answer belongs to the request that has taken it over.
 */
void tkx__sock_drop_stray(const tkx__loop *loop, curl_socket_t fd)
{
    static const char begin[] = "HTTP/";
    const tkx__sock *sock = (size_t)fd < loop->n_socks ? loop->socks[fd] : NULL;
    char bytes[4096];
    ssize_t n;

    if (!sock || sock->wanted != 0)
        return;
    n = recv(fd, bytes, sizeof begin - 1, MSG_PEEK | MSG_DONTWAIT);

    if (n < (ssize_t)sizeof begin - 1 || memcmp(bytes, begin, sizeof begin - 1) != 0)
        return;
    while (recv(fd, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
        ; /* libcurl believes that a connection with bytes in it is alive */
    shutdown(fd, SHUT_RDWR);
}

/* Something moves on it: look again a little later. */
static void expect_nudge(tkx__lane_state *lane)
{
    if (lane->has_tls && lane->nudge_ms == INT64_MAX)
        lane->nudge_ms = tkx__loop_now(lane->loop) + NUDGE_MS;
}

/*
 * Over HTTP/2 libcurl (7.88 at least) can hold the last bytes of a stream and forget to
 * ask for the time to hand them on.  It does when the connection is said to be readable.
 */
static void nudge(tkx__lane_state *lane)
{
    tkx__loop *loop = lane->loop;
    int n_running;

    for (size_t i = 0; i < loop->n_socks; i++) {
        tkx__sock *sock = loop->socks[i];

        if (sock && sock->lane == lane && sock->wanted & EV_READ)
            curl_multi_socket_action(lane->multi, sock->fd, CURL_CSELECT_IN, &n_running);
    }
    lane->has_messages = true;
}

void tkx__socks_timers_ran(evutil_socket_t fd, short what, void *arg)
{
    tkx__loop *loop = arg;

    (void)fd;
    (void)what;
    loop->n_bulk = 0;
}

bool tkx__socks_are_sated(const tkx__loop *loop)
{
    return loop->n_bulk >= PASS_BYTES;
}

static void count_bulk(tkx__loop *loop, uint64_t moved)
{
    if (moved < BULK_BYTES)
        return;
    if (loop->n_bulk == 0)
        event_add(&loop->timers_ran_event, &(struct timeval){0, 0});
    loop->n_bulk += moved;
}

static void act(tkx__loop *loop, tkx__sock *sock, int flags)
{
    tkx__lane_state *lane = sock->lane;
    int fd = sock->fd;
    uint64_t before = loop->n_moved;
    uint64_t moved;
    int n_running;

    lane->has_messages = true;
    expect_nudge(lane);
    curl_multi_socket_action(lane->multi, fd, flags, &n_running);
    moved = loop->n_moved - before;
    if ((size_t)fd < loop->n_socks && loop->socks[fd] == sock) /* not closed inside */
        sock->is_bulk = moved >= BULK_BYTES;
    count_bulk(loop, moved);
}

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
    tkx__sock *sock = arg;
    tkx__loop *loop = sock->lane->loop;
    int flags = 0;

    if (sock->is_bulk && tkx__socks_are_sated(loop))
        return;
    tkx__loop_enter(loop);
    what &= sock->wanted;
    if (what == 0) { /* an idle connection has something to say: that it is over */
        tkx__sock_drop_stray(loop, fd);
        event_del(&sock->event);
        sock->registered = 0;
    } else {
        flags |= what & EV_READ ? CURL_CSELECT_IN : 0;
        flags |= what & EV_WRITE ? CURL_CSELECT_OUT : 0;
        act(loop, sock, flags);
    }
    tkx__loop_leave(loop);
}

static tkx__sock *sock_of(tkx__loop *loop, int fd)
{
    size_t n = (size_t)fd + 1;

    if (n > loop->n_socks) {
        size_t room = n < 64 ? 64 : n * 2;
        tkx__sock **socks = tkx__realloc(loop->socks, room, sizeof(tkx__sock *));

        if (!socks)
            return NULL;
        for (size_t i = loop->n_socks; i < room; i++)
            socks[i] = NULL;
        loop->socks = socks;
        loop->n_socks = room;
    }
    if (!loop->socks[fd]) {
        loop->socks[fd] = tkx__calloc(1, sizeof(tkx__sock));
        if (loop->socks[fd])
            loop->socks[fd]->fd = fd;
    }
    return loop->socks[fd];
}

static void mark_changed(tkx__loop *loop, tkx__sock *sock)
{
    if (sock->is_changed)
        return;
    sock->is_changed = true;
    sock->next_changed = loop->changed;
    loop->changed = sock;
}

static int on_socket_wish(CURL *easy, curl_socket_t fd, int what, void *arg, void *unused)
{
    tkx__lane_state *lane = arg;
    tkx__sock *sock = sock_of(lane->loop, fd);

    (void)easy;
    (void)unused;
    if (!sock)
        return -1; /* libcurl fails the transfer */
    sock->lane = lane;
    sock->wanted = 0;
    if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
        sock->wanted |= EV_READ;
    if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
        sock->wanted |= EV_WRITE;
    mark_changed(lane->loop, sock);
    return 0;
}

static void flush(tkx__loop *loop, tkx__sock *sock)
{
    short target = sock->wanted;

    if (target == 0 && !(sock->registered & EV_WRITE))
        return; /* idle: stays as it is */
    if (target == sock->registered)
        return;
    if (sock->registered)
        event_del(&sock->event);
    sock->registered = 0;
    if (target == 0)
        return;
    event_assign(&sock->event, loop->base, sock->fd, (short)(target | EV_PERSIST),
                 on_ready, sock);
    if (event_add(&sock->event, NULL) == 0)
        sock->registered = target;
    else /* out of memory: the transfer runs into its timeout */
        tkx__log_write(loop->log, TKX_LOG_ERROR, "net", "cannot watch descriptor %d",
                       sock->fd);
}

void tkx__socks_flush(tkx__loop *loop)
{
    while (loop->changed) {
        tkx__sock *sock = loop->changed;

        loop->changed = sock->next_changed;
        sock->is_changed = false;
        flush(loop, sock);
    }
}

static void forget(tkx__loop *loop, tkx__sock *sock)
{
    if (sock->registered)
        event_del(&sock->event);
    if (sock->is_changed)
        for (tkx__sock **at = &loop->changed; *at; at = &(*at)->next_changed)
            if (*at == sock) {
                *at = sock->next_changed;
                break;
            }
    loop->socks[sock->fd] = NULL;
    tkx__free(sock);
}

void tkx__socks_clear(tkx__loop *loop)
{
    for (size_t i = 0; i < loop->n_socks; i++)
        if (loop->socks[i])
            forget(loop, loop->socks[i]);
    tkx__free(loop->socks);
    loop->socks = NULL;
    loop->n_socks = 0;
}

curl_socket_t tkx__open_socket(void *arg, curlsocktype purpose,
                               struct curl_sockaddr *address)
{
    tkx__loop *loop = arg;

    (void)purpose;
    loop->stats.n_connections++;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

int tkx__close_socket(void *arg, curl_socket_t fd)
{
    tkx__loop *loop = arg;

    if ((size_t)fd < loop->n_socks && loop->socks[fd])
        forget(loop, loop->socks[fd]);
    return close(fd);
}

/* ---- time ---- */

static int on_time_wish(CURLM *multi, long delay_ms, void *arg)
{
    tkx__lane_state *lane = arg;

    (void)multi;
    lane->due_ms = delay_ms < 0    ? INT64_MAX
                   : delay_ms == 0 ? INT64_MIN
                                   : tkx__loop_now(lane->loop) + delay_ms;
    return 0;
}

int64_t tkx__lane_due(const tkx__lane_state *lane)
{
    return lane->due_ms < lane->nudge_ms ? lane->due_ms : lane->nudge_ms;
}

void tkx__lane_run_timeouts(tkx__lane_state *lane, int64_t now_ms)
{
    uint64_t before = lane->loop->n_moved;
    int n_running;

    if (lane->nudge_ms <= now_ms) {
        lane->nudge_ms = INT64_MAX;
        nudge(lane);
    }
    if (lane->due_ms > now_ms)
        return;
    lane->due_ms = INT64_MAX; /* libcurl tells anew */
    lane->has_messages = true;
    curl_multi_socket_action(lane->multi, CURL_SOCKET_TIMEOUT, 0, &n_running);
    count_bulk(lane->loop, lane->loop->n_moved - before);
}

/* ---- life ---- */

/*
 * Descriptors are for the whole program, so the lane of long polls (over HTTP/1.1 each
 * one holds a connection) takes at most what the limit leaves after the others; what does
 * not find a connection waits in libcurl's queue.
 */
static long connection_limit(tkx__lane lane, size_t configured)
{
    static const long limits[TKX__N_LANES] = {
        [TKX__LANE_SESSION] = 8, [TKX__LANE_TRAIN] = 16,    [TKX__LANE_SAMPLE] = 512,
        [TKX__LANE_REST] = 32,   [TKX__LANE_TELEMETRY] = 2,
    };
    struct rlimit files = {1024, 1024};
    long room;

    if (configured > 0)
        return configured < 1000000 ? (long)configured : 1000000;
    getrlimit(RLIMIT_NOFILE, &files);
    room = files.rlim_cur > 1000000 ? 1000000 : (long)files.rlim_cur;
    if (lane == TKX__LANE_RETRIEVE)
        return room >= 2048 ? room - 1024 : room / 2;
    if (lane == TKX__LANE_SAMPLE && room < 2048)
        return room / 8 > 0 ? room / 8 : 1;
    return limits[lane];
}

bool tkx__lane_open(tkx__loop *loop, tkx__lane which)
{
    tkx__lane_state *lane = &loop->lanes[which];
    long limit;

    if (lane->multi)
        return true;
    limit = connection_limit(which, loop->config.max_connections);
    lane->multi = curl_multi_init();
    if (!lane->multi)
        return false;
    lane->loop = loop;
    lane->due_ms = lane->nudge_ms = INT64_MAX;
    curl_multi_setopt(lane->multi, CURLMOPT_SOCKETFUNCTION, on_socket_wish);
    curl_multi_setopt(lane->multi, CURLMOPT_SOCKETDATA, lane);
    curl_multi_setopt(lane->multi, CURLMOPT_TIMERFUNCTION, on_time_wish);
    curl_multi_setopt(lane->multi, CURLMOPT_TIMERDATA, lane);
    curl_multi_setopt(lane->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_MULTIPLEX);
    curl_multi_setopt(lane->multi, CURLMOPT_MAX_CONCURRENT_STREAMS, 1000L);
    curl_multi_setopt(lane->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, limit);
    curl_multi_setopt(lane->multi, CURLMOPT_MAXCONNECTS, limit); /* kept when idle */
    return true;
}

void tkx__lane_close(tkx__lane_state *lane)
{
    if (lane->multi)
        curl_multi_cleanup(lane->multi); /* closes idle connections */
    lane->multi = NULL;
}
