/* SPDX-License-Identifier: Apache-2.0 */
/* rest_rig.h - a REST client on the fake io, and the call that is being looked at. */
#ifndef TESTS_UNIT_CLIENT_REST_RIG_H
#define TESTS_UNIT_CLIENT_REST_RIG_H

#include <tkx/rest.h>

#include "support/fake_io.h"

extern fake_io *io;
extern tkx_context *context;
extern tkx_rest *rest;
extern tkx_future *future;
extern size_t last; /* the request that is being looked at */

void rest_set_up(void);
void rest_tear_down(void);

/* The call was accepted: the request that it made; then, compared. */
const fake_request *sent(tkx_status st);
void expect(tkx_status st, const char *method, const char *url, const char *body);
/* Answer the open request; the future's status must be that one. */
void answer(int http, const char *headers, const char *body, tkx_status expected);
/* Done with the future. */
void drop(void);

#endif
