/* SPDX-License-Identifier: Apache-2.0 */
/* types/jwt.h - credentials that are JSON web tokens: claims only, never verified. */
#ifndef TKX_TYPES_JWT_CODEC_H
#define TKX_TYPES_JWT_CODEC_H

#include <tkx/error.h>
#include <tkx/types/service.h>

typedef struct tkx__jwt_claims {
    int64_t exp; /* unix seconds; -1: not said */
    int64_t iat; /* unix seconds; -1: not said */
    const char *sub;
    const char *email;
    const char *iss;
    const char *org_id;
} tkx__jwt_claims;

/* The message of a failure never quotes the token. */
tkx_status tkx__jwt_claims_decode(const char *token, tkx__jwt_claims **out,
                                  tkx_error **err);
void tkx__jwt_claims_free(tkx__jwt_claims *claims); /* wipes */

/* The answer of auth/token; *jwt is a heap text to be wiped and freed by the caller. */
tkx_status tkx__auth_token_decode_json(const void *bytes, size_t size, char **jwt,
                                       tkx_error **err);

tkx_status tkx__identity_from_claims(const tkx__jwt_claims *claims, tkx_identity **out,
                                     tkx_error **err);

#endif
