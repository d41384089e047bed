/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client/rest_loop.h - a call that asks until it has seen enough: all pages of a list, a
 * trace that is being made.
 */
#ifndef TKX_CLIENT_REST_LOOP_H
#define TKX_CLIENT_REST_LOOP_H

#include "client/rest.h"

typedef struct tkx__rest_loop tkx__rest_loop;

typedef struct tkx__rest_loop_kind {
    const tkx__rest_route *route;   /* what is asked, and how an answer is read */
    const tkx__result_type *result; /* of the future */
    /* Write the next request; body is left alone for a GET. */
    tkx_status (*write)(tkx__rest_loop *loop, tkx__buf *path, tkx__buf *body,
                        tkx_error **err);
    /* Look at an answer.  It is freed afterwards unless *answer is moved to *result.
       Returns milliseconds until the next request; -1: that was all, or err. */
    int64_t (*look)(tkx__rest_loop *loop, void **answer, void **result, tkx_error **err);
    void (*clear)(tkx__rest_loop *loop); /* NULL: nothing of its own */
} tkx__rest_loop_kind;

/* Embedded first in the struct of each kind. */
struct tkx__rest_loop {
    tkx__task task;
    tkx__op op; /* while it only waits */
    tkx__task_kind task_kind;
    const tkx__rest_loop_kind *kind;
    tkx__timer *timer;
    tkx__buf path;
};

/* A zeroed loop of size bytes; launch or drop it.  kind is static. */
tkx_status tkx__rest_loop_new(tkx_rest *rest, const tkx__rest_loop_kind *kind,
                              size_t size, tkx__rest_loop **loop, tkx_future **out,
                              tkx_error **err);

#endif
