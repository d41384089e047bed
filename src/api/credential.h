/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/credential.h - where a credential comes from: argument, environment, command, file.
 */
#ifndef TKX_API_CREDENTIAL_H
#define TKX_API_CREDENTIAL_H

#include "api/auth.h"

typedef struct tkx__credential {
    char *key;     /* NULL: the command makes one */
    char *command; /* shell command whose output is a credential; NULL: none */
    bool is_jwt;   /* key is itself a token */
} tkx__credential;

tkx_status tkx__credential_find(tkx__credential *out, const tkx__auth_options *options,
                                int64_t wall_ms, tkx_error **err);
void tkx__credential_clear(tkx__credential *credential); /* wipes */

/* Whether a text could be a key at all: not empty, no blanks or control characters. */
bool tkx__credential_is_key(const char *text);

/* Run the command, trim its output into *out (tkx__free after wiping).  Blocks. */
tkx_status tkx__credential_run(const char *command, int64_t wall_ms, char **out,
                               tkx_error **err);

/* The claims of a token, in ms; 0 where one is missing.  PARSE when it is no JWT. */
tkx_status tkx__jwt_times(const char *jwt, int64_t *iat_ms, int64_t *exp_ms,
                          tkx_error **err);
/* The payload of a token as JSON text (tkx__free), or NULL. */
char *tkx__jwt_payload(const char *jwt);

#endif
