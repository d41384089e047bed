/* SPDX-License-Identifier: Apache-2.0 */
/* external_upload.c - the start and the end of an upload as tables. */
#include "types/external_upload.h"

#include "base/error.h"
#include "types/model.h"
#include "types/owned.h"
#include "types/schema.h"

static const tkx__field request_fields[] = {
    TKX__FIELD(tkx_external_upload_request, STRING, base_model, .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_external_upload_request, RECORD, lora_config,
               .sub = &tkx__lora_config_schema),
    TKX__FIELD(tkx_external_upload_request, STRING, destination_project_id,
               .flags = TKX__F_OMIT),
    TKX__EXTRA(tkx_external_upload_request),
};
static const tkx__schema upload_request = TKX__SCHEMA(
    "external_weights_upload_start request", tkx_external_upload_request, request_fields);

static const tkx__field upload_fields[] = {
    TKX__FIELD(tkx_external_upload, STRING, upload_id, .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_external_upload, PAIRS, urls, .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_external_upload, TIME, expires, .flags = TKX__F_REQUIRED),
};
static const tkx__schema upload = TKX__SCHEMA("external_weights_upload_start answer",
                                              tkx_external_upload, upload_fields);

static const tkx__field result_fields[] = {
    TKX__FIELD(tkx_external_upload_result, STRING, tinker_path, .flags = TKX__F_REQUIRED),
};
static const tkx__schema upload_result = TKX__SCHEMA(
    "external_weights_upload_finish answer", tkx_external_upload_result, result_fields);

tkx_status
tkx__external_upload_request_encode_json(const tkx_external_upload_request *request,
                                         tkx__buf *buf, tkx_error **err)
{
    return tkx__schema_encode(&upload_request, request, buf, err);
}

tkx_status tkx__external_upload_decode_json(const void *bytes, size_t size,
                                            tkx_external_upload **out, tkx_error **err)
{
    void *object;
    tkx_status st = tkx__schema_decode(&upload, bytes, size, &object, err);

    *out = object;
    return st;
}

void tkx_external_upload_free(tkx_external_upload *object)
{
    tkx__owned_free(object);
}

tkx_status tkx__external_upload_finish_encode_json(const char *upload_id, tkx__buf *buf,
                                                   tkx_error **err)
{
    tkx__json_writer w;

    if (!upload_id || !*upload_id)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "external_weights_upload_finish: no upload_id");
    tkx__json_writer_init(&w, buf, 0);
    tkx__json_begin_object(&w);
    tkx__json_member_string(&w, "upload_id", upload_id);
    tkx__json_end_object(&w);
    return tkx__json_written(&w, "external_weights_upload_finish request", err);
}

tkx_status tkx__external_upload_result_decode_json(const void *bytes, size_t size,
                                                   tkx_external_upload_result **out,
                                                   tkx_error **err)
{
    void *object;
    tkx_status st = tkx__schema_decode(&upload_result, bytes, size, &object, err);

    *out = object;
    return st;
}

void tkx_external_upload_result_free(tkx_external_upload_result *object)
{
    tkx__owned_free(object);
}
