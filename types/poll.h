/* SPDX-License-Identifier: Apache-2.0 */
/* types/poll.h - retrieve_future and cancel_future. */
#ifndef TKX_TYPES_POLL_CODEC_H
#define TKX_TYPES_POLL_CODEC_H

#include <tkx/error.h>
#include <tkx/types/common.h>
#include <tkx/types/queue_state.h>

#include "base/buf.h"

tkx_status tkx__retrieve_future_encode_json(const char *request_id,
                                            bool allow_metadata_only, tkx__buf *buf,
                                            tkx_error **err);
/* {"request_id"} */
tkx_status tkx__cancel_future_encode_json(const char *request_id, tkx__buf *buf,
                                          tkx_error **err);

typedef enum tkx__poll_kind {
    TKX__POLL_RESULT = 0, /* decode the same bytes as the expected result */
    TKX__POLL_TRY_AGAIN,
    TKX__POLL_METADATA, /* ready, and large */
    TKX__POLL_FAILED
} tkx__poll_kind;

typedef struct tkx__poll_answer {
    tkx__poll_kind kind;
    bool has_queue_state; /* a state or a reason was present */
    tkx_queue_state queue_state;
    const char *queue_state_reason; /* or NULL */
    int64_t retry_after_ms;         /* -1: not said */
    int64_t response_payload_size;  /* metadata; 0: not said */
    const char *error;              /* failed */
    tkx_error_category category;    /* failed */
} tkx__poll_answer;

/* A JSON answer of any kind, also the body of a 408 (then only the queue state counts).
 */
tkx_status tkx__poll_answer_decode_json(const void *bytes, size_t size,
                                        tkx__poll_answer **out, tkx_error **err);
void tkx__poll_answer_free(tkx__poll_answer *answer);

#endif
