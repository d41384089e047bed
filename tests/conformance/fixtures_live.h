/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fixtures_live.h - the real client against the answers of one case, on a virtual clock.
 *
 * Requests to the case's route get its replies in order, then its good answer; all others
 * get plain good answers.
 */
#ifndef TESTS_CONFORMANCE_FIXTURES_LIVE_H
#define TESTS_CONFORMANCE_FIXTURES_LIVE_H

#include <tkx/rest.h>
#include <tkx/sampling.h>
#include <tkx/training.h>

#include "fixtures.h"
#include "support/fake_io.h"

#define LIVE_HOST "http://x"

typedef struct live {
    fixture *f;
    fake_io *io;
    tkx_context *context;
    tkx_service *service;
    tkx_training *training; /* made on demand */
    tkx_sampling *sampling;
    tkx_rest *rest;
    bool is_scripted; /* the case's own answers are given from now on */
    size_t first;     /* requests before this number came before that */
    int64_t n_promises;
    int64_t n_polls; /* of the recorded route, before the wanted one */
    size_t n_seen;   /* requests of the route */
    size_t wanted;   /* the request a request case is about; FAKE_NONE: not seen */
    size_t n_unknown;
} live;

/* An operation of the real client. */
typedef struct live_op {
    const char *op;
    bool (*make)(live *l); /* the handle it needs */
    tkx_status (*call)(live *l, tkx_future **out, tkx_error **err);
    /* Takes the result and writes it; NULL: results of this kind are not understood. */
    tkx_status (*take)(live *l, tkx_future *future, tkx__json_writer *w, tkx_error **err);
} live_op;

extern const live_op live_rest_ops[];
extern const live_op live_start_ops[];
const live_op *live_find_op(const char *op); /* NULL: none */

/* False (and why): the client cannot be made. */
bool live_begin(live *l, fixture *f);
void live_end(live *l);
bool live_training(live *l);
bool live_sampling(live *l);
/* From now on the case's answers are given. */
void live_script(live *l);
/* Move the clock until the future is done; false (and why) when a virtual day is over. */
bool live_wait(live *l, tkx_future *future);

/* Run fn where the assertions of the fake io have a meaning: one that fails, fails the
   case. */
fixture_verdict live_guard(fixture *f, fixture_verdict (*fn)(fixture *f));

#endif
