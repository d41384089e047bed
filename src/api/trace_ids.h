/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/trace_ids.h - W3C trace context: reading and writing traceparent.
 */
#ifndef TKX_API_TRACE_IDS_H
#define TKX_API_TRACE_IDS_H

#include <stddef.h>
#include <stdint.h>

#include <tkx/error.h>

#define TKX__TRACEPARENT_SIZE 56 /* with the NUL */
#define TKX__TRACESTATE_MAX 512

typedef struct tkx__trace_ids {
    uint64_t trace_id[2]; /* not both 0 */
    uint64_t parent_id;   /* not 0, but for ids that we made */
    uint8_t flags;
    char state[TKX__TRACESTATE_MAX + 1]; /* tracestate, passed on as it came; "": none */
} tkx__trace_ids;

/*
 * Errors: INVALID_ARGUMENT for what the recommendation calls invalid (length, upper case,
 * zero ids, version ff), for a state that is too long or no header value.
 */
tkx_status tkx__trace_ids_parse(const char *traceparent, const char *tracestate,
                                tkx__trace_ids *out, tkx_error **err);

/* "00-<trace_id>-<span_id>-<flags>" */
void tkx__traceparent_write(const uint64_t trace_id[2], uint64_t span_id, uint8_t flags,
                            char out[TKX__TRACEPARENT_SIZE]);

#endif
