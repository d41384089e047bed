/* SPDX-License-Identifier: Apache-2.0 */
/* reply.c - reading a reply's headers. */
#include <string.h>

#include "net/io.h"

const char *tkx__reply_header(const tkx__reply *reply, const char *name)
{
    for (size_t i = 0; i < reply->n_headers; i++)
        if (strcmp(reply->headers[i].name, name) == 0)
            return reply->headers[i].value;
    return NULL;
}
