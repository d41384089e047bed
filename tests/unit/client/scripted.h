/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scripted.h - a service with its session, on the fake io, with a server that answers the
 * usual requests by itself and leaves to the test what it wants to see.
 */
#ifndef TESTS_UNIT_CLIENT_SCRIPTED_H
#define TESTS_UNIT_CLIENT_SCRIPTED_H

#include <tkx/sampling.h>
#include <tkx/training.h>

#include "support/fake_io.h"

typedef struct scripted {
    fake_io *io;
    tkx_context *context;
    tkx_service *service;
    const char *config; /* answer of client/config; NULL: {} */
    const char *dynamic;
    const char *held;    /* requests whose URL has this in it stay open; NULL: none */
    const char *refused; /* ... are answered 422 */
    const char *missing; /* ... are answered 404 */
    const char *busy;    /* ... are answered 503 */
    const char *garbled; /* ... are answered 200 with something that is no JSON */
    bool took[4096];     /* request i was given a promise */
    /* Before all else: true when it has dealt with request i.  NULL: none. */
    bool (*serve)(fake_io *io, size_t i, const char *route);
    void (*tune)(tkx_context_options *options); /* NULL: as they are */
    const tkx_service_options *options;         /* of the service; NULL: defaults */
    const char *queue; /* the first poll of each promise gets this; NULL: the result */
    int n_promises;
    int n_waited; /* promises that got it */
} scripted;

/* A prompt, and a datum of it, where any will do: three tokens. */
extern const tkx_chunk scripted_chunk;
extern const tkx_named_tensor scripted_inputs[2]; /* target_tokens, weights */
#define SCRIPTED_DATUM                                                                   \
    {                                                                                    \
        .model_input = {&scripted_chunk, 1}, .loss_fn_inputs = scripted_inputs,          \
        .n_loss_fn_inputs = 2                                                            \
    }
extern const tkx_datum scripted_datum;

/* Before: set config, dynamic and the like.  After: the service exists, unstarted. */
void scripted_begin(scripted *s);
/* False: context or service could not be made.  scripted_end() is due all the same. */
bool scripted_try_begin(scripted *s);
/* Frees the service, closes and frees the context, checks that nothing is left. */
void scripted_end(scripted *s);

/* Wait on the virtual clock; the future must have completed with that status. */
void scripted_expect(scripted *s, tkx_future *future, tkx_status status);

tkx_training *scripted_lora(scripted *s);
tkx_sampling *scripted_sampling(scripted *s);

/* Number of the last request that has the text in its URL; fails the test if none. */
size_t scripted_last(scripted *s, const char *url_part);
/* The k-th (from 0) such request. */
size_t scripted_nth(scripted *s, const char *url_part, size_t k);

#endif
