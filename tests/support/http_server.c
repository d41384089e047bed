/* SPDX-License-Identifier: Apache-2.0 */
/* http_server.c - blocking sockets, one thread per connection; ends when all are
   closed. */
#include "support/http_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_CONNECTIONS 4096

struct http_server {
    int listener, port;
    pthread_t acceptor;
    pthread_mutex_t lock;
    size_t n_connections, n_requests;
    int once;
    int fds[MAX_CONNECTIONS];
    pthread_t threads[MAX_CONNECTIONS];
};

typedef struct connection {
    http_server *server;
    int fd;
    size_t slot;
    char *buf; /* what was read and not used */
    size_t size;
} connection;

static int say(int fd, const void *bytes, size_t n)
{
    const char *at = bytes;

    while (n > 0) {
        ssize_t done = send(fd, at, n, MSG_NOSIGNAL);

        if (done <= 0)
            return -1;
        at += done;
        n -= (size_t)done;
    }
    return 0;
}

static int sayf(int fd, const char *fmt, ...)
{
    char text[4096];
    va_list args;
    int n;

    va_start(args, fmt);
    n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return say(fd, text, (size_t)n);
}

static int answer(int fd, int status, const void *body, size_t n)
{
    if (sayf(fd, "HTTP/1.1 %d Text\r\nContent-Length: %zu\r\nX-Test: Yes\r\n\r\n", status,
             n))
        return -1;
    return say(fd, body, n);
}

/* Read more; -1 at the end. */
static int read_more(connection *c)
{
    ssize_t n;

    c->buf = realloc(c->buf, c->size + 65537);
    n = recv(c->fd, c->buf + c->size, 65536, 0);
    if (n <= 0)
        return -1;
    c->size += (size_t)n;
    c->buf[c->size] = '\0';
    return 0;
}

static int wait_for_end(connection *c)
{
    while (read_more(c) == 0)
        ;
    return -1;
}

static int big(int fd, size_t n, int is_chunked)
{
    static const char x[] =
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";

    if (is_chunked
            ? sayf(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%zx\r\n", n)
            : sayf(fd, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", n))
        return -1;
    for (size_t left = n; left > 0;) {
        size_t k = left < 64 ? left : 64;

        if (say(fd, x, k))
            return -1;
        left -= k;
    }
    return is_chunked ? sayf(fd, "\r\n0\r\n\r\n") : 0;
}

static int many(int fd, int n)
{
    if (sayf(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"))
        return -1;
    for (int i = 0; i < n; i++)
        if (sayf(fd, "X-%d: %d\r\n", i, i))
            return -1;
    return sayf(fd, "\r\n");
}

static int is_first(http_server *s)
{
    int first;

    pthread_mutex_lock(&s->lock);
    first = s->once++ == 0;
    pthread_mutex_unlock(&s->lock);
    return first;
}

/* 0: the connection goes on. */
static int serve(connection *c, const char *path, size_t head_size, size_t body_size)
{
    const char *n = strrchr(path, '/') + 1;

    if (strcmp(path, "/echo") == 0)
        return answer(c->fd, 200, c->buf + head_size, body_size);
    if (strcmp(path, "/head") == 0)
        return answer(c->fd, 200, c->buf, head_size - 2);
    if (strncmp(path, "/status/", 8) == 0)
        return answer(c->fd, atoi(n), "s", atoi(n) == 204 ? 0 : 1);
    if (strncmp(path, "/big/", 5) == 0)
        return big(c->fd, (size_t)atol(n), 0);
    if (strncmp(path, "/chunked/", 9) == 0)
        return big(c->fd, (size_t)atol(n), 1);
    if (strncmp(path, "/many/", 6) == 0)
        return many(c->fd, atoi(n));
    if (strncmp(path, "/to/", 4) == 0)
        return sayf(c->fd,
                    "HTTP/1.1 %d Moved\r\nLocation: %s\r\nContent-Length: 4\r\n\r\nmove",
                    atoi(path + 4), strchr(path + 4, '/') + 1);
    if (strcmp(path, "/cut") == 0 || strcmp(path, "/stall") == 0) {
        sayf(c->fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789");
        return path[1] == 'c' ? -1 : wait_for_end(c);
    }
    if (strcmp(path, "/silent") == 0)
        return wait_for_end(c);
    if (strcmp(path, "/garbage") == 0) {
        sayf(c->fd, "\x01\x02 this is no HTTP\r\n\r\n");
        return -1;
    }
    if (strcmp(path, "/once") == 0 && !is_first(c->server))
        return answer(c->fd, 200, "ok", 2);
    return strcmp(path, "/close") == 0 || strcmp(path, "/once") == 0
               ? -1
               : answer(c->fd, 404, "?", 1);
}

static size_t length_of(const char *head)
{
    static const char name[] = "\r\ncontent-length:";

    for (; *head; head++)
        if (strncasecmp(head, name, sizeof name - 1) == 0)
            return (size_t)strtoul(head + sizeof name - 1, NULL, 10);
    return 0;
}

static int serve_one(connection *c)
{
    char path[2048];
    char *end;
    size_t head_size, body_size;

    while (!c->buf || !(end = strstr(c->buf, "\r\n\r\n")))
        if (read_more(c))
            return -1;
    head_size = (size_t)(end - c->buf) + 4;
    *end = '\0';
    body_size = length_of(c->buf);
    *end = '\r';
    while (c->size < head_size + body_size)
        if (read_more(c))
            return -1;
    if (sscanf(c->buf, "%*s %2047s", path) != 1)
        return -1;
    pthread_mutex_lock(&c->server->lock);
    c->server->n_requests++;
    pthread_mutex_unlock(&c->server->lock);
    if (serve(c, path, head_size, body_size))
        return -1;
    c->size -= head_size + body_size;
    memmove(c->buf, c->buf + head_size + body_size, c->size + 1);
    return 0;
}

static void *run_connection(void *arg)
{
    connection *c = arg;

    while (serve_one(c) == 0)
        ;
    pthread_mutex_lock(&c->server->lock);
    c->server->fds[c->slot] = -1;
    close(c->fd);
    pthread_mutex_unlock(&c->server->lock);
    free(c->buf);
    free(c);
    return NULL;
}

static void *run_acceptor(void *arg)
{
    http_server *s = arg;
    int fd, one = 1;

    while ((fd = accept(s->listener, NULL, NULL)) >= 0) {
        connection *c = calloc(1, sizeof *c);

        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        pthread_mutex_lock(&s->lock);
        *c = (connection){.server = s, .fd = fd, .slot = s->n_connections};
        s->fds[c->slot] = fd;
        if (pthread_create(&s->threads[c->slot], NULL, run_connection, c) != 0)
            abort();
        if (++s->n_connections == MAX_CONNECTIONS)
            abort();
        pthread_mutex_unlock(&s->lock);
    }
    return NULL;
}

static int listen_on_any(int *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) != 0 ||
        getsockname(fd, (struct sockaddr *)&at, &size) != 0)
        abort();
    *port = ntohs(at.sin_port);
    return fd;
}

http_server *http_server_start(void)
{
    http_server *s = calloc(1, sizeof *s);

    if (!s)
        abort();
    pthread_mutex_init(&s->lock, NULL);
    s->listener = listen_on_any(&s->port);
    if (listen(s->listener, 1024) != 0 ||
        pthread_create(&s->acceptor, NULL, run_acceptor, s) != 0)
        abort();
    return s;
}

void http_server_stop(http_server *s)
{
    shutdown(s->listener, SHUT_RDWR);
    pthread_join(s->acceptor, NULL);
    close(s->listener);
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < s->n_connections; i++)
        if (s->fds[i] >= 0)
            shutdown(s->fds[i], SHUT_RDWR);
    pthread_mutex_unlock(&s->lock);
    for (size_t i = 0; i < s->n_connections; i++)
        pthread_join(s->threads[i], NULL);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

int http_server_port(const http_server *s)
{
    return s->port;
}

const char *http_server_url(const http_server *s, const char *path)
{
    static char urls[8][512];
    static unsigned next;
    char *url = urls[next++ % 8];

    snprintf(url, sizeof urls[0], "http://127.0.0.1:%d%s", s->port, path);
    return url;
}

size_t http_server_connections(http_server *s)
{
    size_t n;

    pthread_mutex_lock(&s->lock);
    n = s->n_connections;
    pthread_mutex_unlock(&s->lock);
    return n;
}

size_t http_server_requests(http_server *s)
{
    size_t n;

    pthread_mutex_lock(&s->lock);
    n = s->n_requests;
    pthread_mutex_unlock(&s->lock);
    return n;
}
