/* SPDX-License-Identifier: Apache-2.0 */
/* links.c - see the header.  The host is the one that the client asked. */
#include "mock_server/links.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "mock_server/auth.h"
#include "mock_server/util.h"

enum { TEXT_SIZE = 1600 };

static void write_text(const char *subject, const char *file, const char *expires,
                       char out[TEXT_SIZE])
{
    snprintf(out, TEXT_SIZE, "link\n%s\n%s\n%s", subject, file, expires);
}

/* http://HOST, or https when a proxy in front says so. */
static void write_origin(call *c, char out[512])
{
    const char *host = call_header_in(c, "Host");
    const char *scheme = call_header_in(c, "X-Forwarded-Proto");
    bool is_https = scheme && strcmp(scheme, "https") == 0;
    if (host && strlen(host) < 400)
        snprintf(out, 512, "%s://%s", is_https ? "https" : "http", host);
    else
        snprintf(out, 512, "%s", c->srv->url);
}

void link_make(call *c, const char *subject, const char *file, int64_t expires_ms,
               char out[LINK_SIZE])
{
    char origin[512], expires[24], mac[AUTH_MAC_SIZE], text[TEXT_SIZE];
    char *escaped = evhttp_uriencode(subject, -1, 0);
    snprintf(expires, sizeof expires, "%lld", (long long)expires_ms);
    write_text(subject, file, expires, text);
    auth_mac(c->srv, text, mac);
    write_origin(c, origin);
    snprintf(out, LINK_SIZE, "%s/download/%s?of=%s&expires=%s&sig=%s", origin, file,
             escaped ? escaped : "", expires, mac);
    free(escaped);
}

bool link_check(call *c, const char **subject, const char **file)
{
    const char *expires = call_query(c, "expires"), *sig = call_query(c, "sig");
    char text[TEXT_SIZE];
    int64_t until;
    *subject = call_query(c, "of");
    *file = c->params[0];
    if (!*subject || !expires || !sig || !tkx__parse_i64(expires, &until))
        return !call_error(c, 403, "the link is not whole");
    write_text(*subject, *file, expires, text);
    if (!auth_mac_fits(c->srv, text, sig))
        return !call_error(c, 403, "the signature of the link does not fit");
    if (until <= mock_now_ms())
        return !call_error(c, 403, "the link has expired");
    return true;
}
