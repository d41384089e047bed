/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redirect.c - following a 3xx ourselves, since libcurl would send our own credential
 * headers along to any host.
 *
 * 307 and 308 keep method and body; 301, 302 and 303 become GET (HEAD stays).  Another
 * scheme, host or port gets no header that could be a secret, and https never falls back
 * to http.
 */
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "net/transfer.h"

#define MAX_REDIRECTS 10

typedef struct origin {
    char *scheme, *host, *port;
} origin;

static void clear(origin *o)
{
    curl_free(o->scheme);
    curl_free(o->host);
    curl_free(o->port);
}

static bool get_origin(const char *url, origin *o)
{
    CURLU *parts = curl_url();
    bool ok;

    *o = (origin){0};
    ok = parts && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
         curl_url_get(parts, CURLUPART_SCHEME, &o->scheme, 0) == CURLUE_OK &&
         curl_url_get(parts, CURLUPART_HOST, &o->host, 0) == CURLUE_OK &&
         curl_url_get(parts, CURLUPART_PORT, &o->port, CURLU_DEFAULT_PORT) == CURLUE_OK;
    curl_url_cleanup(parts);
    return ok;
}

static bool is_redirect(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 ||
           status == 308;
}

static bool refuse(const tkx__transfer *t, const char *to, const char *why,
                   tkx_error **error)
{
    char what[512];

    tkx__transfer_what(t, what, sizeof what);
    tkx__fail(error, TKX_ERR_PROTOCOL, "%s: redirected to %.*s: %s", what,
              (int)strcspn(to, "?#"), to, why);
    return false;
}

/* Is the new place another origin?  -1: it cannot be followed. */
static int compare(const tkx__transfer *t, const char *from, const char *to,
                   tkx_error **error)
{
    origin a, b;
    int result = -1;

    if (!get_origin(from, &a) || !get_origin(to, &b)) {
        clear(&a);
        refuse(t, to, "that is no URL", error);
        return -1;
    }
    if (strcmp(a.scheme, "https") == 0 && strcmp(b.scheme, "https") != 0)
        refuse(t, to, "refused, it would leave TLS", error);
    else if (strcmp(b.scheme, "https") != 0 && strcmp(b.scheme, "http") != 0)
        refuse(t, to, "refused, only http and https are followed", error);
    else
        result = strcmp(a.scheme, b.scheme) != 0 || strcmp(a.host, b.host) != 0 ||
                 strcmp(a.port, b.port) != 0;
    clear(&a);
    clear(&b);
    return result;
}

bool tkx__transfer_redirect(tkx__transfer *t, int status, tkx_error **error)
{
    const char *from = t->redirect.url ? t->redirect.url : t->request.url;
    char *to = NULL;
    char *copy;
    int is_foreign;

    if (!is_redirect(status) || t->request.no_redirects)
        return false;
    curl_easy_getinfo(t->easy, CURLINFO_REDIRECT_URL, &to);
    if (!to)
        return false; /* no Location: the caller sees the status */
    if (t->redirect.n == MAX_REDIRECTS)
        return refuse(t, to, "the tenth in a row, giving up", error);
    is_foreign = compare(t, from, to, error);
    if (is_foreign < 0)
        return false;
    copy = tkx__strdup(to);
    if (!copy) {
        tkx__fail_memory(error);
        return false;
    }
    tkx__free(t->redirect.url);
    t->redirect.url = copy;
    t->redirect.n++;
    t->redirect.is_foreign |= is_foreign > 0;
    if (status <= 303 && strcmp(t->request.method, "HEAD") != 0)
        t->redirect.is_get = true;
    tkx__buf_reset(&t->content);
    return true;
}
