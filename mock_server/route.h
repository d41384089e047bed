/* SPDX-License-Identifier: Apache-2.0 */
/*
 * route.h - which handler answers which request.
 *
 * A pattern is a path whose segment "{}" stands for any one segment.  Paths are given
 * without what stands before and including /api/v1; routes outside of it carry
 * ROUTE_ROOT.
 */
#ifndef MOCK_ROUTE_H
#define MOCK_ROUTE_H

#include <stdbool.h>
#include <stddef.h>

#include "mock_server/options.h"

typedef struct call call;

/* Fills in the answer of call; false when it will be given later by call_done(). */
typedef bool route_fn(call *c);

enum {
    ROUTE_ROOT = 1,    /* not under /api/v1 */
    ROUTE_OPEN = 2,    /* needs no credential */
    ROUTE_RAW_KEY = 4, /* takes the key itself, never a token */
    ROUTE_POOL = 8,    /* runs on an intake thread, takes the lock itself */
    ROUTE_NEW = 16,    /* unknown to the 0.25 generation */
    ROUTE_HOSTED = 32, /* unknown to skyrl and twinkle */
    ROUTE_NOT_TWINKLE = 64
};

enum { ROUTE_MAX_PARAMS = 3, ROUTE_MAX_SEGMENT = 512 };

typedef struct route {
    const char *method;
    const char *pattern;
    route_fn *fn;
    unsigned flags;
} route;

/* The table, ended by a row without method. */
extern const route mock_routes[];

/*
 * The row for a request; NULL when there is none, and then *has_path says whether another
 * method would have been answered.
 */
const route *route_find(const route *table, mock_dialect dialect, const char *method,
                        const char *path, bool is_root, bool *has_path,
                        char params[ROUTE_MAX_PARAMS][ROUTE_MAX_SEGMENT]);

/* The part of a request path behind /api/v1 (with its slash), or NULL. */
const char *route_api_path(const char *path);

#endif
