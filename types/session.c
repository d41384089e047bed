/* SPDX-License-Identifier: Apache-2.0 */
/* session.c - sampling sessions, samplers, lists of sessions, traces as tables. */
#include "types/session.h"

#include "types/owned.h"
#include "types/schema.h"

static const tkx__field create_sampling_fields[] = {
    TKX__FIELD(tkx_create_sampling_session_request, STRING, session_id,
               .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_create_sampling_session_request, I64, sampling_session_seq_id,
               .flags = 0),
    TKX__FIELD(tkx_create_sampling_session_request, STRING, base_model,
               .flags = TKX__F_OMIT),
    TKX__FIELD(tkx_create_sampling_session_request, STRING, model_path,
               .flags = TKX__F_OMIT),
    TKX__TYPE("create_sampling_session"),
    TKX__EXTRA(tkx_create_sampling_session_request),
};
static const tkx__schema create_sampling =
    TKX__SCHEMA("create_sampling_session request", tkx_create_sampling_session_request,
                create_sampling_fields);

static const tkx__field create_sampling_result_fields[] = {
    TKX__FIELD(tkx_create_sampling_session_result, STRING, sampling_session_id,
               .flags = TKX__F_REQUIRED),
};
static const tkx__schema create_sampling_result =
    TKX__SCHEMA("create_sampling_session answer", tkx_create_sampling_session_result,
                create_sampling_result_fields);

static const tkx__field join_result_fields[] = {
    TKX__FIELD(tkx_join_sampling_session_result, I64, client_counter,
               .flags = TKX__F_REQUIRED),
};
static const tkx__schema join_result = TKX__SCHEMA(
    "join_sampling_session answer", tkx_join_sampling_session_result, join_result_fields);

static const tkx__field session_list_fields[] = {
    TKX__FIELD(tkx_session_list, STRINGS, sessions, .flags = TKX__F_REQUIRED),
};
static const tkx__schema session_list =
    TKX__SCHEMA("list of sessions", tkx_session_list, session_list_fields);

static const tkx__field session_info_fields[] = {
    TKX__FIELD(tkx_session_info, STRINGS, training_run_ids, .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_session_info, STRINGS, sampler_ids, .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_session_info, PAIRS, user_metadata, .flags = 0),
    TKX__FIELD(tkx_session_info, STRING, display_name, .flags = 0),
};
static const tkx__schema session_info =
    TKX__SCHEMA("session", tkx_session_info, session_info_fields);

static const tkx__field sampler_info_fields[] = {
    TKX__FIELD(tkx_sampler_info, STRING, sampler_id, .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_sampler_info, STRING, base_model, .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_sampler_info, STRING, model_path, .flags = 0),
};
static const tkx__schema sampler_info =
    TKX__SCHEMA("sampler", tkx_sampler_info, sampler_info_fields);

static const tkx__field trace_export_fields[] = {
    TKX__FIELD(tkx_trace_export, STRING, status, .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_trace_export, STRING, url, .flags = 0),
    TKX__FIELD(tkx_trace_export, STRING, error, .flags = 0),
};
static const tkx__schema trace_export =
    TKX__SCHEMA("trace_export answer", tkx_trace_export, trace_export_fields);

tkx_status tkx__create_sampling_session_request_encode_json(
    const tkx_create_sampling_session_request *request, tkx__buf *buf, tkx_error **err)
{
    return tkx__schema_encode(&create_sampling, request, buf, err);
}

tkx_status
tkx__create_sampling_session_result_decode_json(const void *bytes, size_t size,
                                                tkx_create_sampling_session_result **out,
                                                tkx_error **err)
{
    void *object;
    tkx_status st =
        tkx__schema_decode(&create_sampling_result, bytes, size, &object, err);

    *out = object;
    return st;
}

void tkx_create_sampling_session_result_free(tkx_create_sampling_session_result *object)
{
    tkx__owned_free(object);
}

tkx_status
tkx__join_sampling_session_result_decode_json(const void *bytes, size_t size,
                                              tkx_join_sampling_session_result **out,
                                              tkx_error **err)
{
    void *object;
    tkx_status st = tkx__schema_decode(&join_result, bytes, size, &object, err);

    *out = object;
    return st;
}

void tkx_join_sampling_session_result_free(tkx_join_sampling_session_result *object)
{
    tkx__owned_free(object);
}

tkx_status tkx__session_list_decode_json(const void *bytes, size_t size,
                                         tkx_session_list **out, tkx_error **err)
{
    void *object;
    tkx_status st = tkx__schema_decode(&session_list, bytes, size, &object, err);

    *out = object;
    return st;
}

void tkx_session_list_free(tkx_session_list *object)
{
    tkx__owned_free(object);
}

tkx_status tkx__session_info_decode_json(const void *bytes, size_t size,
                                         tkx_session_info **out, tkx_error **err)
{
    void *object;
    tkx_status st = tkx__schema_decode(&session_info, bytes, size, &object, err);

    *out = object;
    return st;
}

void tkx_session_info_free(tkx_session_info *object)
{
    tkx__owned_free(object);
}

tkx_status tkx__sampler_info_decode_json(const void *bytes, size_t size,
                                         tkx_sampler_info **out, tkx_error **err)
{
    void *object;
    tkx_status st = tkx__schema_decode(&sampler_info, bytes, size, &object, err);

    *out = object;
    return st;
}

void tkx_sampler_info_free(tkx_sampler_info *object)
{
    tkx__owned_free(object);
}

tkx_status tkx__trace_export_decode_json(const void *bytes, size_t size,
                                         tkx_trace_export **out, tkx_error **err)
{
    void *object;
    tkx_status st = tkx__schema_decode(&trace_export, bytes, size, &object, err);

    *out = object;
    return st;
}

void tkx_trace_export_free(tkx_trace_export *object)
{
    tkx__owned_free(object);
}

tkx_status tkx__join_sampling_session_encode_json(const char *sampling_session_id,
                                                  tkx__buf *buf, tkx_error **err)
{
    tkx__json_writer w;

    tkx__json_writer_init(&w, buf, 0);
    tkx__json_begin_object(&w);
    tkx__json_member_string(&w, "sampling_session_id", sampling_session_id);
    tkx__json_member_string(&w, "type", "join_sampling_session");
    tkx__json_end_object(&w);
    return tkx__json_written(&w, "join_sampling_session request", err);
}

tkx_status tkx__session_project_encode_json(const char *project_id, tkx__buf *buf,
                                            tkx_error **err)
{
    tkx__json_writer w;

    tkx__json_writer_init(&w, buf, 0);
    tkx__json_begin_object(&w);
    tkx__json_member_string(&w, "project_id", project_id);
    tkx__json_end_object(&w);
    return tkx__json_written(&w, "session project request", err);
}
