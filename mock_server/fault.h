/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fault.h - scenarios: what goes wrong, on which route, at which request.
 *
 * {"rules": [{"route": "POST /forward_backward", "nth": [1, 3] or "all",
 *             "phase": "before" or "after", "fault": NAME, ...}]}
 * A route is a method and a path behind /api/v1; "{}" or any "{name}" stands for one
 * segment, "*" for every request.  Requests are counted per rule from 1.
 */
#ifndef MOCK_FAULT_H
#define MOCK_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tkx/error.h>

typedef enum fault_kind {
    FAULT_NONE = 0,
    FAULT_STATUS,
    FAULT_DELAY,
    FAULT_CUT,
    FAULT_STALL,
    FAULT_RESET,
    FAULT_CONTENT_TYPE,
    FAULT_GARBAGE,
    FAULT_LOSE,
    FAULT_DUPLICATE,
    FAULT_REORDER,
    FAULT_N_KINDS
} fault_kind;

enum { FAULT_MAX_HEADERS = 8 };

typedef struct fault_header {
    char *name;
    char *value;
} fault_header;

typedef struct fault_rule {
    fault_kind kind;
    bool is_after;
    bool is_all;
    char *method; /* NULL: any request */
    char *path;
    int64_t *nth;
    size_t n_nth;
    int64_t n_seen;
    int status;
    fault_header headers[FAULT_MAX_HEADERS];
    size_t n_headers;
    char *body; /* NULL: none given */
    int64_t ms;
    int64_t jitter_ms;
    size_t bytes;
} fault_rule;

typedef struct fault_set fault_set;

/*
 * Errors: PARSE or INVALID_ARGUMENT that name rule and member.
 * Ownership: *out is the caller's, counted: plans borrow from it.
 */
tkx_status fault_set_parse(const char *text, size_t size, fault_set **out,
                           tkx_error **err);
void fault_set_unref(fault_set *set); /* accepts NULL */

/* What happens to one request. */
typedef struct fault_plan {
    fault_set *set;         /* counted; NULL: nothing happens */
    const fault_rule *rule; /* one that is no delay, or NULL */
    int64_t before_ms;
    int64_t after_ms;
} fault_plan;

/*
 * Counts a request and says what is to happen.  random is any number, for the jitter.
 * Thread: loop thread.  Ownership: fault_plan_clear() ends the plan.
 */
fault_plan fault_set_next(fault_set *set, const char *method, const char *path,
                          uint64_t random);
void fault_plan_clear(fault_plan *plan);

#endif
