/* SPDX-License-Identifier: Apache-2.0 */
/* strict.h - which members a request may have, for servers that refuse others. */
#ifndef MOCK_STRICT_H
#define MOCK_STRICT_H

#include <stdbool.h>

#include "mock_server/jv.h"

/* The first member of body that a route's request does not have; NULL when all fit. */
const char *strict_unknown(const char *pattern, bool is_old, const jv *body);

#endif
