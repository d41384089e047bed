/* SPDX-License-Identifier: Apache-2.0 */
/*
 * call.h - one request and its answer, on their way through the server.
 *
 * Made on the loop thread from an evhttp request, handed to one handler at a time, and
 * ended by call_done() from any thread; the answer is then sent on the loop thread.
 */
#ifndef MOCK_CALL_H
#define MOCK_CALL_H

#include <stdbool.h>
#include <stddef.h>

#include <event2/http.h>
#include <event2/keyvalq_struct.h>

#include "base/arena.h"
#include "base/buf.h"
#include "mock_server/fault.h"
#include "mock_server/jv.h"
#include "mock_server/route.h"

typedef struct mock_server mock_server;

enum { CALL_MAX_HEADERS = 8 };

typedef struct call_header {
    const char *name;
    const char *value;
} call_header;

struct call {
    mock_server *srv;
    struct evhttp_request *req; /* loop thread only */
    call *live_next;            /* all that are not answered yet */
    call *live_prev;
    call *next; /* in one queue at a time */
    const route *route;
    const char *method;
    const char *path; /* as it came, without the query */
    char params[ROUTE_MAX_PARAMS][ROUTE_MAX_SEGMENT];
    struct evkeyvalq query;
    const char *owner;      /* urn of whose key it is */
    const char *request_id; /* the promise it made or asked for, if any */
    char *body;
    size_t body_size;
    tkx__arena arena; /* everything that lives as long as the call */
    fault_plan fault;
    bool is_head;

    /* The answer. */
    int status;
    tkx__buf out;
    const char *content_type;
    call_header headers[CALL_MAX_HEADERS];
    size_t n_headers;

    /* While it waits for a promise. */
    int64_t deadline_ms; /* on the monotonic clock */
    bool wants_proto;
    bool wants_metadata;
    int64_t wait_copy; /* retrieve_futures: whose samples, and from where on */
    int64_t wait_cursor;
};

/* A request header; NULL when absent.  Valid on the loop thread and during a handler. */
const char *call_header_in(const call *c, const char *name);
/* A query parameter, decoded; NULL when absent. */
const char *call_query(const call *c, const char *name);
/* Text kept in the call's arena; "" when memory is short. */
const char *call_keep(call *c, const char *text);

/*
 * The body as a JSON object.  On failure the answer is filled in (422) and false comes
 * back; an empty body counts as {}.
 */
bool call_json(call *c, const jv **out);

/* Fill in an answer; all give true, so that a handler can end with `return`. */
bool call_ok(call *c);    /* 200, what stands in out */
bool call_empty(call *c); /* 200 with null */
bool call_error(call *c, int status, const char *fmt, ...) TKX_PRINTF(3, 4);
/* 422 with a list, as a validator reports it: the member, what is wrong, its type. */
bool call_invalid(call *c, const char *member, const char *fmt, ...) TKX_PRINTF(3, 4);
/* From a tkx_error (freed): 400 for the user's mistakes, 422 for parse, 500 otherwise. */
bool call_fail(call *c, tkx_error **err);
/* value lives as long as the call. */
void call_set_header(call *c, const char *name, const char *value);

/* Send the answer.  Thread: any; the call belongs to the server afterwards. */
void call_done(call *c);

#endif
