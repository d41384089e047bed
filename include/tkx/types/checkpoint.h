/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tkx/types/checkpoint.h - checkpoints, training runs, and pages of them.
 */
#ifndef TKX_TYPES_CHECKPOINT_H
#define TKX_TYPES_CHECKPOINT_H

#include <tkx/types/common.h>

TKX_BEGIN_DECLS

typedef struct tkx_checkpoint {
    const char *checkpoint_id;   /* "weights/NAME"; some servers list the bare name */
    const char *checkpoint_type; /* "training", "sampler", "external", or a newer one */
    tkx_time_us time;
    const char *tinker_path;
    int64_t size_bytes; /* -1: not said */
    bool is_public;
    tkx_pair_list user_metadata;
    tkx_time_us expires_at; /* TKX_TIME_NONE: never */
    const char *base_model; /* NULL: not said */
} tkx_checkpoint;

typedef struct tkx_cursor {
    int64_t offset;
    int64_t limit;
    int64_t total_count;
} tkx_cursor;

typedef struct tkx_checkpoint_list {
    const tkx_checkpoint *items;
    size_t count;
    const tkx_cursor *cursor; /* NULL: not paged */
} tkx_checkpoint_list;

typedef struct tkx_training_run {
    const char *training_run_id;
    const char *base_model;
    const char *model_owner;
    bool is_lora;
    bool is_corrupted;
    int64_t lora_rank; /* -1: not said */
    tkx_time_us last_request_time;
    const tkx_checkpoint *last_checkpoint;         /* or NULL */
    const tkx_checkpoint *last_sampler_checkpoint; /* or NULL */
    tkx_pair_list user_metadata;
} tkx_training_run;

typedef struct tkx_training_run_list {
    const tkx_training_run *items;
    size_t count;
    tkx_cursor cursor;
} tkx_training_run_list;

/* A signed link to one archive; fetch it without credentials. */
typedef struct tkx_archive_url {
    const char *url;
    tkx_time_us expires;
} tkx_archive_url;

/* Signed links, one for each file of an external checkpoint: key is the relative path. */
typedef struct tkx_external_weights_urls {
    tkx_pair_list urls;
    tkx_time_us expires;
} tkx_external_weights_urls;

TKX_API void tkx_checkpoint_list_free(tkx_checkpoint_list *list);
TKX_API void tkx_training_run_free(tkx_training_run *run);
TKX_API void tkx_training_run_list_free(tkx_training_run_list *list);
TKX_API void tkx_archive_url_free(tkx_archive_url *url);
TKX_API void tkx_external_weights_urls_free(tkx_external_weights_urls *urls);

TKX_END_DECLS
#endif
