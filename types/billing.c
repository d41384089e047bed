/* SPDX-License-Identifier: Apache-2.0 */
/* billing.c - usage, storage and the audit log as tables. */
#include "types/billing.h"

#include "types/owned.h"
#include "types/schema.h"

static const tkx__field event_info_fields[] = {
    TKX__FIELD(tkx_billing_event_info, STRING, type, .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_billing_event_info, I64, token_count, .missing = -1),
    TKX__NAMED(tkx_billing_event_info, BOOL, "cached", is_cached, .flags = 0),
    TKX__FIELD(tkx_billing_event_info, I64, count, .missing = -1),
    TKX__NAMED(tkx_billing_event_info, BOOL, "free", is_free, .flags = 0),
    TKX__FIELD(tkx_billing_event_info, F64, gigabyte_hours, .flags = 0),
};
static const tkx__schema event_info =
    TKX__SCHEMA("event_info", tkx_billing_event_info, event_info_fields);

static const tkx__field event_fields[] = {
    TKX__FIELD(tkx_billing_event, TIME, bucket_start, .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_billing_event, TIME, bucket_end, .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_billing_event, STRING, base_model, .flags = 0),
    TKX__FIELD(tkx_billing_event, STRING, user_id, .flags = 0),
    TKX__FIELD(tkx_billing_event, STRING, user_name, .flags = 0),
    TKX__FIELD(tkx_billing_event, STRING, session_id, .flags = 0),
    TKX__FIELD(tkx_billing_event, STRING, project_id, .flags = 0),
    TKX__FIELD(tkx_billing_event, F64, estimated_cost_usd, .flags = 0),
    TKX__FIELD(tkx_billing_event, F64, effective_rate_usd_per_million_tokens, .flags = 0),
    TKX__FIELD(tkx_billing_event, F64, effective_rate_usd_per_gigabyte_month, .flags = 0),
    TKX__FIELD(tkx_billing_event, RECORD, event_info, .flags = TKX__F_REQUIRED,
               .sub = &event_info),
};
static const tkx__schema event =
    TKX__SCHEMA("billing event", tkx_billing_event, event_fields);

static const tkx__field storage_row_fields[] = {
    TKX__FIELD(tkx_checkpoint_storage_row, STRING, project_id, .flags = 0),
    TKX__FIELD(tkx_checkpoint_storage_row, STRING, org_user_urn, .flags = 0),
    TKX__FIELD(tkx_checkpoint_storage_row, STRING, user_email, .flags = 0),
    TKX__FIELD(tkx_checkpoint_storage_row, STRING, user_name, .flags = 0),
    TKX__FIELD(tkx_checkpoint_storage_row, I64, checkpoint_count,
               .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_checkpoint_storage_row, I64, size_bytes, .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_checkpoint_storage_row, F64, size_gigabytes, .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_checkpoint_storage_row, F64, estimated_monthly_cost_usd, .flags = 0),
};
static const tkx__schema storage_row =
    TKX__SCHEMA("storage row", tkx_checkpoint_storage_row, storage_row_fields);

static const tkx__field storage_fields[] = {
    TKX__FIELD(tkx_checkpoint_storage, F64, effective_rate_usd_per_gigabyte_month,
               .flags = 0),
    TKX__NAMED(tkx_checkpoint_storage, RECORDS, "data", rows, .flags = TKX__F_REQUIRED,
               .sub = &storage_row),
};
static const tkx__schema storage =
    TKX__SCHEMA("checkpoint storage answer", tkx_checkpoint_storage, storage_fields);

static const tkx__field audit_entry_fields[] = {
    TKX__FIELD(tkx_audit_entry, TIME, timestamp, .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_audit_entry, STRING, event, .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_audit_entry, MEMBERS, event_details, .flags = 0),
    TKX__FIELD(tkx_audit_entry, STRING, model_id, .flags = 0),
    TKX__FIELD(tkx_audit_entry, STRING, tinker_path, .flags = 0),
    TKX__FIELD(tkx_audit_entry, STRING, purpose, .flags = 0),
};
static const tkx__schema audit_entry =
    TKX__SCHEMA("audit entry", tkx_audit_entry, audit_entry_fields);

static const tkx__field audit_log_fields[] = {
    TKX__FIELD(tkx_audit_log, RECORDS, entries, .flags = TKX__F_REQUIRED,
               .sub = &audit_entry),
};
static const tkx__schema audit_log =
    TKX__SCHEMA("audit log", tkx_audit_log, audit_log_fields);

static const tkx__field session_fields[] = {
    TKX__NAMED(tkx_billing_session, KEY, "", session_id, .flags = 0),
    TKX__FIELD(tkx_billing_session, PAIRS, user_metadata, .flags = 0),
};
static const tkx__schema session =
    TKX__SCHEMA("billing session", tkx_billing_session, session_fields);

static const tkx__field usage_fields[] = {
    TKX__NAMED(tkx_billing_usage, RECORDS, "data", events, .flags = TKX__F_REQUIRED,
               .sub = &event),
    TKX__NAMED(tkx_billing_usage, KEYED_RECORDS, "sessions", sessions, .sub = &session),
    TKX__FIELD(tkx_billing_usage, TIME, cost_data_through, .flags = 0),
};
static const tkx__schema usage =
    TKX__SCHEMA("billing usage answer", tkx_billing_usage, usage_fields);

tkx_status tkx__billing_usage_decode_json(const void *bytes, size_t size,
                                          tkx_billing_usage **out, tkx_error **err)
{
    void *object;
    tkx_status st = tkx__schema_decode(&usage, bytes, size, &object, err);

    *out = object;
    return st;
}

void tkx_billing_usage_free(tkx_billing_usage *object)
{
    tkx__owned_free(object);
}

tkx_status tkx__checkpoint_storage_decode_json(const void *bytes, size_t size,
                                               tkx_checkpoint_storage **out,
                                               tkx_error **err)
{
    void *object;
    tkx_status st = tkx__schema_decode(&storage, bytes, size, &object, err);

    *out = object;
    return st;
}

void tkx_checkpoint_storage_free(tkx_checkpoint_storage *object)
{
    tkx__owned_free(object);
}

tkx_status tkx__audit_log_decode_json(const void *bytes, size_t size, tkx_audit_log **out,
                                      tkx_error **err)
{
    void *object;
    tkx_status st = tkx__schema_decode(&audit_log, bytes, size, &object, err);

    *out = object;
    return st;
}

void tkx_audit_log_free(tkx_audit_log *object)
{
    tkx__owned_free(object);
}
