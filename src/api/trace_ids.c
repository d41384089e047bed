/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trace_ids.c - traceparent, version 00, as in the W3C recommendation "Trace Context".
 *
 * A later version may be longer; its first 55 characters mean the same.
 */
#include "api/trace_ids.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"

#define LENGTH 55

/* n lower-case hexadecimal digits, 16 at most. */
static bool read_hex(const char *text, size_t n, uint64_t *out)
{
    uint64_t value = 0;

    for (size_t i = 0; i < n; i++) {
        char c = text[i];

        if (c >= '0' && c <= '9')
            value = value << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            value = value << 4 | (uint64_t)(c - 'a' + 10);
        else
            return false;
    }
    *out = value;
    return true;
}

static bool parse_parent(const char *text, tkx__trace_ids *ids)
{
    size_t length = strlen(text);
    uint64_t version, flags;

    if (length < LENGTH || text[2] != '-' || text[35] != '-' || text[52] != '-' ||
        !read_hex(text, 2, &version) || version == 0xff ||
        (version == 0 ? length != LENGTH : length > LENGTH && text[LENGTH] != '-'))
        return false;
    if (!read_hex(text + 3, 16, &ids->trace_id[0]) ||
        !read_hex(text + 19, 16, &ids->trace_id[1]) ||
        !read_hex(text + 36, 16, &ids->parent_id) || !read_hex(text + 53, 2, &flags))
        return false;
    ids->flags = (uint8_t)flags;
    return (ids->trace_id[0] | ids->trace_id[1]) != 0 && ids->parent_id != 0;
}

tkx_status tkx__trace_ids_parse(const char *traceparent, const char *tracestate,
                                tkx__trace_ids *out, tkx_error **err)
{
    size_t n = tracestate ? strlen(tracestate) : 0;

    memset(out, 0, sizeof *out);
    if (!parse_parent(traceparent, out))
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "traceparent \"%.80s\" is not VERSION-TRACE_ID-PARENT_ID-FLAGS "
                         "in lower-case hexadecimal digits (2, 32, 16 and 2 of them)",
                         traceparent);
    if (n > TKX__TRACESTATE_MAX)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "tracestate has %zu characters; at most %d are passed on", n,
                         TKX__TRACESTATE_MAX);
    for (size_t i = 0; i < n; i++)
        if (tracestate[i] < ' ' || tracestate[i] > '~')
            return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                             "tracestate holds a character that no header may have, at "
                             "offset %zu",
                             i);
    if (n)
        memcpy(out->state, tracestate, n);
    return TKX_OK;
}

void tkx__traceparent_write(const uint64_t trace_id[2], uint64_t span_id, uint8_t flags,
                            char out[TKX__TRACEPARENT_SIZE])
{
    snprintf(out, TKX__TRACEPARENT_SIZE,
             "00-%016" PRIx64 "%016" PRIx64 "-%016" PRIx64 "-%02x", trace_id[0],
             trace_id[1], span_id, flags);
}
