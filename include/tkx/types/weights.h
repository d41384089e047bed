/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tkx/types/weights.h - saving, loading and copying checkpoints.
 */
#ifndef TKX_TYPES_WEIGHTS_H
#define TKX_TYPES_WEIGHTS_H

#include <tkx/types/optimizer.h>

TKX_BEGIN_DECLS

/* Full training state. */
typedef struct tkx_save_weights_request {
    const char *model_id;
    const char *path; /* the checkpoint's name */
    int64_t seq_id;
    int64_t ttl_seconds; /* -1: never expires */
    bool overwrite;      /* sent only when true */
    tkx_pair_list user_metadata;
    tkx_json_member_list extra_json;
} tkx_save_weights_request;

/* For sampling: named (path), or unnamed into a new sampling session. */
typedef struct tkx_save_weights_for_sampler_request {
    const char *model_id;
    const char *path;
    int64_t sampling_session_seq_id; /* -1 with a path */
    bool is_inflight;                /* unnamed only; kind is sent only when true */
    int64_t seq_id;
    int64_t ttl_seconds; /* -1: never expires */
    tkx_pair_list user_metadata;
    tkx_json_member_list extra_json;
} tkx_save_weights_for_sampler_request;

typedef struct tkx_save_weights_external_request {
    const char *model_id;
    const char *path;
    int64_t seq_id;
    int64_t ttl_seconds; /* -1: never expires */
    tkx_string_list age_encryption_recipients;
    tkx_json_member_list extra_json;
} tkx_save_weights_external_request;

/* One result for the three kinds of saving. */
typedef struct tkx_save_weights_result {
    const char *path;                /* NULL for an unnamed save */
    const char *sampling_session_id; /* unnamed save */
    int64_t size_bytes;              /* external save; -1: not said */
} tkx_save_weights_result;

/* Into an existing model (model_id, seq_id), or creating one (session_id,
   model_seq_id). */
typedef struct tkx_load_weights_request {
    const char *model_id;
    int64_t seq_id; /* -1: absent */
    const char *session_id;
    int64_t model_seq_id; /* -1: absent */
    const char *base_model;
    tkx_pair_list user_metadata;
    const char *path;
    bool optimizer;
    tkx_optimizer_config optimizer_config; /* type NULL: absent */
    const char *weights_access_token;      /* a secret; never logged */
    tkx_json_member_list extra_json;
} tkx_load_weights_request;

typedef struct tkx_load_weights_result {
    const char *path;     /* NULL: not said */
    const char *model_id; /* NULL: not said */
} tkx_load_weights_result;

typedef struct tkx_copy_weights_request {
    const char *source_path;
    int64_t ttl_seconds; /* -1: never expires */
    const char *destination_project_id;
    tkx_json_member_list extra_json;
} tkx_copy_weights_request;

typedef struct tkx_copy_weights_result {
    const char *tinker_path;
} tkx_copy_weights_result;

typedef struct tkx_weights_info {
    const char *base_model;
    bool is_lora;
    int64_t lora_rank; /* -1: not said */
    int train_unembed; /* 0, 1; -1: not said */
    int train_mlp;
    int train_attn;
    tkx_optimizer_config optimizer_config; /* type "adamw" when not said */
} tkx_weights_info;

TKX_API void tkx_save_weights_result_free(tkx_save_weights_result *result);
TKX_API void tkx_load_weights_result_free(tkx_load_weights_result *result);
TKX_API void tkx_copy_weights_result_free(tkx_copy_weights_result *result);
TKX_API void tkx_weights_info_free(tkx_weights_info *info);

TKX_END_DECLS
#endif
