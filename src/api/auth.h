/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/auth.h - the credential of a site, and the short-lived token it is exchanged for.
 *
 * Loop thread only, except tkx__auth_new.  Nothing here ever logs a key; texts are wiped.
 */
#ifndef TKX_API_AUTH_H
#define TKX_API_AUTH_H

#include <stdbool.h>

#include "api/site.h"

/* A counted, wiped text: requests in flight keep the key that they were sent with. */
typedef struct tkx__secret {
    size_t n_refs;
    size_t size;
    char text[];
} tkx__secret;

tkx__secret *tkx__secret_new(const char *text); /* NULL: out of memory */
tkx__secret *tkx__secret_ref(tkx__secret *secret);
void tkx__secret_unref(tkx__secret *secret);

typedef struct tkx__auth tkx__auth;

typedef struct tkx__auth_options {
    const char *api_key;          /* NULL: environment, then command, then file */
    bool ignore_environment;      /* tests */
    const char *credentials_file; /* NULL: ~/.tinker/credentials.json */
    bool accept_any_key;          /* self-hosted servers with keys of their own */
} tkx__auth_options;

/* Finds the credential and attaches itself to the site.
   Errors: AUTH when there is none, or it has an unknown prefix, or has expired. */
tkx_status tkx__auth_new(tkx__site *site, const tkx__auth_options *options,
                         tkx__auth **out, tkx_error **err);
void tkx__auth_free(tkx__auth *auth);

/* After client/config: exchange for a token from now on, or insist on the command. */
void tkx__auth_configure(tkx__auth *auth, bool use_jwt, bool needs_command);

/* Somebody who waits for a usable token; embedded in the waiter. */
typedef struct tkx__auth_wait {
    struct tkx__auth_wait *next;
    void (*fn)(void *arg, const tkx_error *error); /* NULL: ask tkx__auth_get again */
    void *arg;
    bool is_waiting;
} tkx__auth_wait;

/* The text to send now, counted for the caller; NULL: wait. */
tkx__secret *tkx__auth_get(tkx__auth *auth);
/* The credential itself (for client/config and auth/token); NULL: wait. */
tkx__secret *tkx__auth_get_raw(tkx__auth *auth);
void tkx__auth_wait_for(tkx__auth *auth, tkx__auth_wait *wait);
void tkx__auth_unwait(tkx__auth *auth, tkx__auth_wait *wait);

/* The server refused this text with invalid_token.  True: an exchange makes sense;
   wait. */
bool tkx__auth_refused(tkx__auth *auth, const tkx__secret *refused);

/* The current token's text for reading claims; NULL when requests carry a plain key. */
tkx__secret *tkx__auth_token(tkx__auth *auth);

/* The credential and the token made from it, or NULL; borrowed until the loop turns.  For
   taking them out of texts that the server made. */
const char *tkx__auth_key_text(const tkx__auth *auth); /* accepts NULL */
const char *tkx__auth_token_text(const tkx__auth *auth);

/* Stop the background refresh; waiters get CLOSED. */
void tkx__auth_stop(tkx__auth *auth);

#endif
