/* SPDX-License-Identifier: Apache-2.0 */
/* model.c - create_model and get_info as tables. */
#include "types/model.h"

#include <string.h>

#include "types/owned.h"
#include "types/schema.h"

static const tkx__field lora_config_fields[] = {
    TKX__FIELD(tkx_lora_config, I64, rank, .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_lora_config, SEED, seed, .flags = TKX__F_OMIT),
    TKX__FIELD(tkx_lora_config, BOOL, train_unembed, .missing = 1),
    TKX__FIELD(tkx_lora_config, BOOL, train_mlp, .missing = 1),
    TKX__FIELD(tkx_lora_config, BOOL, train_attn, .missing = 1),
};
const tkx__schema tkx__lora_config_schema =
    TKX__SCHEMA("lora_config", tkx_lora_config, lora_config_fields);

static const tkx__field create_model_fields[] = {
    TKX__FIELD(tkx_create_model_request, STRING, session_id, .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_create_model_request, I64, model_seq_id, .flags = 0),
    TKX__FIELD(tkx_create_model_request, STRING, base_model, .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_create_model_request, PAIRS, user_metadata, .flags = TKX__F_OMIT),
    TKX__FIELD(tkx_create_model_request, RECORD, lora_config,
               .sub = &tkx__lora_config_schema),
    TKX__FIELD(tkx_create_model_request, OPTIMIZER, optimizer_config,
               .flags = TKX__F_OMIT),
    TKX__TYPE("create_model"),
    TKX__EXTRA(tkx_create_model_request),
};
static const tkx__schema create_model =
    TKX__SCHEMA("create_model request", tkx_create_model_request, create_model_fields);

static const tkx__field create_model_result_fields[] = {
    TKX__FIELD(tkx_create_model_result, STRING, model_id, .flags = TKX__F_REQUIRED),
};
static const tkx__schema create_model_result = TKX__SCHEMA(
    "create_model answer", tkx_create_model_result, create_model_result_fields);

static const tkx__field model_data_fields[] = {
    TKX__FIELD(tkx_model_data, STRING, arch, .flags = 0),
    TKX__FIELD(tkx_model_data, STRING, model_name, .flags = 0),
    TKX__FIELD(tkx_model_data, STRING, tokenizer_id, .flags = 0),
};
static const tkx__schema model_data =
    TKX__SCHEMA("model_data", tkx_model_data, model_data_fields);

static const tkx__field model_info_fields[] = {
    TKX__FIELD(tkx_model_info, STRING, model_id, .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_model_info, RECORD, model_data, .flags = TKX__F_REQUIRED,
               .sub = &model_data),
    TKX__FIELD(tkx_model_info, FLAG, is_lora, .flags = 0),
    TKX__FIELD(tkx_model_info, I64, lora_rank, .missing = -1),
    TKX__FIELD(tkx_model_info, STRING, model_name, .flags = 0),
    TKX__FIELD(tkx_model_info, OPTIMIZER, optimizer_config, .flags = 0),
};
static const tkx__schema model_info =
    TKX__SCHEMA("get_info answer", tkx_model_info, model_info_fields);

tkx_status tkx__create_model_request_encode_json(const tkx_create_model_request *request,
                                                 tkx__buf *buf, tkx_error **err)
{
    return tkx__schema_encode(&create_model, request, buf, err);
}

tkx_status tkx__create_model_result_decode_json(const void *bytes, size_t size,
                                                tkx_create_model_result **out,
                                                tkx_error **err)
{
    void *object;
    tkx_status st = tkx__schema_decode(&create_model_result, bytes, size, &object, err);

    *out = object;
    return st;
}

void tkx_create_model_result_free(tkx_create_model_result *object)
{
    tkx__owned_free(object);
}

tkx_status tkx__model_info_decode_json(const void *bytes, size_t size,
                                       tkx_model_info **out, tkx_error **err)
{
    void *object;
    tkx_status st = tkx__schema_decode(&model_info, bytes, size, &object, err);

    *out = object;
    if (st == TKX_OK && (*out)->model_data.tokenizer_id) {
        const char *id = (*out)->model_data.tokenizer_id;

        *(char *)(id + strcspn(id, ":")) = '\0'; /* a revision; the text is ours */
    }
    return st;
}

void tkx_model_info_free(tkx_model_info *object)
{
    tkx__owned_free(object);
}

tkx_status tkx__model_id_encode_json(const char *model_id, const char *type,
                                     tkx__buf *buf, tkx_error **err)
{
    tkx__json_writer w;

    tkx__json_writer_init(&w, buf, 0);
    tkx__json_begin_object(&w);
    tkx__json_member_string(&w, "model_id", model_id);
    tkx__json_member_string(&w, "type", type);
    tkx__json_end_object(&w);
    return tkx__json_written(&w, type, err);
}
