/* SPDX-License-Identifier: Apache-2.0 */
/*
 * send.c - answers on their way out, whole or spoilt as the scenario says.
 *
 * Loop thread.  A spoilt answer goes straight to the descriptor: libevent's own write
 * callback would take those bytes for the end of the answer.  Such a connection is freed
 * from a timer, never inside one of libevent's callbacks.
 */
#include "mock_server/server.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "mock_server/future.h"
#include "mock_server/jw.h"
#include "mock_server/util.h"

static const char *reason_of(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 202:
        return "Accepted";
    case 204:
        return "No Content";
    case 206:
        return "Partial Content";
    case 302:
        return "Found";
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 402:
        return "Payment Required";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 408:
        return "Request Timeout";
    case 409:
        return "Conflict";
    case 410:
        return "Gone";
    case 422:
        return "Unprocessable Entity";
    case 429:
        return "Too Many Requests";
    case 500:
        return "Internal Server Error";
    case 503:
        return "Service Unavailable";
    default:
        return status < 400 ? "OK" : "Error";
    }
}

static const char *type_of(const call *c)
{
    return c->content_type ? c->content_type : "application/json";
}

/* A handler that ran out of memory while writing has no answer. */
static void check_out(call *c)
{
    static const char text[] = "{\"detail\":\"out of memory\"}";
    if (c->status && c->out.status == TKX_OK)
        return;
    tkx__buf_clear(&c->out);
    tkx__buf_puts(&c->out, text);
    c->content_type = NULL;
    c->status = 500;
}

static void send_plain(call *c)
{
    struct evkeyvalq *headers = evhttp_request_get_output_headers(c->req);
    struct evbuffer *body = evhttp_request_get_output_buffer(c->req);
    char length[24];
    check_out(c);
    for (size_t i = 0; i < c->n_headers; i++)
        evhttp_add_header(headers, c->headers[i].name, c->headers[i].value);
    if (c->status != 204) {
        if (c->out.size && !evhttp_find_header(headers, "Content-Type"))
            evhttp_add_header(headers, "Content-Type", type_of(c));
        evutil_snprintf(length, sizeof length, "%zu", c->out.size);
        evhttp_add_header(headers, "Content-Length", length);
        if (!c->is_head)
            evbuffer_add(body, tkx__buf_text(&c->out), c->out.size);
    }
    evhttp_send_reply(c->req, c->status, reason_of(c->status), NULL);
    call_free(c);
}

static int fd_of(const call *c)
{
    struct evhttp_connection *con = evhttp_request_get_connection(c->req);
    return (int)bufferevent_getfd(evhttp_connection_get_bufferevent(con));
}

static void close_connection(evutil_socket_t fd, short what, void *arg)
{
    call *c = arg;
    struct evhttp_connection *con = evhttp_request_get_connection(c->req);
    (void)fd;
    (void)what;
    shutdown(fd_of(c), SHUT_RDWR);
    call_free(c);
    evhttp_connection_free(con); /* and the request with it */
}

static void reset_connection(evutil_socket_t fd, short what, void *arg)
{
    call *c = arg;
    struct evhttp_connection *con = evhttp_request_get_connection(c->req);
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    (void)fd;
    (void)what;
    /* Dissolving the association sends RST; libevent's shutdown would send FIN first. */
    if (connect(fd_of(c), &none, sizeof none) != 0)
        shutdown(fd_of(c), SHUT_RDWR);
    call_free(c);
    evhttp_connection_free(con);
}

/* The head of the answer and the first n bytes of its body, as they are. */
static void write_raw(call *c, size_t n)
{
    const int yes = 1; /* what follows goes out at once, not with the next answer's ACK */
    tkx__buf raw;
    setsockopt(fd_of(c), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    tkx__buf_init(&raw, c->out.size + 65536);
    check_out(c);
    tkx__buf_printf(&raw, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n",
                    c->status, reason_of(c->status), type_of(c), c->out.size);
    for (size_t i = 0; i < c->n_headers; i++)
        tkx__buf_printf(&raw, "%s: %s\r\n", c->headers[i].name, c->headers[i].value);
    tkx__buf_puts(&raw, "\r\n");
    tkx__buf_append(&raw, tkx__buf_text(&c->out), n < c->out.size ? n : c->out.size);
    if (send(fd_of(c), tkx__buf_text(&raw), raw.size, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        shutdown(fd_of(c), SHUT_RDWR); /* the client has gone */
    tkx__buf_clear(&raw);
}

static void replace_body(call *c, const char *text)
{
    tkx__buf_reset(&c->out);
    tkx__buf_puts(&c->out, text);
}

static void spoil_status(call *c, const fault_rule *rule)
{
    c->status = rule->status;
    c->n_headers = 0;
    c->content_type = NULL;
    for (size_t i = 0; i < rule->n_headers; i++)
        call_set_header(c, rule->headers[i].name, rule->headers[i].value);
    if (rule->body)
        replace_body(c, rule->body);
    else
        call_error(c, rule->status, "%s (a fault of the scenario)",
                   reason_of(rule->status));
}

static void spoil_type(call *c, const fault_rule *rule)
{
    c->content_type = "text/html";
    for (size_t i = 0; i < rule->n_headers; i++)
        call_set_header(c, rule->headers[i].name, rule->headers[i].value);
    if (rule->body)
        replace_body(c, rule->body);
}

static void spoil_garbage(call *c, const fault_rule *rule)
{
    bool is_proto = strstr(type_of(c), "protobuf") != NULL;
    /* A length of nearly 2 MiB that never comes; an object that does not close. */
    replace_body(c, rule->body ? rule->body
                    : is_proto ? "\x0a\xff\xff\x7f"
                               : "{\"type\": ");
}

static void release_reordered(mock_server *srv, const route *r)
{
    call_list rest = {0};
    call *c;
    while ((c = call_list_pop(&srv->reordered)) != NULL) {
        if (c->route == r)
            send_plain(c);
        else
            call_list_push(&rest, c);
    }
    srv->reordered = rest;
}

static void end_reorder(evutil_socket_t fd, short what, void *arg)
{
    mock_server *srv = arg;
    call_list all = srv->reordered;
    call *c;
    int64_t now = mock_mono_ms();
    (void)fd;
    (void)what;
    srv->reordered = (call_list){0};
    while ((c = call_list_pop(&all)) != NULL) {
        if (c->deadline_ms <= now)
            send_plain(c);
        else
            call_list_push(&srv->reordered, c);
    }
}

static void lose_promise(call *c)
{
    if (!c->request_id)
        return;
    pthread_mutex_lock(&c->srv->lock);
    future_lose(c->srv, c->request_id);
    pthread_mutex_unlock(&c->srv->lock);
}

/* The answer stands in c; what the client gets of it. */
static void send_spoilt(call *c, const fault_rule *rule)
{
    mock_server *srv = c->srv;
    switch (rule->kind) {
    case FAULT_STATUS:
        spoil_status(c, rule);
        break;
    case FAULT_CONTENT_TYPE:
        spoil_type(c, rule);
        break;
    case FAULT_GARBAGE:
        spoil_garbage(c, rule);
        break;
    case FAULT_LOSE:
        lose_promise(c);
        break;
    case FAULT_DUPLICATE:
        write_raw(c, c->out.size);
        break;
    case FAULT_CUT:
        write_raw(c, rule->bytes);
        server_after(srv, 0, close_connection, c);
        return;
    case FAULT_STALL:
        if (rule->is_after || rule->bytes)
            write_raw(c, rule->bytes);
        server_after(srv, rule->ms ? rule->ms : 60000, close_connection, c);
        return;
    case FAULT_RESET:
        server_after(srv, 0, reset_connection, c);
        return;
    case FAULT_REORDER:
        c->deadline_ms = mock_mono_ms() + (rule->ms ? rule->ms : 2000);
        call_list_push(&srv->reordered, c);
        server_after(srv, (rule->ms ? rule->ms : 2000) + 1, end_reorder, srv);
        return;
    case FAULT_NONE:
    case FAULT_DELAY:
    case FAULT_N_KINDS:
        break;
    }
    send_plain(c);
}

/* Kinds that mean nothing without an answer wait for it in either phase. */
static bool is_before(const fault_rule *rule)
{
    return rule && !rule->is_after && rule->kind != FAULT_DUPLICATE &&
           rule->kind != FAULT_REORDER;
}

static void fake_answer(call *c, const fault_rule *rule)
{
    char id[MOCK_UUID_SIZE];
    c->status = 200;
    c->n_headers = 0;
    c->content_type = NULL;
    tkx__buf_reset(&c->out);
    if (rule->kind != FAULT_LOSE) {
        tkx__buf_puts(&c->out, "{}");
        return;
    }
    mock_uuid(id);
    c->request_id = call_keep(c, id);
    jw_fmt(&c->out, "{\"request_id\":%s}", id);
}

bool fault_before(call *c)
{
    const fault_rule *rule = c->fault.rule;
    if (!is_before(rule))
        return true;
    fake_answer(c, rule);
    send_spoilt(c, rule);
    return false;
}

static void finish_answer(evutil_socket_t fd, short what, void *arg)
{
    call *c = arg;
    mock_server *srv = c->srv;
    const route *r = c->route;
    const fault_rule *rule = c->fault.rule;
    (void)fd;
    (void)what;
    if (rule && !is_before(rule)) {
        send_spoilt(c, rule);
        return;
    }
    send_plain(c);
    if (r && srv->reordered.head)
        release_reordered(srv, r);
}

void send_answer(call *c)
{
    if (c->fault.after_ms > 0)
        server_after(c->srv, c->fault.after_ms, finish_answer, c);
    else
        finish_answer(-1, 0, c);
}
