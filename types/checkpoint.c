/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint.c - checkpoints and training runs as tables. */
#include "types/checkpoint.h"

#include "types/owned.h"
#include "types/schema.h"

static const tkx__field checkpoint_fields[] = {
    TKX__FIELD(tkx_checkpoint, STRING, checkpoint_id, .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_checkpoint, STRING, checkpoint_type, .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_checkpoint, TIME, time, .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_checkpoint, STRING, tinker_path, .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_checkpoint, I64, size_bytes, .missing = -1),
    TKX__NAMED(tkx_checkpoint, BOOL, "public", is_public, .flags = 0),
    TKX__FIELD(tkx_checkpoint, PAIRS, user_metadata, .flags = 0),
    TKX__FIELD(tkx_checkpoint, TIME, expires_at, .flags = 0),
    TKX__FIELD(tkx_checkpoint, STRING, base_model, .flags = 0),
};
const tkx__schema tkx__checkpoint_schema =
    TKX__SCHEMA("checkpoint", tkx_checkpoint, checkpoint_fields);

static const tkx__field cursor_fields[] = {
    TKX__FIELD(tkx_cursor, I64, offset, .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_cursor, I64, limit, .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_cursor, I64, total_count, .flags = TKX__F_REQUIRED),
};
static const tkx__schema cursor = TKX__SCHEMA("cursor", tkx_cursor, cursor_fields);

static const tkx__field checkpoint_list_fields[] = {
    TKX__NAMED(tkx_checkpoint_list, RECORDS, "checkpoints", items,
               .flags = TKX__F_REQUIRED, .sub = &tkx__checkpoint_schema),
    TKX__FIELD(tkx_checkpoint_list, RECORD_PTR, cursor, .sub = &cursor),
};
static const tkx__schema checkpoint_list =
    TKX__SCHEMA("list of checkpoints", tkx_checkpoint_list, checkpoint_list_fields);

static const tkx__field training_run_fields[] = {
    TKX__FIELD(tkx_training_run, STRING, training_run_id, .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_training_run, STRING, base_model, .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_training_run, STRING, model_owner, .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_training_run, BOOL, is_lora, .flags = TKX__F_REQUIRED),
    TKX__NAMED(tkx_training_run, BOOL, "corrupted", is_corrupted, .flags = 0),
    TKX__FIELD(tkx_training_run, I64, lora_rank, .missing = -1),
    TKX__FIELD(tkx_training_run, TIME, last_request_time, .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_training_run, RECORD_PTR, last_checkpoint,
               .sub = &tkx__checkpoint_schema),
    TKX__FIELD(tkx_training_run, RECORD_PTR, last_sampler_checkpoint,
               .sub = &tkx__checkpoint_schema),
    TKX__FIELD(tkx_training_run, PAIRS, user_metadata, .flags = 0),
};
static const tkx__schema training_run =
    TKX__SCHEMA("training run", tkx_training_run, training_run_fields);

static const tkx__field training_run_list_fields[] = {
    TKX__NAMED(tkx_training_run_list, RECORDS, "training_runs", items,
               .flags = TKX__F_REQUIRED, .sub = &training_run),
    TKX__FIELD(tkx_training_run_list, RECORD, cursor, .flags = TKX__F_REQUIRED,
               .sub = &cursor),
};
static const tkx__schema training_run_list =
    TKX__SCHEMA("list of training runs", tkx_training_run_list, training_run_list_fields);

static const tkx__field archive_url_fields[] = {
    TKX__FIELD(tkx_archive_url, STRING, url, .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_archive_url, TIME, expires, .flags = TKX__F_REQUIRED),
};
static const tkx__schema archive_url =
    TKX__SCHEMA("archive answer", tkx_archive_url, archive_url_fields);

static const tkx__field external_urls_fields[] = {
    TKX__FIELD(tkx_external_weights_urls, PAIRS, urls, .flags = TKX__F_REQUIRED),
    TKX__FIELD(tkx_external_weights_urls, TIME, expires, .flags = TKX__F_REQUIRED),
};
static const tkx__schema external_urls = TKX__SCHEMA(
    "external_weights_urls answer", tkx_external_weights_urls, external_urls_fields);

tkx_status tkx__checkpoint_list_decode_json(const void *bytes, size_t size,
                                            tkx_checkpoint_list **out, tkx_error **err)
{
    void *object;
    tkx_status st = tkx__schema_decode(&checkpoint_list, bytes, size, &object, err);

    *out = object;
    return st;
}

void tkx_checkpoint_list_free(tkx_checkpoint_list *object)
{
    tkx__owned_free(object);
}

tkx_status tkx__training_run_decode_json(const void *bytes, size_t size,
                                         tkx_training_run **out, tkx_error **err)
{
    void *object;
    tkx_status st = tkx__schema_decode(&training_run, bytes, size, &object, err);

    *out = object;
    return st;
}

void tkx_training_run_free(tkx_training_run *object)
{
    tkx__owned_free(object);
}

tkx_status tkx__training_run_list_decode_json(const void *bytes, size_t size,
                                              tkx_training_run_list **out,
                                              tkx_error **err)
{
    void *object;
    tkx_status st = tkx__schema_decode(&training_run_list, bytes, size, &object, err);

    *out = object;
    return st;
}

void tkx_training_run_list_free(tkx_training_run_list *object)
{
    tkx__owned_free(object);
}

tkx_status tkx__archive_url_decode_json(const void *bytes, size_t size,
                                        tkx_archive_url **out, tkx_error **err)
{
    void *object;
    tkx_status st = tkx__schema_decode(&archive_url, bytes, size, &object, err);

    *out = object;
    return st;
}

void tkx_archive_url_free(tkx_archive_url *object)
{
    tkx__owned_free(object);
}

tkx_status tkx__external_weights_urls_decode_json(const void *bytes, size_t size,
                                                  tkx_external_weights_urls **out,
                                                  tkx_error **err)
{
    void *object;
    tkx_status st = tkx__schema_decode(&external_urls, bytes, size, &object, err);

    *out = object;
    return st;
}

void tkx_external_weights_urls_free(tkx_external_weights_urls *object)
{
    tkx__owned_free(object);
}

tkx_status tkx__checkpoint_ttl_encode_json(int64_t ttl_seconds, tkx__buf *buf,
                                           tkx_error **err)
{
    tkx__json_writer w;

    tkx__json_writer_init(&w, buf, 0);
    tkx__json_begin_object(&w);
    tkx__json_put_key(&w, "ttl_seconds");
    if (ttl_seconds == -1)
        tkx__json_put_null(&w);
    else
        tkx__json_put_i64(&w, ttl_seconds);
    tkx__json_end_object(&w);
    return tkx__json_written(&w, "ttl request", err);
}
