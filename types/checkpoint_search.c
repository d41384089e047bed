/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint_search.c - finding checkpoints: the query and the answer as tables. */
#include "types/checkpoint_search.h"

#include "types/checkpoint.h"
#include "types/owned.h"
#include "types/owner.h"
#include "types/schema.h"

static const tkx__field search_fields[] = {
    TKX__FIELD(tkx_checkpoint_search, STRINGS, project_ids, .flags = TKX__F_OMIT),
    TKX__FIELD(tkx_checkpoint_search, PAIRS, user_metadata, .flags = 0),
    TKX__FIELD(tkx_checkpoint_search, STRING, checkpoint_type, .flags = TKX__F_OMIT),
    TKX__FIELD(tkx_checkpoint_search, STRINGS, base_models, .flags = TKX__F_OMIT),
    TKX__FIELD(tkx_checkpoint_search, I64, limit, .flags = 0),
    TKX__NAMED(tkx_checkpoint_search, JSON, "cursor", cursor_json, .flags = TKX__F_OMIT),
    TKX__EXTRA(tkx_checkpoint_search),
};
static const tkx__schema search =
    TKX__SCHEMA("checkpoint search", tkx_checkpoint_search, search_fields);

static const tkx__field result_fields[] = {
    TKX__NAMED(tkx_checkpoint_search_result, RECORDS, "checkpoints", items,
               .flags = TKX__F_REQUIRED, .sub = &tkx__checkpoint_schema),
    TKX__NAMED(tkx_checkpoint_search_result, JSON, "next_cursor", next_cursor_json,
               .flags = 0),
};
static const tkx__schema search_result =
    TKX__SCHEMA("checkpoint search answer", tkx_checkpoint_search_result, result_fields);

tkx_status tkx__checkpoint_search_encode_json(const tkx_checkpoint_search *request,
                                              tkx__buf *buf, tkx_error **err)
{
    tkx__json_writer w;

    tkx__json_writer_init(&w, buf, 0);
    tkx__json_begin_object(&w);
    tkx__schema_write_members(&search, &w, request);
    tkx__owner_write(&w, request->owner, &request->owner_urns);
    tkx__json_end_object(&w);
    return tkx__json_written(&w, "checkpoint search", err);
}

tkx_status tkx__checkpoint_search_result_decode_json(const void *bytes, size_t size,
                                                     tkx_checkpoint_search_result **out,
                                                     tkx_error **err)
{
    void *object;
    tkx_status st = tkx__schema_decode(&search_result, bytes, size, &object, err);

    *out = object;
    return st;
}

void tkx_checkpoint_search_result_free(tkx_checkpoint_search_result *object)
{
    tkx__owned_free(object);
}
