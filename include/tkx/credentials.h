/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tkx/credentials.h - API keys stored for later: who we are when no key is given.
 *
 * A client looks for a key in its options, in TINKER_API_KEY, from the command in
 * TINKER_CREDENTIAL_CMD, and last in ~/.tinker/credentials.json, which these functions
 * write.  That file is only its owner's to read (mode 0600); one that others can read is
 * refused.  It is replaced as a whole, so it is never seen half written, and other
 * programs' keys in it are kept.
 *
 * Thread: any, but one at a time for those that write.  They block on the file only.
 */
#ifndef TKX_CREDENTIALS_H
#define TKX_CREDENTIALS_H

#include <tkx/rest.h>
#include <tkx/types/service.h>

TKX_BEGIN_DECLS

typedef enum tkx_credential_source {
    TKX_CREDENTIAL_NONE = 0, /* nothing is found */
    TKX_CREDENTIAL_ENVIRONMENT,
    TKX_CREDENTIAL_COMMAND,
    TKX_CREDENTIAL_FILE
} tkx_credential_source;

/* Where a key would come from, never the key.  Texts are NULL where nothing is known. */
typedef struct tkx_credential_info {
    tkx_credential_source source;
    const char *path;   /* of the file of stored keys; NULL without HOME */
    const char *key_id; /* FILE: of the default key, and what is kept with it */
    const char *name;
    const char *note;
    const char *org_name;
    const char *user_email;
} tkx_credential_info;

/**
 * What a client without a key of its own would use now.
 *
 * Ownership: @p out is the caller's; tkx_credential_info_free().
 * Errors:    AUTH for a file that others can read; PARSE, IO, NO_MEMORY.
 */
TKX_API tkx_status tkx_credentials_find(tkx_credential_info **out, tkx_error **err);
/** Thread: any.  Accepts NULL. */
TKX_API void tkx_credential_info_free(tkx_credential_info *info);

/**
 * Store a key and make it the default.  @p info is what the service says about it
 * (tkx_rest_get_api_key()), or NULL; a key of the same id is replaced.
 *
 * Ownership: both are borrowed; what was copied of the key is wiped.
 * Errors:    INVALID_ARGUMENT for a text that is no key; NOT_FOUND without HOME; AUTH,
 *            PARSE, IO for a file that cannot be used; NO_MEMORY.
 */
TKX_API tkx_status tkx_credentials_store(const char *api_key,
                                         const tkx_api_key_info *info, tkx_error **err);

/**
 * Take the default key out of the file, and the file away when it was the last one.
 *
 * Errors:    NOT_FOUND when no key is stored; else as tkx_credentials_store().
 */
TKX_API tkx_status tkx_credentials_forget(tkx_error **err);

/**
 * What the service knows about @p api_key: name, note, organization, e-mail address.
 * Sent with that very key, not with a token made from it.
 * tkx_future_take_api_key_info().  404 of a service that has no such route.
 *
 * Thread:    any.
 * Ownership: @p api_key is copied and wiped after use; @p out is the caller's,
 *            tkx_future_unref().
 */
TKX_API tkx_status tkx_rest_get_api_key(tkx_rest *rest, const char *api_key,
                                        tkx_future **out, tkx_error **err);
/** Ownership: @p out is the caller's, tkx_api_key_info_free().  Works once.
    Thread: any. */
TKX_API tkx_status tkx_future_take_api_key_info(tkx_future *future,
                                                tkx_api_key_info **out, tkx_error **err);

/**
 * Let the service delete @p api_key itself, for good; no key is forgotten here.  Sent
 * with that very key.  No result.  As tkx_rest_get_api_key() otherwise.
 */
TKX_API tkx_status tkx_rest_delete_api_key(tkx_rest *rest, const char *api_key,
                                           tkx_future **out, tkx_error **err);

TKX_END_DECLS
#endif
