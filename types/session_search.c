/* SPDX-License-Identifier: Apache-2.0 */
/* session_search.c - finding sessions: the query by hand, the answer as tables. */
#include <string.h>

#include "types/owned.h"
#include "types/owner.h"
#include "types/schema.h"
#include "types/session.h"

static const tkx__field status_fields[] = {
    TKX__FIELD(tkx_session_status, STRING, type, .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_session_status, STRING, detail, .flags = 0),
    TKX__FIELD(tkx_session_status, STRING, category, .flags = 0),
    TKX__FIELD(tkx_session_status, STRING, message, .flags = 0),
    TKX__NAMED(tkx_session_status, JSON, "reason", reason_json, .flags = 0),
};
static const tkx__schema status =
    TKX__SCHEMA("session status", tkx_session_status, status_fields);

static const tkx__field summary_fields[] = {
    TKX__FIELD(tkx_session_summary, STRING, session_id, .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_session_summary, TIME, created_at, .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_session_summary, STRING, owner, .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_session_summary, STRING, project_id, .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_session_summary, I64, checkpoints_count, .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_session_summary, RECORD_PTR, status, .sub = &status),
    TKX__FIELD(tkx_session_summary, STRING, display_name, .flags = 0),
    TKX__FIELD(tkx_session_summary, PAIRS, user_metadata, .flags = 0),
    TKX__FIELD(tkx_session_summary, I64, checkpoint_storage_bytes, .missing = -1),
};
static const tkx__schema summary =
    TKX__SCHEMA("session summary", tkx_session_summary, summary_fields);

static const tkx__field search_answer_fields[] = {
    TKX__NAMED(tkx_session_search_result, RECORDS, "sessions", items,
               .flags = TKX__F_REQUIRED, .sub = &summary),
    TKX__NAMED(tkx_session_search_result, JSON, "next_cursor", next_cursor_json,
               .flags = 0),
};
static const tkx__schema search_answer =
    TKX__SCHEMA("session search answer", tkx_session_search_result, search_answer_fields);

static void write_statuses(tkx__json_writer *w, const tkx_session_search *s)
{
    tkx__json_put_key(w, "statuses");
    tkx__json_begin_array(w);
    for (size_t i = 0; i < s->n_statuses; i++) {
        const tkx_session_status_filter *filter = &s->statuses[i];

        tkx__json_begin_object(w);
        tkx__json_member_string(w, "type", filter->type);
        if (filter->reasons.count) {
            tkx__json_put_key(w, "reasons");
            tkx__json_put_strings(w, filter->reasons.items, filter->reasons.count);
        }
        tkx__json_end_object(w);
    }
    tkx__json_end_array(w);
}

/* The plain members; owner and statuses stand between them only in the SDK's order. */
static const tkx__field search_fields[] = {
    TKX__FIELD(tkx_session_search, STRING, session_id, .flags = TKX__F_OMIT),
    TKX__FIELD(tkx_session_search, STRINGS, project_ids, .flags = TKX__F_OMIT),
    TKX__FIELD(tkx_session_search, PAIRS, user_metadata, .flags = 0),
    TKX__FIELD(tkx_session_search, STRING, display_name, .flags = TKX__F_OMIT),
    TKX__FIELD(tkx_session_search, I64, limit, .flags = 0),
    TKX__NAMED(tkx_session_search, JSON, "cursor", cursor_json, .flags = TKX__F_OMIT),
    TKX__EXTRA(tkx_session_search),
};
static const tkx__schema search =
    TKX__SCHEMA("session search", tkx_session_search, search_fields);

tkx_status tkx__session_search_encode_json(const tkx_session_search *request,
                                           tkx__buf *buf, tkx_error **err)
{
    tkx__json_writer w;

    tkx__json_writer_init(&w, buf, 0);
    tkx__json_begin_object(&w);
    tkx__schema_write_members(&search, &w, request);
    tkx__owner_write(&w, request->owner, &request->owner_urns);
    if (request->n_statuses)
        write_statuses(&w, request);
    tkx__json_end_object(&w);
    return tkx__json_written(&w, "session search", err);
}

/* "type" of the reason, whichever kind it is. */
static tkx_status fill_reasons(tkx_session_search_result *result, tkx_error **err)
{
    for (size_t i = 0; i < result->count; i++) {
        tkx_session_status *s = (tkx_session_status *)result->items[i].status;
        tkx__json_reader r;
        tkx__json_text key;

        if (!s || !s->reason_json)
            continue;
        tkx__json_reader_init(&r, s->reason_json, strlen(s->reason_json),
                              tkx__owned_arena(result), 0);
        tkx__json_read_object(&r);
        while (tkx__json_read_key(&r, &key))
            if (tkx__json_text_is(&key, "type"))
                tkx__json_read_string(&r, &s->reason_type);
            else
                tkx__json_skip(&r);
        if (tkx__json_status(&r, "reason of a session status", err) != TKX_OK)
            return r.status;
    }
    return TKX_OK;
}

tkx_status tkx__session_search_result_decode_json(const void *bytes, size_t size,
                                                  tkx_session_search_result **out,
                                                  tkx_error **err)
{
    void *object;
    tkx_status st = tkx__schema_decode(&search_answer, bytes, size, &object, err);

    if (st == TKX_OK)
        st = fill_reasons(object, err);
    if (st != TKX_OK) {
        tkx__owned_free(object);
        object = NULL;
    }
    *out = object;
    return st;
}

void tkx_session_search_result_free(tkx_session_search_result *object)
{
    tkx__owned_free(object);
}
