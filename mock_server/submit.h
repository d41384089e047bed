/* SPDX-License-Identifier: Apache-2.0 */
/*
 * submit.h - taking a promise: deduplicated, made durable, queued, answered.
 */
#ifndef MOCK_SUBMIT_H
#define MOCK_SUBMIT_H

#include "mock_server/server.h"

/* Under the lock: 404 or 410 is filled in and false comes back when it is not alive. */
bool session_is_alive(call *c, const char *session_id);

/*
 * Under the lock: queue the operation and answer with its handle.  spec.request_id may be
 * NULL: the dialect's own form is made.  n_samples: ids of sequences to hand out.
 * Before it, the same number with the same body gives the same promise, with another one
 * 409.  Gives true (the answer is filled in).
 */
bool submit_op(call *c, const op_spec *spec, size_t n_samples);

/* Under the lock: a promise that is kept at once, with that result (JSON). */
bool submit_done(call *c, const op_spec *spec, const char *json);

#endif
