/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server.c - birth and death of the server, its loop and its signals.
 *
 * Ending: the loop stops, the workers finish what they are at (a bounded wait: a promise
 * that is cut off here is done again by the next start), the state is closed.
 */
#include "mock_server/server.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/error.h"
#include "base/mem.h"
#include "mock_server/future.h"
#include "mock_server/snapshots.h"
#include "mock_server/sweep.h"
#include "mock_server/util.h"
#include "mock_server/work.h"

void call_list_push(call_list *list, call *c)
{
    c->next = NULL;
    if (list->tail)
        list->tail->next = c;
    else
        list->head = c;
    list->tail = c;
}

call *call_list_pop(call_list *list)
{
    call *c = list->head;
    if (!c)
        return NULL;
    list->head = c->next;
    if (!list->head)
        list->tail = NULL;
    c->next = NULL;
    return c;
}

static void on_stop(evutil_socket_t signum, short what, void *arg)
{
    mock_server *srv = arg;
    (void)signum;
    (void)what;
    event_base_loopbreak(srv->base);
}

/* Answers that workers have finished. */
static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    mock_server *srv = arg;
    uint64_t count;
    call *c;
    (void)what;
    if (read((int)fd, &count, sizeof count) < 0 && errno != EAGAIN)
        return;
    for (;;) {
        pthread_mutex_lock(&srv->done_lock);
        c = call_list_pop(&srv->done);
        pthread_mutex_unlock(&srv->done_lock);
        if (!c)
            return;
        send_answer(c);
    }
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    mock_server *srv = arg;
    (void)fd;
    (void)what;
    pthread_mutex_lock(&srv->lock);
    future_tick(srv);
    pthread_mutex_unlock(&srv->lock);
}

void call_done(call *c)
{
    mock_server *srv = c->srv;
    uint64_t one = 1;
    pthread_mutex_lock(&srv->done_lock);
    call_list_push(&srv->done, c);
    pthread_mutex_unlock(&srv->done_lock);
    if (write(srv->wake_fd, &one, sizeof one) < 0)
        return; /* the counter is full: a wake is due anyway */
}

void server_after(mock_server *srv, int64_t ms, void (*fn)(int, short, void *), void *arg)
{
    struct timeval tv = {.tv_sec = (time_t)(ms / 1000),
                         .tv_usec = (suseconds_t)(ms % 1000 * 1000)};
    event_base_once(srv->base, -1, EV_TIMEOUT, fn, arg, &tv);
}

static tkx_status make_dirs(mock_server *srv, tkx_error **err)
{
    static const char *const names[] = {"", "/models", "/checkpoints"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s%s", srv->state_dir, names[i]);
        if (mkdir(path, 0700) != 0 && errno != EEXIST)
            return tkx__fail_errno(err, errno, "create %s", path);
    }
    return TKX_OK;
}

static tkx_status load_secret(mock_server *srv, tkx_error **err)
{
    db_rows *rows = db_query(srv->db, "SELECT value FROM facts WHERE name='secret'", "");
    if (db_next(rows)) {
        size_t size;
        const void *blob = db_blob(rows, 0, &size);
        if (size == sizeof srv->secret)
            memcpy(srv->secret, blob, size);
        db_done(rows);
        if (size == sizeof srv->secret)
            return TKX_OK;
    }
    mock_random(srv->secret, sizeof srv->secret);
    return db_run(srv->db, err, "INSERT OR REPLACE INTO facts VALUES('secret', ?)", "b",
                  (const void *)srv->secret, sizeof srv->secret);
}

/* One server per folder: the lock ends with the process, however that ends. */
static tkx_status lock_state(mock_server *srv, tkx_error **err)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/lock", srv->state_dir);
    srv->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (srv->lock_fd < 0)
        return tkx__fail_errno(err, errno, "open %s", path);
    if (flock(srv->lock_fd, LOCK_EX | LOCK_NB) != 0)
        return tkx__fail(err, TKX_ERR_BUSY, "--state %s: another server uses this folder",
                         srv->state_dir);
    return TKX_OK;
}

static tkx_status open_state(mock_server *srv, tkx_error **err)
{
    char path[4096];
    tkx_status st;
    size_t n = strlen(srv->opt.state_dir);
    if (n >= sizeof srv->state_dir)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT, "--state: the path is too long");
    memcpy(srv->state_dir, srv->opt.state_dir, n + 1);
    st = make_dirs(srv, err);
    if (st == TKX_OK)
        st = lock_state(srv, err);
    if (st != TKX_OK)
        return st;
    snprintf(path, sizeof path, "%s/records.sqlite", srv->state_dir);
    st = db_open(path, &srv->db, err);
    if (st == TKX_OK)
        sweep_files(srv);
    if (st == TKX_OK)
        sweep_greet_sessions(srv);
    if (st == TKX_OK)
        st = load_secret(srv, err);
    return st;
}

static tkx_status open_engine(mock_server *srv, tkx_error **err)
{
    nn_engine_options options = {.n_threads = srv->opt.n_threads};
    tkx_status st = nn_engine_new(&options, &srv->engine, err);
    if (st == TKX_OK)
        st = nn_engine_add_base(srv->engine, NN_BUILTIN_NAME, NULL, err);
    for (size_t i = 0; i < srv->opt.n_bases && st == TKX_OK; i++)
        st = nn_engine_add_base(srv->engine, srv->opt.bases[i].name,
                                srv->opt.bases[i].path, err);
    return st;
}

static tkx_status load_scenario(mock_server *srv, tkx_error **err)
{
    char *text = NULL;
    size_t size = 0;
    tkx_status st;
    if (!srv->opt.scenario_path)
        return TKX_OK;
    st = mock_read_file(srv->opt.scenario_path, &text, &size, err);
    if (st == TKX_OK)
        st = fault_set_parse(text, size, &srv->faults, err);
    tkx__free(text);
    return st;
}

static tkx_status bind_port(mock_server *srv, tkx_error **err)
{
    const char *host = srv->opt.host;
    struct evhttp_bound_socket *bound;
    struct sockaddr_storage at;
    socklen_t size = sizeof at;
    unsigned port;
    bound = evhttp_bind_socket_with_handle(srv->http, host, (uint16_t)srv->opt.port);
    if (!bound || getsockname(evhttp_bound_socket_get_fd(bound), (struct sockaddr *)&at,
                              &size) != 0)
        return tkx__fail_errno(err, errno, "listen on %s port %d", host, srv->opt.port);
    port = at.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)&at)->sin6_port)
                                    : ntohs(((struct sockaddr_in *)&at)->sin_port);
    snprintf(srv->url, sizeof srv->url,
             strchr(host, ':') ? "http://[%.400s]:%u" : "http://%.400s:%u", host, port);
    return TKX_OK;
}

static bool make_events(mock_server *srv)
{
    static const struct timeval period = {.tv_usec = 100000};
    static const int signals[] = {SIGTERM, SIGINT};
    srv->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    srv->base = event_base_new();
    if (srv->wake_fd < 0 || !srv->base)
        return false;
    srv->http = evhttp_new(srv->base);
    srv->wake = event_new(srv->base, srv->wake_fd, EV_READ | EV_PERSIST, on_wake, srv);
    srv->tick = event_new(srv->base, -1, EV_PERSIST, on_tick, srv);
    for (size_t i = 0; i < 2; i++) {
        srv->stops[i] = evsignal_new(srv->base, signals[i], on_stop, srv);
        if (!srv->stops[i] || event_add(srv->stops[i], NULL) != 0)
            return false;
    }
    return srv->http && srv->wake && srv->tick && event_add(srv->wake, NULL) == 0 &&
           event_add(srv->tick, &period) == 0;
}

static tkx_status open_http(mock_server *srv, tkx_error **err)
{
    signal(SIGPIPE, SIG_IGN);
    if (!make_events(srv))
        return tkx__fail(err, TKX_ERR_IO, "event loop: cannot be made");
    evhttp_set_allowed_methods(srv->http, EVHTTP_REQ_GET | EVHTTP_REQ_POST |
                                              EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE |
                                              EVHTTP_REQ_HEAD);
    evhttp_set_max_headers_size(srv->http, 65536);
    evhttp_set_max_body_size(srv->http, (ev_ssize_t)(srv->opt.max_body_mb << 20));
    evhttp_set_default_content_type(srv->http, NULL);
    evhttp_set_timeout(srv->http, 3600);
    evhttp_set_gencb(srv->http, dispatch_request, srv);
    return bind_port(srv, err);
}

static void init_locks(mock_server *srv)
{
    pthread_mutex_init(&srv->lock, NULL);
    pthread_mutex_init(&srv->done_lock, NULL);
    pthread_cond_init(&srv->intake_ready, NULL);
    pthread_cond_init(&srv->train_ready, NULL);
    pthread_cond_init(&srv->sample_ready, NULL);
    pthread_cond_init(&srv->thread_ended, NULL);
}

tkx_status server_new(const mock_options *opt, mock_server **out, tkx_error **err)
{
    mock_server *srv = tkx__calloc(1, sizeof *srv);
    tkx_status st;
    if (!srv)
        return tkx__fail_memory(err);
    srv->opt = *opt;
    srv->wake_fd = srv->lock_fd = -1;
    srv->started_ms = mock_now_ms();
    init_locks(srv);
    st = open_state(srv, err);
    if (st == TKX_OK)
        st = open_engine(srv, err);
    if (st == TKX_OK)
        st = snapshots_new(srv, &srv->snapshots, err);
    if (st == TKX_OK)
        st = load_scenario(srv, err);
    if (st == TKX_OK)
        st = open_http(srv, err);
    if (st == TKX_OK)
        st = work_start(srv, err);
    if (st != TKX_OK) {
        server_free(srv);
        return st;
    }
    *out = srv;
    return TKX_OK;
}

bool server_run(mock_server *srv)
{
    event_base_dispatch(srv->base);
    return work_stop(srv, 5000);
}

static void free_loop(mock_server *srv)
{
    srv->is_ended = true;
    while (srv->live)
        call_free(srv->live);
    if (srv->wake)
        event_free(srv->wake);
    if (srv->tick)
        event_free(srv->tick);
    for (size_t i = 0; i < 2; i++)
        if (srv->stops[i])
            event_free(srv->stops[i]);
    if (srv->http)
        evhttp_free(srv->http);
    if (srv->base)
        event_base_free(srv->base);
    if (srv->wake_fd >= 0)
        close(srv->wake_fd);
    fault_set_unref(srv->faults);
}

void server_free(mock_server *srv)
{
    if (!srv)
        return;
    free_loop(srv);
    for (op *o = srv->sample_head, *next; o; o = next) {
        next = o->next;
        op_free(o);
    }
    for (size_t i = 0; i < LANE_TABLE_SIZE; i++)
        for (lane *l = srv->lanes[i], *next; l; l = next) {
            next = l->hash_next;
            lane_free(l);
        }
    snapshots_free(srv->snapshots);
    nn_engine_free(srv->engine);
    db_close(srv->db);
    if (srv->lock_fd >= 0)
        close(srv->lock_fd);
    pthread_mutex_destroy(&srv->lock);
    pthread_mutex_destroy(&srv->done_lock);
    pthread_cond_destroy(&srv->intake_ready);
    pthread_cond_destroy(&srv->train_ready);
    pthread_cond_destroy(&srv->sample_ready);
    pthread_cond_destroy(&srv->thread_ended);
    tkx__wipe(srv->secret, sizeof srv->secret);
    tkx__free(srv);
}
