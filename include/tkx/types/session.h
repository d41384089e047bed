/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tkx/types/session.h - sessions, samplers, and searching for sessions.
 */
#ifndef TKX_TYPES_SESSION_H
#define TKX_TYPES_SESSION_H

#include <tkx/types/common.h>

TKX_BEGIN_DECLS

typedef struct tkx_create_sampling_session_request {
    const char *session_id;
    int64_t sampling_session_seq_id;
    const char *base_model;
    const char *model_path;
    tkx_json_member_list extra_json;
} tkx_create_sampling_session_request;

typedef struct tkx_create_sampling_session_result {
    const char *sampling_session_id;
} tkx_create_sampling_session_result;

typedef struct tkx_join_sampling_session_result {
    int64_t client_counter;
} tkx_join_sampling_session_result;

typedef struct tkx_session_list {
    tkx_string_list sessions; /* ids */
} tkx_session_list;

typedef struct tkx_session_info {
    tkx_string_list training_run_ids;
    tkx_string_list sampler_ids;
    tkx_pair_list user_metadata;
    const char *display_name;
} tkx_session_info;

typedef struct tkx_sampler_info {
    const char *sampler_id;
    const char *base_model;
    const char *model_path; /* NULL for a base model */
} tkx_sampler_info;

typedef struct tkx_trace_export {
    const char *status; /* "pending", "ready", "failed" */
    const char *url;
    const char *error;
} tkx_trace_export;

/* One kind of status to look for; reasons only with "client_finished". */
typedef struct tkx_session_status_filter {
    const char *type;
    tkx_string_list reasons;
} tkx_session_status_filter;

typedef struct tkx_session_search {
    size_t struct_size;
    const char *session_id;
    tkx_string_list project_ids;
    tkx_pair_list user_metadata;
    const char *display_name;
    const char *owner; /* "own", "accessible" or "user" */
    tkx_string_list owner_urns;
    const tkx_session_status_filter *statuses;
    size_t n_statuses;
    int64_t limit;
    const char *cursor_json; /* next_cursor_json of the last page; NULL: first page */
    tkx_json_member_list extra_json;
} tkx_session_search;

#define TKX_SESSION_SEARCH_INIT                                                          \
    {                                                                                    \
        .struct_size = sizeof(tkx_session_search), .owner = "own", .limit = 50           \
    }

typedef struct tkx_session_status {
    const char *type; /* "active", "cancelled", "failed", "client_finished", or newer */
    const char *detail;
    const char *category;    /* failed */
    const char *message;     /* failed */
    const char *reason_type; /* failed, client_finished */
    const char *reason_json; /* the whole reason */
} tkx_session_status;

typedef struct tkx_session_summary {
    const char *session_id;
    tkx_time_us created_at;
    const char *owner;
    const char *project_id;
    int64_t checkpoints_count;
    const tkx_session_status *status; /* NULL: not known to run, and not finished */
    const char *display_name;
    tkx_pair_list user_metadata;
    int64_t checkpoint_storage_bytes; /* -1: not said */
} tkx_session_summary;

typedef struct tkx_session_search_result {
    const tkx_session_summary *items;
    size_t count;
    const char *next_cursor_json; /* NULL: the last page */
} tkx_session_search_result;

TKX_API void
tkx_create_sampling_session_result_free(tkx_create_sampling_session_result *result);
TKX_API void
tkx_join_sampling_session_result_free(tkx_join_sampling_session_result *result);
TKX_API void tkx_session_list_free(tkx_session_list *list);
TKX_API void tkx_session_info_free(tkx_session_info *info);
TKX_API void tkx_sampler_info_free(tkx_sampler_info *info);
TKX_API void tkx_trace_export_free(tkx_trace_export *trace);
TKX_API void tkx_session_search_result_free(tkx_session_search_result *result);

TKX_END_DECLS
#endif
