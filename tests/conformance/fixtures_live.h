/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fixtures_live.h - the real client against the answers of one case, on a virtual clock.
 *
 * Requests to a response case's route get its replies in order, then its good answer; all
 * others get plain good answers, so that a conversation goes on until the recorded
 * request of a request case has been seen in it.
 */
#ifndef TESTS_CONFORMANCE_FIXTURES_LIVE_H
#define TESTS_CONFORMANCE_FIXTURES_LIVE_H

#include <tkx/rest.h>
#include <tkx/sampling.h>
#include <tkx/training.h>

#include "fixtures.h"
#include "support/fake_io.h"

#define LIVE_HOST "http://x"
#define LIVE_MAX_EVENTS 256

typedef struct live {
    fixture *f;
    fake_io *io;
    tkx_context *context;
    tkx_service *service;
    tkx_training *training; /* made on demand */
    tkx_sampling *sampling;
    tkx_rest *rest;
    tkx_sample_request sample; /* of the call; what it points to is in the arena */
    bool is_scripted;          /* the case's own answers are given from now on */
    size_t first;              /* requests before this number came before that */
    int64_t n_promises;
    int64_t n_polls;
    size_t n_seen;     /* requests of the route */
    size_t n_followed; /* of these, up to the last one that a redirect led to */
    size_t n_unknown;
    struct {
        tkx_queue_state state;
        const char *reason;
    } queue[LIVE_MAX_EVENTS]; /* what the queue's watcher was told */
    size_t n_queue;
} live;

/* An operation of the real client. */
typedef struct live_op {
    const char *op;
    bool (*make)(live *l); /* the handle it needs */
    /* May leave *out NULL: nothing to wait for. */
    tkx_status (*call)(live *l, tkx_future **out, tkx_error **err);
    /* Takes the result and writes it; NULL: a request of the background, whose answer
       nobody gets to see. */
    tkx_status (*take)(live *l, tkx_future *future, tkx__json_writer *w, tkx_error **err);
} live_op;

extern const live_op live_rest_ops[];
extern const live_op live_start_ops[];
extern const live_op live_training_ops[];
extern const live_op live_sampling_ops[];
const live_op *live_find_op(const char *op); /* NULL: none */

/* False (and why): the client cannot be made. */
bool live_begin(live *l, fixture *f);
void live_end(live *l);
/* Handles, with the numbers of the context. */
bool live_started(live *l);
bool live_training(live *l);
bool live_sampling(live *l);
bool live_rest(live *l);
bool live_nothing(live *l);
/* From now on the case's answers are given. */
void live_script(live *l);
/* Is the case about the start of a client?  Then there is nothing before the script. */
bool live_is_about_start(const fixture *f);
/* Move the clock until the future is done; false (and why) when a virtual day is over. */
bool live_wait(live *l, tkx_future *future);
/* To the next timer; false when there is none, or it is too late. */
bool live_step(live *l);

/* fixtures_serve.c: answers request i. */
void live_serve(fake_io *io, size_t i, void *arg);
/* Does the request go there?  Up to a query. */
bool live_is_path(const char *url, const char *path);
const char *live_id(const fixture *f, const char *key); /* of the context, or "ID" */

tkx_status live_take_nothing(live *l, tkx_future *future, tkx__json_writer *w,
                             tkx_error **err);

/* Run fn where the assertions of the fake io have a meaning: one that fails, fails the
   case. */
fixture_verdict live_guard(fixture *f, fixture_verdict (*fn)(fixture *f));

/* fixtures_judge.c: the end of the call beside expect; an error beside the wanted one. */
fixture_verdict live_judge_error(fixture *f, const jdom *wanted, const tkx_error *error);

#endif
