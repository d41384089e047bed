/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/credential_file.h - the keys that a user has stored in the home directory.
 *
 * {"version": 1, "default": ID, "keys": {ID: {"type", "key", "name", "note", "details"}}}
 * in ~/.tinker/credentials.json, a file that only its owner may read: one that others
 * could read is refused.  It is replaced as a whole (written aside, renamed).  What
 * others wrote into it is kept.  No message quotes a key.
 */
#ifndef TKX_API_CREDENTIAL_FILE_H
#define TKX_API_CREDENTIAL_FILE_H

#include <stdbool.h>

#include <tkx/error.h>

#include "base/buf.h"

/* Texts may be NULL where nothing is known, key apart. */
typedef struct tkx__stored_key {
    const char *id;
    const char *key;
    const char *name;
    const char *note;
    const char *org_name;
    const char *user_email;
} tkx__stored_key;

/* ~/.tinker/credentials.json.  NOT_FOUND without HOME.  The caller clears out. */
tkx_status tkx__credential_file_path(tkx__buf *out, tkx_error **err);

/*
 * The default key with what is known about it; everything is in one block, *out,
 * tkx__credential_file_free().
 * Errors: NOT_FOUND when there is no file or no default key in it; AUTH when others may
 *         read it or own it; PARSE, IO, LIMIT.
 */
tkx_status tkx__credential_file_read(const char *path, tkx__stored_key **out,
                                     tkx_error **err);
void tkx__credential_file_free(tkx__stored_key *key); /* wipes; accepts NULL */

/* Add or replace a key and make it the default.  Errors as above; IO. */
tkx_status tkx__credential_file_put(const char *path, const tkx__stored_key *key,
                                    tkx_error **err);

/* Take the default key out; the file goes with the last one.  NOT_FOUND: nothing
   there. */
tkx_status tkx__credential_file_remove(const char *path, tkx_error **err);

#endif
