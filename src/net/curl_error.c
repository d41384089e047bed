/* SPDX-License-Identifier: Apache-2.0 */
/*
 * curl_error.c - why no answer came, in words: what was tried, where, and what to do.
 */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "net/transfer.h"

typedef struct verdict {
    CURLcode code;
    tkx_status status;
    int is_retryable; /* could the same request succeed later? */
    const char *advice;
} verdict;

static const verdict verdicts[] = {
    {CURLE_COULDNT_RESOLVE_HOST, TKX_ERR_CONNECTION, 1,
     "check the host name in the base URL, and the name service"},
    {CURLE_COULDNT_RESOLVE_PROXY, TKX_ERR_CONNECTION, 1, "check the proxy setting"},
    {CURLE_COULDNT_CONNECT, TKX_ERR_CONNECTION, 1,
     "check that the server runs there and that the port and the firewall are right"},
    {CURLE_OPERATION_TIMEDOUT, TKX_ERR_TIMEOUT, 1, NULL},
    {CURLE_PEER_FAILED_VERIFICATION, TKX_ERR_CONNECTION, 0,
     "the server's certificate is not trusted; for a private authority set ca_file or "
     "SSL_CERT_FILE, else check the certificate's names and dates"},
    {CURLE_SSL_CACERT_BADFILE, TKX_ERR_CONNECTION, 0,
     "the file of authorities cannot be read; check ca_file or SSL_CERT_FILE"},
    {CURLE_SSL_CONNECT_ERROR, TKX_ERR_CONNECTION, 1,
     "the TLS handshake failed; check that the port speaks TLS, or use http://"},
    {CURLE_SSL_CERTPROBLEM, TKX_ERR_CONNECTION, 0,
     "the local certificate cannot be used"},
    {CURLE_PARTIAL_FILE, TKX_ERR_CONNECTION, 1, "the answer was cut off"},
    {CURLE_GOT_NOTHING, TKX_ERR_CONNECTION, 1, "the server closed without an answer"},
    {CURLE_URL_MALFORMAT, TKX_ERR_INVALID_ARGUMENT, 0, "check the base URL"},
    {CURLE_UNSUPPORTED_PROTOCOL, TKX_ERR_INVALID_ARGUMENT, 0,
     "only http and https are spoken"},
    {CURLE_BAD_CONTENT_ENCODING, TKX_ERR_PROTOCOL, 0,
     "the answer's compression is broken"},
    {CURLE_WEIRD_SERVER_REPLY, TKX_ERR_PROTOCOL, 0, "is that an HTTP server?"},
    {CURLE_UNSUPPORTED_PROTOCOL, TKX_ERR_PROTOCOL, 0, "is that an HTTP server?"},
};

static verdict judge(CURLcode code)
{
    for (size_t i = 0; i < sizeof verdicts / sizeof *verdicts; i++)
        if (verdicts[i].code == code)
            return verdicts[i];
    return (verdict){code, TKX_ERR_CONNECTION, 1, NULL};
}

void tkx__transfer_what(const tkx__transfer *t, char *to, size_t size)
{
    const char *url = t->redirect.url ? t->redirect.url : t->request.url;
    size_t n = strcspn(url, "?#"); /* a query may hold a signature */

    snprintf(to, size, "%s %.*s", t->redirect.is_get ? "GET" : t->request.method,
             n < 400 ? (int)n : 400, url);
}

static tkx_error *too_long(const tkx__transfer *t, const tkx__error_facts *facts)
{
    tkx_error *error = NULL;
    char what[512];

    tkx__transfer_what(t, what, sizeof what);
    tkx__fail_facts(&error, TKX_ERR_LIMIT, facts,
                    "%s: the answer is longer than the %zu bytes allowed; raise "
                    "max_reply_bytes if it is meant to be",
                    what, t->max_bytes);
    return error;
}

tkx_error *tkx__transfer_error(const tkx__transfer *t, CURLcode code)
{
    tkx__error_facts facts = TKX__ERROR_FACTS_INIT;
    verdict v = judge(code);
    tkx_error *error = NULL;
    char what[512];

    facts.elapsed_ms = tkx__loop_now(t->loop) - t->started_ms;
    facts.attempts = 1;
    if (t->is_too_long)
        return too_long(t, &facts);
    if (t->is_short_of_memory || code == CURLE_OUT_OF_MEMORY) {
        tkx__fail_memory(&error);
        return error;
    }
    tkx__transfer_what(t, what, sizeof what);
    if (t->body_failed) {
        tkx__fail_facts(&error, TKX_ERR_IO, &facts,
                        "%s: the request's body could not be read", what);
        return error;
    }
    facts.is_retryable = v.is_retryable;
    tkx__fail_facts(&error, v.status, &facts,
                    "%s: %s%s%s (%zu bytes of the answer had come)", what,
                    t->why[0] ? t->why : curl_easy_strerror(code), v.advice ? "; " : "",
                    v.advice ? v.advice : "", t->content.size);
    return error;
}
