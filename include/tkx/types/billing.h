/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tkx/types/billing.h - usage, storage and the audit log.
 */
#ifndef TKX_TYPES_BILLING_H
#define TKX_TYPES_BILLING_H

#include <tkx/types/common.h>

TKX_BEGIN_DECLS

/* What happened; which fields count depends on type. */
typedef struct tkx_billing_event_info {
    const char *type;      /* "training", "sampling_prefill", "sampling_sample",
                              "checkpoint", "storage", or a newer one */
    int64_t token_count;   /* training, sampling; -1 elsewhere */
    bool is_cached;        /* sampling_prefill */
    int64_t count;         /* checkpoint; -1 elsewhere */
    bool is_free;          /* storage */
    double gigabyte_hours; /* storage; NaN elsewhere */
} tkx_billing_event_info;

typedef struct tkx_billing_event {
    tkx_time_us bucket_start;
    tkx_time_us bucket_end;
    const char *base_model;
    const char *user_id;
    const char *user_name;
    const char *session_id;
    const char *project_id;
    double estimated_cost_usd; /* before credits; NaN: not priced */
    double effective_rate_usd_per_million_tokens;
    double effective_rate_usd_per_gigabyte_month;
    tkx_billing_event_info event_info;
} tkx_billing_event;

typedef struct tkx_billing_session {
    const char *session_id;
    tkx_pair_list user_metadata;
} tkx_billing_session;

typedef struct tkx_billing_usage {
    const tkx_billing_event *events;
    size_t n_events;
    const tkx_billing_session *sessions;
    size_t n_sessions;
    tkx_time_us cost_data_through; /* TKX_TIME_NONE: not said */
} tkx_billing_usage;

typedef struct tkx_checkpoint_storage_row {
    const char *project_id;
    const char *org_user_urn;
    const char *user_email;
    const char *user_name;
    int64_t checkpoint_count;
    int64_t size_bytes;
    double size_gigabytes;
    double estimated_monthly_cost_usd; /* NaN: not priced */
} tkx_checkpoint_storage_row;

typedef struct tkx_checkpoint_storage {
    double effective_rate_usd_per_gigabyte_month; /* NaN: not priced */
    const tkx_checkpoint_storage_row *rows;
    size_t n_rows;
} tkx_checkpoint_storage;

typedef struct tkx_audit_entry {
    tkx_time_us timestamp;
    const char *event;
    tkx_json_member_list event_details;
    const char *model_id; /* checkpoint events only, as the two below */
    const char *tinker_path;
    const char *purpose;
} tkx_audit_entry;

typedef struct tkx_audit_log {
    const tkx_audit_entry *entries;
    size_t n_entries;
} tkx_audit_log;

TKX_API void tkx_billing_usage_free(tkx_billing_usage *usage);
TKX_API void tkx_checkpoint_storage_free(tkx_checkpoint_storage *storage);
TKX_API void tkx_audit_log_free(tkx_audit_log *log);

TKX_END_DECLS
#endif
