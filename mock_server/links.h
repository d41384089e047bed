/* SPDX-License-Identifier: Apache-2.0 */
/* links.h - signed links: what, until when, and a MAC over both. */
#ifndef MOCK_LINKS_H
#define MOCK_LINKS_H

#include "mock_server/server.h"

enum { LINK_SIZE = 2048, LINK_LIFE_MS = 15 * 60 * 1000 };

/* An absolute link to a file of a checkpoint (or of a session, for its trace). */
void link_make(call *c, const char *subject, const char *file, int64_t expires_ms,
               char out[LINK_SIZE]);
/* The link of this call; false: 403 is filled in. */
bool link_check(call *c, const char **subject, const char **file);

#endif
