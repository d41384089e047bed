/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_server.h - a small HTTP/1.1 server on a free port that can also misbehave.
 *
 *   /echo            200, the request's body
 *   /head            200, the request as it came up to the blank line
 *   /status/N        that status, body "s"
 *   /big/N           200, N bytes 'x'
 *   /chunked/N       the same without a length
 *   /to/N/URL        status N with Location: URL (the rest of the path)
 *   /cut             a length of 100, 10 bytes, then the connection is closed
 *   /stall           a length of 100, 10 bytes, then nothing more
 *   /silent          nothing at all
 *   /close           closed without an answer
 *   /once            the first time closed without an answer, then 200 "ok"
 *   /garbage         bytes that are not HTTP
 *   /many/N          200 with N headers
 *
 * A thread per connection; thread-safe.
 */
#ifndef TESTS_SUPPORT_HTTP_SERVER_H
#define TESTS_SUPPORT_HTTP_SERVER_H

#include <stddef.h>

typedef struct http_server http_server;

http_server *http_server_start(void);
void http_server_stop(http_server *server);
int http_server_port(const http_server *server);
/* "http://127.0.0.1:PORT" and the path; one of 8 static buffers. */
const char *http_server_url(const http_server *server, const char *path);
size_t http_server_connections(http_server *server); /* accepted so far */
size_t http_server_requests(http_server *server);

#endif
