/* SPDX-License-Identifier: Apache-2.0 */
/*
 * future.h - promises: made durable, waited for, kept, forgotten.
 *
 * All of it under the server's lock.
 */
#ifndef MOCK_FUTURE_H
#define MOCK_FUTURE_H

#include "mock_server/server.h"

/* promises.state */
enum { PROMISE_OPEN = 0, PROMISE_DONE, PROMISE_FAILED, PROMISE_GONE, PROMISE_CANCELLED };

/* What an operation came to. */
typedef struct outcome {
    bool has_failed;
    tkx__buf json;  /* the result, or empty */
    tkx__buf proto; /* the same as protobuf, or empty */
    char error[1024];
    const char *category; /* "user", "server", "unknown" */
} outcome;

void outcome_init(outcome *out);
void outcome_clear(outcome *out);
/* From an error (freed). */
void outcome_fail(outcome *out, tkx_error **err);

/* Within the transaction that also records the effect. */
tkx_status future_record(mock_server *srv, const op *o, const outcome *out,
                         tkx_error **err);
/* Behind the commit: every held poll of the op is answered, the op is freed. */
void future_settle(mock_server *srv, op *o);

/* Answer a retrieve_future call, now or later (false). */
bool future_retrieve(call *c, const char *request_id);
bool future_retrieve_completions(call *c, const char *sampler_id, int64_t copy,
                                 int64_t cursor);

/* Deadlines of held polls, and results that are too old. */
void future_tick(mock_server *srv);
/* From now on the promise is gone (410); the operation itself goes on. */
void future_lose(mock_server *srv, const char *request_id);

#endif
