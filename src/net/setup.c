/* SPDX-License-Identifier: Apache-2.0 */
/*
 * setup.c - a request becomes the settings of an easy handle.
 *
 * What never changes is set once per handle; of the rest only what differs from the last
 * request.  Header lines are written into one block of the transfer, and chained
 * in front of the shared set, which is not copied.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/str.h"
#include "net/header_set.h"
#include "net/transfer.h"

#define SMALL_UPLOAD 61440 /* libcurl joins up to 64 KiB to the headers */
#define USUAL_HEAD 500     /* bytes of an answer's headers */
#define MIN_RECEIVE 1024   /* held by libcurl for each open request */
#define MAX_RECEIVE 65536  /* more at a time would hold up the loop */
#define USUAL_RECEIVE 16384

/* ---- the reply's way in ---- */

static size_t on_content(char *bytes, size_t one, size_t n, void *arg)
{
    tkx__transfer *t = arg;

    (void)one;
    t->loop->n_moved += n;
    tkx__buf_append(&t->content, bytes, n);
    t->is_too_long |= t->content.status == TKX_ERR_LIMIT;
    t->is_short_of_memory |= t->content.status == TKX_ERR_NO_MEMORY;
    return t->content.status == TKX_OK ? n : 0;
}

/* "content-length: N" tells how much room to make; a lie costs nothing but the room. */
static void make_room(tkx__transfer *t, const char *value)
{
    uint64_t n;

    if (!tkx__parse_u64(value, &n))
        return;
    if (n > t->max_bytes)
        t->is_too_long = true;
    else if (n <= 16u << 20) /* beyond that the bytes must come first */
        tkx__buf_reserve(&t->content, (size_t)n);
}

static size_t on_header(char *bytes, size_t one, size_t n, void *arg)
{
    tkx__transfer *t = arg;
    const char *colon = memchr(bytes, ':', n);
    const char *value, *end = bytes + n;
    size_t name_size, at;

    (void)one;
    if (n >= 5 &&
        memcmp(bytes, "HTTP/", 5) == 0) { /* another answer: 100, redirect, proxy */
        tkx__buf_reset(&t->head);
        t->n_headers = 0;
        return n;
    }
    if (!colon)
        return n;
    if (!t->head.data)
        tkx__buf_reserve(&t->head, USUAL_HEAD);
    name_size = (size_t)(colon - bytes);
    for (value = colon + 1; value < end && (*value == ' ' || *value == '\t'); value++)
        ;
    while (end > value && (end[-1] == '\r' || end[-1] == '\n' || end[-1] == ' '))
        end--;
    at = t->head.size;
    tkx__buf_append(&t->head, bytes, name_size);
    tkx__buf_putc(&t->head, '\0');
    tkx__buf_append(&t->head, value, (size_t)(end - value));
    tkx__buf_putc(&t->head, '\0');
    if (t->head.status != TKX_OK) {
        t->is_too_long |= t->head.status == TKX_ERR_LIMIT;
        t->is_short_of_memory |= t->head.status == TKX_ERR_NO_MEMORY;
        return 0;
    }
    for (char *c = t->head.data + at; *c; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c - 'A' + 'a');
    t->n_headers++;
    if (strcmp(t->head.data + at, "content-length") == 0)
        make_room(t, t->head.data + at + name_size + 1);
    return t->is_too_long ? 0 : n;
}

/* ---- the body's way out ---- */

static size_t on_read(char *to, size_t one, size_t n, void *arg)
{
    tkx__transfer *t = arg;
    uint64_t left = t->body.size_bytes - t->body_at;
    ssize_t got;

    n *= one;
    if (left == 0)
        return 0;
    if (n > left)
        n = (size_t)left;
    got = t->body.read(t->body.ctx, t->body_at, to, n);
    if (got <= 0 || (size_t)got > n) {
        t->body_failed = true;
        return CURL_READFUNC_ABORT;
    }
    t->body_at += (uint64_t)got;
    t->loop->n_moved += (uint64_t)got;
    return (size_t)got;
}

static int on_seek(void *arg, curl_off_t offset, int origin)
{
    tkx__transfer *t = arg;

    if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > t->body.size_bytes)
        return CURL_SEEKFUNC_FAIL;
    t->body_at = (uint64_t)offset;
    return CURL_SEEKFUNC_OK;
}

/* ---- once per handle ---- */

static const char *first_env(const char *name)
{
    const char *value = getenv(name);

    return value && *value ? value : NULL;
}

/* Where libcurl looks for one, for each request anew. */
static bool has_proxy_variable(void)
{
    static const char *const names[] = {"http_proxy", "https_proxy", "HTTPS_PROXY",
                                        "all_proxy", "ALL_PROXY"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (first_env(names[i]))
            return true;
    return false;
}

bool tkx__transfer_init_easy(tkx__transfer *t)
{
    const tkx__loop_config *c = &t->loop->config;
    CURL *e = t->easy = curl_easy_init();
    const char *dir = first_env("SSL_CERT_DIR");
    const char *no_proxy = c->proxy || has_proxy_variable() ? c->no_proxy : "*";
    bool ok;

    if (!e)
        return false;
    ok = curl_easy_setopt(e, CURLOPT_ACCEPT_ENCODING, "") == CURLE_OK &&
         curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
         (!c->ca_file || curl_easy_setopt(e, CURLOPT_CAINFO, c->ca_file) == CURLE_OK) &&
         (!dir || c->ca_file || curl_easy_setopt(e, CURLOPT_CAPATH, dir) == CURLE_OK) &&
         (!c->proxy || curl_easy_setopt(e, CURLOPT_PROXY, c->proxy) == CURLE_OK) &&
         (!no_proxy || curl_easy_setopt(e, CURLOPT_NOPROXY, no_proxy) == CURLE_OK);
    curl_easy_setopt(e, CURLOPT_PRIVATE, t);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_content);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(e, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(e, CURLOPT_READFUNCTION, on_read);
    curl_easy_setopt(e, CURLOPT_READDATA, t);
    curl_easy_setopt(e, CURLOPT_SEEKFUNCTION, on_seek);
    curl_easy_setopt(e, CURLOPT_SEEKDATA, t);
    curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, tkx__open_socket);
    curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, t->loop);
    curl_easy_setopt(e, CURLOPT_CLOSESOCKETFUNCTION, tkx__close_socket);
    curl_easy_setopt(e, CURLOPT_CLOSESOCKETDATA, t->loop);
    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, t->why);
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_NOPROGRESS, 1L);
    curl_easy_setopt(e, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L); /* long polls behind firewalls */
    curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    return ok;
}

/* ---- headers ---- */

/* What may go to another origin; anything else could be a credential. */
static bool is_harmless(const char *name)
{
    static const char *const names[] = {"accept", "content-type", "content-encoding",
                                        "user-agent", "range"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcasecmp(name, names[i]) == 0)
            return true;
    return false;
}

static bool is_sent(const void *arg, const char *name)
{
    const tkx__transfer *t = arg;

    if (t->redirect.is_get && strncasecmp(name, "content-", 8) == 0)
        return false;
    return !t->redirect.is_foreign || is_harmless(name);
}

static struct curl_slist *add_line(tkx__transfer *t, size_t i, char *text)
{
    t->lines[i].data = text;
    t->lines[i].next = &t->lines[i + 1];
    return &t->lines[i];
}

/* A redirected request cannot chain the common set as it is: pick its lines. */
static size_t pick_common(tkx__transfer *t, size_t n, char **at)
{
    tkx__header_set *set = t->request.common;
    char name[128];

    for (size_t i = 0; set && i < tkx__header_set_count(set); i++) {
        const char *line = tkx__header_set_line(set, i);
        size_t size = strlen(line) + 1;
        size_t name_size = strcspn(line, ":;");

        if (name_size >= sizeof name)
            continue;
        memcpy(name, line, name_size);
        name[name_size] = '\0';
        if (!is_sent(t, name))
            continue;
        memcpy(*at, line, size);
        add_line(t, n++, *at);
        *at += size;
    }
    return n;
}

static bool has_content_type(const tkx__request *r)
{
    for (size_t i = 0; i < r->n_headers; i++)
        if (strcasecmp(r->headers[i].name, "content-type") == 0)
            return true;
    for (size_t i = 0; r->common && i < tkx__header_set_count(r->common); i++)
        if (strncasecmp(tkx__header_set_line(r->common, i), "content-type", 12) == 0)
            return true;
    return false;
}

/* Room for every line that could be needed. */
static bool make_line_room(tkx__transfer *t, size_t *n_max)
{
    static const size_t extra = 2; /* "Expect:", "Content-Type:" */
    const tkx__request *r = &t->request;
    /* The shared ones are copied for a redirect only. */
    size_t n_common = t->redirect.url && r->common ? tkx__header_set_count(r->common) : 0;
    size_t n = r->n_headers + n_common + extra;
    size_t size = n * sizeof *t->lines;

    for (size_t i = 0; i < r->n_headers; i++)
        size += strlen(r->headers[i].name) + strlen(r->headers[i].value) + 4;
    for (size_t i = 0; i < n_common; i++)
        size += strlen(tkx__header_set_line(r->common, i)) + 1;
    *n_max = n;
    if (size <= t->lines_size)
        return true;
    tkx__wipe(t->lines, t->lines_size); /* a key may be among them */
    tkx__free(t->lines);
    t->lines = tkx__malloc(size);
    t->lines_size = t->lines ? size : 0;
    return t->lines != NULL;
}

static bool set_headers(tkx__transfer *t, bool has_body)
{
    static char no_expect[] = "Expect:";
    static char no_type[] = "Content-Type:"; /* libcurl would call it a web form */
    const tkx__request *r = &t->request;
    struct curl_slist *rest;
    size_t n_max, joined, n = 0;
    char *at;

    if (!make_line_room(t, &n_max))
        return false;
    at = (char *)(t->lines + n_max);
    for (size_t i = 0; i < r->n_headers; i++) {
        if (tkx__header_is_joined(&r->headers[i]) || !is_sent(t, r->headers[i].name))
            continue;
        add_line(t, n++, at);
        at += tkx__header_write(at, r->headers[i].name, r->headers[i].value);
    }
    joined = tkx__headers_join(at, r->headers, r->n_headers, is_sent, t);
    if (joined > 0)
        add_line(t, n++, at);
    at += joined;
    if (t->redirect.url)
        n = pick_common(t, n, &at);
    if (has_body) {
        add_line(t, n++, no_expect);
        if (!has_content_type(r))
            add_line(t, n++, no_type);
    }
    rest = t->redirect.url ? NULL : tkx__header_set_list(r->common);
    if (n > 0)
        t->lines[n - 1].next = rest;
    curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, n > 0 ? t->lines : rest);
    return true;
}

/* ---- once per request ---- */

/* The bytes of a small body, so that libcurl sends them in one go with the headers; NULL:
   it is to be streamed (which also reports what went wrong here). */
static const char *gather(tkx__transfer *t, const tkx__body *body)
{
    char *to;

    if (body->bytes || body->size_bytes == 0 || body->size_bytes > SMALL_UPLOAD)
        return body->bytes;
    tkx__buf_reset(&t->gathered);
    to = tkx__buf_reserve(&t->gathered, body->size_bytes);
    if (!to)
        return NULL;
    for (size_t n = 0; n < body->size_bytes;) {
        ssize_t got = body->read(body->ctx, n, to + n, body->size_bytes - n);

        if (got <= 0 || (size_t)got > body->size_bytes - n)
            return NULL;
        n += (size_t)got;
    }
    return to;
}

static bool set_body(tkx__transfer *t, const tkx__body *body)
{
    t->body_at = 0;
    if (body->size_bytes > INT64_MAX)
        return false;
    curl_easy_setopt(t->easy, CURLOPT_POST, 1L);
    curl_easy_setopt(t->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body->size_bytes);
    curl_easy_setopt(t->easy, CURLOPT_POSTFIELDS,
                     body->size_bytes == 0 ? "" : gather(t, body));
    return true;
}

static bool set_method(tkx__transfer *t, bool *has_body)
{
    static const tkx__body empty;
    const char *method = t->redirect.is_get ? "GET" : t->request.method;
    const tkx__body *body = t->redirect.is_get ? NULL : t->request.body;
    bool is_post = strcmp(method, "POST") == 0;
    bool is_plain;

    if (!body && (is_post || strcmp(method, "PUT") == 0))
        body = &empty;
    *has_body = body != NULL;
    is_plain = body ? is_post : strcmp(method, "GET") == 0;
    if (t->now.is_custom_method || !is_plain) {
        t->now.is_custom_method = !is_plain;
        if (curl_easy_setopt(t->easy, CURLOPT_CUSTOMREQUEST, is_plain ? NULL : method) !=
            CURLE_OK)
            return false;
    }
    if (body)
        return set_body(t, body);
    curl_easy_setopt(t->easy, CURLOPT_HTTPGET, 1L);
    if (strcmp(method, "HEAD") == 0)
        curl_easy_setopt(t->easy, CURLOPT_NOBODY, 1L);
    return true;
}

/* HTTP/2 is agreed on inside TLS only; then a new request waits for a connection that is
   being opened, since it can share it. */
static void set_version(tkx__transfer *t, const char *url)
{
    bool is_tls = strncasecmp(url, "https:", 6) == 0 && !t->loop->config.is_http1_only;

    t->loop->lanes[t->request.lane].has_tls |= is_tls;
    if (is_tls == t->now.is_tls)
        return;
    t->now.is_tls = is_tls;
    curl_easy_setopt(t->easy, CURLOPT_HTTP_VERSION,
                     (long)(is_tls ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1));
    curl_easy_setopt(t->easy, CURLOPT_PIPEWAIT, is_tls ? 1L : 0L);
}

/* As large as the answer is likely to be. */
static void set_receive_buffer(tkx__transfer *t)
{
    size_t expected = t->request.expected_reply_bytes;
    long size = MIN_RECEIVE;

    while (size < MAX_RECEIVE && (size_t)size < expected)
        size *= 2;
    if (expected == 0)
        size = USUAL_RECEIVE;
    if (size == t->now.receive_buffer)
        return;
    t->now.receive_buffer = size;
    curl_easy_setopt(t->easy, CURLOPT_BUFFERSIZE, size);
}

static void set_limits(tkx__transfer *t)
{
    const tkx__request *r = &t->request;
    int64_t connect_ms = r->connect_timeout_ms > 0 ? r->connect_timeout_ms
                                                   : t->loop->config.connect_timeout_ms;

    if (r->timeout_ms != t->now.timeout_ms) {
        t->now.timeout_ms = r->timeout_ms;
        curl_easy_setopt(t->easy, CURLOPT_TIMEOUT_MS,
                         (long)(r->timeout_ms > 0 ? r->timeout_ms : 0));
    }
    if (connect_ms != t->now.connect_timeout_ms) {
        t->now.connect_timeout_ms = connect_ms;
        curl_easy_setopt(t->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)connect_ms);
    }
    if (r->fresh_connection != t->now.is_fresh) {
        t->now.is_fresh = r->fresh_connection;
        curl_easy_setopt(t->easy, CURLOPT_FRESH_CONNECT, r->fresh_connection ? 1L : 0L);
    }
}

bool tkx__transfer_setup(tkx__transfer *t)
{
    const char *url = t->redirect.url ? t->redirect.url : t->request.url;
    bool has_body;

    t->max_bytes = t->request.max_reply_bytes > 0 ? t->request.max_reply_bytes
                                                  : t->loop->config.max_reply_bytes;
    t->content.max_size = t->max_bytes;
    t->is_too_long = t->is_short_of_memory = t->body_failed = false;
    t->n_headers = 0;
    t->why[0] = '\0';
    tkx__buf_reset(&t->head);
    set_version(t, url);
    set_limits(t);
    set_receive_buffer(t);
    return set_method(t, &has_body) && set_headers(t, has_body) &&
           curl_easy_setopt(t->easy, CURLOPT_URL, url) == CURLE_OK;
}
