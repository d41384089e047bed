/* SPDX-License-Identifier: Apache-2.0 */
/* weights.c - saving, loading and copying as tables. */
#include "types/weights.h"

#include "types/owned.h"
#include "types/schema.h"

static const tkx__field save_fields[] = {
    TKX__FIELD(tkx_save_weights_request, STRING, model_id, .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_save_weights_request, STRING, path, .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_save_weights_request, I64, seq_id, .flags = TKX__F_OMIT,
               .missing = -1),
    TKX__FIELD(tkx_save_weights_request, I64, ttl_seconds, .flags = TKX__F_OMIT,
               .missing = -1),
    TKX__FIELD(tkx_save_weights_request, BOOL, overwrite, .flags = TKX__F_OMIT),
    TKX__FIELD(tkx_save_weights_request, PAIRS, user_metadata, .flags = TKX__F_OMIT),
    TKX__TYPE("save_weights"),
    TKX__EXTRA(tkx_save_weights_request),
};
static const tkx__schema save =
    TKX__SCHEMA("save_weights request", tkx_save_weights_request, save_fields);

static const tkx__field save_sampler_fields[] = {
    TKX__FIELD(tkx_save_weights_for_sampler_request, STRING, model_id,
               .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_save_weights_for_sampler_request, STRING, path, .flags = TKX__F_OMIT),
    TKX__FIELD(tkx_save_weights_for_sampler_request, I64, sampling_session_seq_id,
               .flags = TKX__F_OMIT, .missing = -1),
    TKX__NAMED(tkx_save_weights_for_sampler_request, CONST, "kind", is_inflight,
               .flags = TKX__F_OMIT, .text = "inflight"),
    TKX__FIELD(tkx_save_weights_for_sampler_request, I64, seq_id, .flags = TKX__F_OMIT,
               .missing = -1),
    TKX__FIELD(tkx_save_weights_for_sampler_request, I64, ttl_seconds,
               .flags = TKX__F_OMIT, .missing = -1),
    TKX__FIELD(tkx_save_weights_for_sampler_request, PAIRS, user_metadata,
               .flags = TKX__F_OMIT),
    TKX__TYPE("save_weights_for_sampler"),
    TKX__EXTRA(tkx_save_weights_for_sampler_request),
};
static const tkx__schema save_sampler =
    TKX__SCHEMA("save_weights_for_sampler request", tkx_save_weights_for_sampler_request,
                save_sampler_fields);

static const tkx__field save_external_fields[] = {
    TKX__FIELD(tkx_save_weights_external_request, STRING, model_id,
               .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_save_weights_external_request, STRING, path, .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_save_weights_external_request, I64, seq_id, .flags = TKX__F_OMIT,
               .missing = -1),
    TKX__FIELD(tkx_save_weights_external_request, I64, ttl_seconds, .flags = TKX__F_OMIT,
               .missing = -1),
    TKX__FIELD(tkx_save_weights_external_request, STRINGS, age_encryption_recipients,
               .flags = TKX__F_OMIT),
    TKX__TYPE("save_weights_external"),
    TKX__EXTRA(tkx_save_weights_external_request),
};
static const tkx__schema save_external =
    TKX__SCHEMA("save_weights_external request", tkx_save_weights_external_request,
                save_external_fields);

static const tkx__field load_fields[] = {
    TKX__FIELD(tkx_load_weights_request, STRING, model_id, .flags = TKX__F_OMIT),
    TKX__FIELD(tkx_load_weights_request, I64, seq_id, .flags = TKX__F_OMIT,
               .missing = -1),
    TKX__FIELD(tkx_load_weights_request, STRING, session_id, .flags = TKX__F_OMIT),
    TKX__FIELD(tkx_load_weights_request, I64, model_seq_id, .flags = TKX__F_OMIT,
               .missing = -1),
    TKX__FIELD(tkx_load_weights_request, STRING, base_model, .flags = TKX__F_OMIT),
    TKX__FIELD(tkx_load_weights_request, PAIRS, user_metadata, .flags = TKX__F_OMIT),
    TKX__FIELD(tkx_load_weights_request, STRING, path, .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_load_weights_request, BOOL, optimizer, .flags = 0),
    TKX__FIELD(tkx_load_weights_request, OPTIMIZER, optimizer_config,
               .flags = TKX__F_OMIT),
    TKX__FIELD(tkx_load_weights_request, STRING, weights_access_token,
               .flags = TKX__F_OMIT),
    TKX__TYPE("load_weights"),
    TKX__EXTRA(tkx_load_weights_request),
};
static const tkx__schema load =
    TKX__SCHEMA("load_weights request", tkx_load_weights_request, load_fields);

static const tkx__field copy_fields[] = {
    TKX__FIELD(tkx_copy_weights_request, STRING, source_path, .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_copy_weights_request, I64, ttl_seconds, .flags = TKX__F_OMIT,
               .missing = -1),
    TKX__FIELD(tkx_copy_weights_request, STRING, destination_project_id,
               .flags = TKX__F_OMIT),
    TKX__EXTRA(tkx_copy_weights_request),
};
static const tkx__schema copy =
    TKX__SCHEMA("copy_weights request", tkx_copy_weights_request, copy_fields);

static const tkx__field save_result_fields[] = {
    TKX__FIELD(tkx_save_weights_result, STRING, path, .flags = 0),
    TKX__FIELD(tkx_save_weights_result, STRING, sampling_session_id, .flags = 0),
    TKX__FIELD(tkx_save_weights_result, I64, size_bytes, .flags = TKX__F_SOFT,
               .missing = -1),
};
static const tkx__schema save_result =
    TKX__SCHEMA("answer of a save", tkx_save_weights_result, save_result_fields);

static const tkx__field load_result_fields[] = {
    TKX__FIELD(tkx_load_weights_result, STRING, path, .flags = 0),
    TKX__FIELD(tkx_load_weights_result, STRING, model_id, .flags = 0),
};
static const tkx__schema load_result =
    TKX__SCHEMA("load_weights answer", tkx_load_weights_result, load_result_fields);

static const tkx__field copy_result_fields[] = {
    TKX__FIELD(tkx_copy_weights_result, STRING, tinker_path, .flags = TKX__F_REQUIRED),
};
static const tkx__schema copy_result =
    TKX__SCHEMA("copy_weights answer", tkx_copy_weights_result, copy_result_fields);

static const tkx__field info_fields[] = {
    TKX__FIELD(tkx_weights_info, STRING, base_model, .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_weights_info, BOOL, is_lora, .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_weights_info, I64, lora_rank, .missing = -1),
    TKX__FIELD(tkx_weights_info, FLAG, train_unembed, .flags = 0),
    TKX__FIELD(tkx_weights_info, FLAG, train_mlp, .flags = 0),
    TKX__FIELD(tkx_weights_info, FLAG, train_attn, .flags = 0),
    TKX__FIELD(tkx_weights_info, OPTIMIZER, optimizer_config, .flags = 0),
};
static const tkx__schema info =
    TKX__SCHEMA("weights_info answer", tkx_weights_info, info_fields);

tkx_status tkx__save_weights_request_encode_json(const tkx_save_weights_request *request,
                                                 tkx__buf *buf, tkx_error **err)
{
    return tkx__schema_encode(&save, request, buf, err);
}

tkx_status tkx__save_weights_for_sampler_request_encode_json(
    const tkx_save_weights_for_sampler_request *request, tkx__buf *buf, tkx_error **err)
{
    return tkx__schema_encode(&save_sampler, request, buf, err);
}

tkx_status tkx__save_weights_external_request_encode_json(
    const tkx_save_weights_external_request *request, tkx__buf *buf, tkx_error **err)
{
    return tkx__schema_encode(&save_external, request, buf, err);
}

tkx_status tkx__load_weights_request_encode_json(const tkx_load_weights_request *request,
                                                 tkx__buf *buf, tkx_error **err)
{
    return tkx__schema_encode(&load, request, buf, err);
}

tkx_status tkx__copy_weights_request_encode_json(const tkx_copy_weights_request *request,
                                                 tkx__buf *buf, tkx_error **err)
{
    return tkx__schema_encode(&copy, request, buf, err);
}

tkx_status tkx__save_weights_result_decode_json(const void *bytes, size_t size,
                                                tkx_save_weights_result **out,
                                                tkx_error **err)
{
    void *object;
    tkx_status st = tkx__schema_decode(&save_result, bytes, size, &object, err);

    *out = object;
    return st;
}

void tkx_save_weights_result_free(tkx_save_weights_result *object)
{
    tkx__owned_free(object);
}

tkx_status tkx__load_weights_result_decode_json(const void *bytes, size_t size,
                                                tkx_load_weights_result **out,
                                                tkx_error **err)
{
    void *object;
    tkx_status st = tkx__schema_decode(&load_result, bytes, size, &object, err);

    *out = object;
    return st;
}

void tkx_load_weights_result_free(tkx_load_weights_result *object)
{
    tkx__owned_free(object);
}

tkx_status tkx__copy_weights_result_decode_json(const void *bytes, size_t size,
                                                tkx_copy_weights_result **out,
                                                tkx_error **err)
{
    void *object;
    tkx_status st = tkx__schema_decode(&copy_result, bytes, size, &object, err);

    *out = object;
    return st;
}

void tkx_copy_weights_result_free(tkx_copy_weights_result *object)
{
    tkx__owned_free(object);
}

tkx_status tkx__weights_info_decode_json(const void *bytes, size_t size,
                                         tkx_weights_info **out, tkx_error **err)
{
    void *object;
    tkx_status st = tkx__schema_decode(&info, bytes, size, &object, err);

    *out = object;
    return st;
}

void tkx_weights_info_free(tkx_weights_info *object)
{
    tkx__owned_free(object);
}

tkx_status tkx__weights_info_encode_json(const char *tinker_path, tkx__buf *buf,
                                         tkx_error **err)
{
    tkx__json_writer w;

    tkx__json_writer_init(&w, buf, 0);
    tkx__json_begin_object(&w);
    tkx__json_member_string(&w, "tinker_path", tinker_path);
    tkx__json_end_object(&w);
    return tkx__json_written(&w, "weights_info request", err);
}
