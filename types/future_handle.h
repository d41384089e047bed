/* SPDX-License-Identifier: Apache-2.0 */
/* types/future_handle.h - the answer to a submit. */
#ifndef TKX_TYPES_FUTURE_HANDLE_H
#define TKX_TYPES_FUTURE_HANDLE_H

#include <tkx/error.h>
#include <tkx/types/common.h>

typedef struct tkx__future_handle {
    const char *request_id;
    const char *model_id;                /* NULL: not said */
    tkx_string_list sample_sequence_ids; /* asample; empty when not said */
} tkx__future_handle;

tkx_status tkx__future_handle_decode_json(const void *bytes, size_t size,
                                          tkx__future_handle **out, tkx_error **err);
void tkx__future_handle_free(tkx__future_handle *handle);

#endif
