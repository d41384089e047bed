/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tkx/types/model.h - making a model to train, and what is known about one.
 */
#ifndef TKX_TYPES_MODEL_H
#define TKX_TYPES_MODEL_H

#include <tkx/types/optimizer.h>

TKX_BEGIN_DECLS

typedef struct tkx_lora_config {
    int64_t rank;
    tkx_seed seed;
    bool train_unembed;
    bool train_mlp;
    bool train_attn;
} tkx_lora_config;

#define TKX_LORA_CONFIG_INIT                                                             \
    {                                                                                    \
        .rank = 32, .train_unembed = true, .train_mlp = true, .train_attn = true         \
    }

typedef struct tkx_create_model_request {
    const char *session_id;
    int64_t model_seq_id;
    const char *base_model;
    tkx_pair_list user_metadata;
    tkx_lora_config lora_config;
    tkx_optimizer_config optimizer_config; /* sent unless adamw */
    tkx_json_member_list extra_json;
} tkx_create_model_request;

typedef struct tkx_create_model_result {
    const char *model_id;
} tkx_create_model_result;

typedef struct tkx_model_data {
    const char *arch;
    const char *model_name;
    const char *tokenizer_id; /* without what a server puts behind a ':' */
} tkx_model_data;

typedef struct tkx_model_info {
    const char *model_id;
    tkx_model_data model_data;
    int is_lora;       /* 0, 1; -1: not said */
    int64_t lora_rank; /* -1: not said */
    const char *model_name;
    tkx_optimizer_config optimizer_config; /* type "adamw" when not said */
} tkx_model_info;

TKX_API void tkx_create_model_result_free(tkx_create_model_result *result);
TKX_API void tkx_model_info_free(tkx_model_info *info);

TKX_END_DECLS
#endif
