/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dispatch.c - from an evhttp request to a handler: the call, its route, its credential.
 *
 * Loop thread.  libevent stops reading a connection while its request is being answered,
 * so a request object lives until the answer is sent, whatever the client does.
 */
#include "mock_server/server.h"

#include <string.h>
#include <sys/queue.h>

#include <event2/buffer.h>
#include <event2/http.h>

#include "base/mem.h"
#include "mock_server/auth.h"
#include "mock_server/jw.h"
#include "mock_server/util.h"

static const char *method_name(struct evhttp_request *req)
{
    switch (evhttp_request_get_command(req)) {
    case EVHTTP_REQ_GET:
    case EVHTTP_REQ_HEAD:
        return "GET";
    case EVHTTP_REQ_POST:
        return "POST";
    case EVHTTP_REQ_PUT:
        return "PUT";
    case EVHTTP_REQ_DELETE:
        return "DELETE";
    default:
        return "?";
    }
}

static void link_live(call *c)
{
    c->live_next = c->srv->live;
    if (c->live_next)
        c->live_next->live_prev = c;
    c->srv->live = c;
}

static void unlink_live(call *c)
{
    if (c->live_prev)
        c->live_prev->live_next = c->live_next;
    else
        c->srv->live = c->live_next;
    if (c->live_next)
        c->live_next->live_prev = c->live_prev;
}

void call_free(call *c)
{
    unlink_live(c);
    evhttp_clear_headers(&c->query);
    fault_plan_clear(&c->fault);
    tkx__buf_clear(&c->out);
    tkx__free(c->body);
    tkx__arena_clear(&c->arena);
    tkx__free(c);
}

static bool take_body(call *c)
{
    struct evbuffer *in = evhttp_request_get_input_buffer(c->req);
    c->body_size = evbuffer_get_length(in);
    c->body = tkx__malloc(c->body_size + 1);
    if (!c->body)
        return false;
    evbuffer_remove(in, c->body, c->body_size);
    c->body[c->body_size] = '\0';
    return true;
}

static call *call_new(mock_server *srv, struct evhttp_request *req)
{
    const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(req);
    const char *path = uri ? evhttp_uri_get_path(uri) : NULL;
    const char *query = uri ? evhttp_uri_get_query(uri) : NULL;
    call *c = tkx__calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->srv = srv;
    c->req = req;
    c->method = method_name(req);
    c->is_head = evhttp_request_get_command(req) == EVHTTP_REQ_HEAD;
    tkx__arena_init(&c->arena, 1024, (size_t)2 << 30);
    tkx__buf_init(&c->out, (size_t)2 << 30);
    TAILQ_INIT(&c->query);
    link_live(c);
    c->path = call_keep(c, path && *path ? path : "/");
    if (query && evhttp_parse_query_str(query, &c->query) != 0)
        evhttp_clear_headers(&c->query);
    if (!take_body(c)) {
        call_free(c);
        return NULL;
    }
    return c;
}

/* Behind auth: inline under the lock, or over to an intake thread. */
static void run_handler(call *c)
{
    mock_server *srv = c->srv;
    bool is_answered;
    pthread_mutex_lock(&srv->lock);
    if (c->route->flags & ROUTE_POOL) {
        call_list_push(&srv->intake, c);
        pthread_cond_signal(&srv->intake_ready);
        pthread_mutex_unlock(&srv->lock);
        return;
    }
    is_answered = c->route->fn(c);
    pthread_mutex_unlock(&srv->lock);
    if (is_answered)
        send_answer(c);
}

static void run_call(call *c)
{
    if (!c->route || c->status) { /* already an error */
        send_answer(c);
        return;
    }
    if (!auth_check(c)) {
        send_answer(c);
        return;
    }
    run_handler(c);
}

static void find_route(call *c)
{
    const char *api = route_api_path(c->path);
    bool has_path;
    c->route = route_find(mock_routes, c->srv->opt.dialect, c->method,
                          api ? api : c->path, !api, &has_path, c->params);
    if (!c->route && has_path)
        call_error(c, 405, "Method Not Allowed");
    else if (!c->route)
        call_error(c, 404, "Not Found");
}

static void after_delay(evutil_socket_t fd, short what, void *arg)
{
    call *c = arg;
    (void)fd;
    (void)what;
    if (fault_before(c))
        run_call(c);
}

void dispatch_request(struct evhttp_request *req, void *arg)
{
    mock_server *srv = arg;
    const char *api;
    uint64_t random;
    call *c = call_new(srv, req);
    if (!c) {
        evhttp_send_error(req, 503, "out of memory");
        return;
    }
    find_route(c);
    api = route_api_path(c->path);
    mock_random(&random, sizeof random);
    if (!c->route || !(c->route->flags & ROUTE_ROOT))
        c->fault = fault_set_next(srv->faults, c->method, api ? api : c->path, random);
    if (c->fault.before_ms > 0)
        server_after(srv, c->fault.before_ms, after_delay, c);
    else
        after_delay(-1, 0, c);
}
