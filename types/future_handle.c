/* SPDX-License-Identifier: Apache-2.0 */
/* future_handle.c - the answer to a submit as a table. */
#include "types/future_handle.h"

#include "types/owned.h"
#include "types/schema.h"

static const tkx__field handle_fields[] = {
    TKX__FIELD(tkx__future_handle, STRING, request_id, .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx__future_handle, STRING, model_id, .flags = 0),
    TKX__FIELD(tkx__future_handle, STRINGS, sample_sequence_ids, .flags = 0),
};
static const tkx__schema handle_schema =
    TKX__SCHEMA("answer to a submit", tkx__future_handle, handle_fields);

tkx_status tkx__future_handle_decode_json(const void *bytes, size_t size,
                                          tkx__future_handle **out, tkx_error **err)
{
    void *object;
    tkx_status st = tkx__schema_decode(&handle_schema, bytes, size, &object, err);

    *out = object;
    return st;
}

void tkx__future_handle_free(tkx__future_handle *handle)
{
    tkx__owned_free(handle);
}
