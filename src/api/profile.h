/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/profile.h - the headers that requests of one kind have in common, joined once.
 *
 * A sample costs two requests of a dozen headers each; building those lines anew was a
 * tenth of its CPU.  Loop thread only.
 */
#ifndef TKX_API_PROFILE_H
#define TKX_API_PROFILE_H

#include "api/auth.h"
#include "api/site.h"

/* Texts are compared by address, so they must be static. */
typedef struct tkx__profile_key {
    const char *accept;
    const char *content_type;
    const char *content_encoding;
    const char *sdk_method;
    const char *request_type;
    tkx__secret *secret;
    int64_t timeout_ms;
    bool is_get;
    bool wants_pushback;
    bool is_brief; /* without the platform, which the session's start has told */
} tkx__profile_key;

/* Counted for the caller; NULL: out of memory. */
tkx__header_set *tkx__profile_get(tkx__site *site, const tkx__profile_key *key);
/* Forget all, for instance because a credential is going away. */
void tkx__profiles_free(tkx__site *site);

#endif
