/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net/redact.h - text without its secrets, for what is written to files.
 *
 * Replaced are: the secrets that are named, whatever looks like a key (tml-...) or a JWT,
 * bearer tokens, the values of JSON members with names like token, and in URLs the user
 * and the values of signature-like parameters.  The same input gives the same output, so
 * that redacted requests can be compared.
 */
#ifndef TKX_NET_REDACT_H
#define TKX_NET_REDACT_H

#include <stdbool.h>

#include "base/buf.h"

#define TKX__REDACTED "REDACTED"
#define TKX__REDACTED_JWT "REDACTED-JWT"

/* Texts that must not appear, each at least 4 bytes. */
#define TKX__MAX_SECRETS 16
typedef struct tkx__secrets {
    char *texts[TKX__MAX_SECRETS];
    size_t n;
} tkx__secrets;

/* Remember one more; short ones and known ones are left out. */
void tkx__secrets_add(tkx__secrets *secrets, const char *text);
void tkx__secrets_clear(tkx__secrets *secrets); /* wipes */

/* Does a header of that name carry a credential? */
bool tkx__is_secret_header(const char *name);

/* Append the text without its secrets. */
void tkx__redact_text(tkx__buf *out, const char *text, size_t size,
                      const tkx__secrets *secrets);
/* Bytes that are no text: only named secrets are overwritten, in place. */
void tkx__redact_bytes(char *bytes, size_t size, const tkx__secrets *secrets);

#endif
