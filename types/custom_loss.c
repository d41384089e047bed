/* SPDX-License-Identifier: Apache-2.0 */
/* custom_loss.c - create_custom_loss as tables. */
#include "types/custom_loss.h"

#include "types/owned.h"
#include "types/schema.h"

static const tkx__field input_fields[] = {
    TKX__FIELD(tkx_custom_loss_input, STRING, name, .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_custom_loss_input, I64, rank, .flags = 0),
};
static const tkx__schema input =
    TKX__SCHEMA("custom loss input", tkx_custom_loss_input, input_fields);

static const tkx__field create_fields[] = {
    TKX__FIELD(tkx_create_custom_loss_request, STRING, session_id,
               .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_create_custom_loss_request, I64, custom_loss_seq_id, .flags = 0),
    TKX__FIELD(tkx_create_custom_loss_request, STRING, name, .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_create_custom_loss_request, RECORDS, inputs, .sub = &input),
    TKX__NAMED(tkx_create_custom_loss_request, JSON, "graph", graph_json,
               .flags = TKX__F_REQUIRED),
    TKX__TYPE("create_custom_loss"),
    TKX__EXTRA(tkx_create_custom_loss_request),
};
static const tkx__schema create = TKX__SCHEMA(
    "create_custom_loss request", tkx_create_custom_loss_request, create_fields);

static const tkx__field result_fields[] = {
    TKX__FIELD(tkx_create_custom_loss_result, STRING, loss_id, .flags = TKX__F_REQUIRED),
};
static const tkx__schema result = TKX__SCHEMA(
    "create_custom_loss answer", tkx_create_custom_loss_result, result_fields);

tkx_status
tkx__create_custom_loss_request_encode_json(const tkx_create_custom_loss_request *request,
                                            tkx__buf *buf, tkx_error **err)
{
    return tkx__schema_encode(&create, request, buf, err);
}

tkx_status tkx__create_custom_loss_result_decode_json(const void *bytes, size_t size,
                                                      tkx_create_custom_loss_result **out,
                                                      tkx_error **err)
{
    void *object;
    tkx_status st = tkx__schema_decode(&result, bytes, size, &object, err);

    *out = object;
    return st;
}

void tkx_create_custom_loss_result_free(tkx_create_custom_loss_result *object)
{
    tkx__owned_free(object);
}
