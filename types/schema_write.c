/* SPDX-License-Identifier: Apache-2.0 */
/* schema_write.c - one encoder for all record types. */
#include <math.h>
#include <string.h>

#include <tkx/types/optimizer.h>

#include "types/schema.h"
#include "types/time.h"

static bool is_missing(const tkx__field *f, const void *at)
{
    switch (f->kind) {
    case TKX__F_STRING:
    case TKX__F_JSON:
    case TKX__F_RECORD_PTR:
        return !*(const void *const *)at;
    case TKX__F_I64:
        return *(const int64_t *)at == f->missing;
    case TKX__F_F64:
        return isnan(*(const double *)at);
    case TKX__F_BOOL:
        return *(const bool *)at == (f->missing != 0);
    case TKX__F_FLAG:
        return *(const int *)at < 0;
    case TKX__F_SEED:
        return !((const tkx_seed *)at)->is_set;
    case TKX__F_STRINGS:
        return !((const tkx_string_list *)at)->count;
    case TKX__F_PAIRS:
        return !((const tkx_pair_list *)at)->count;
    case TKX__F_MEMBERS:
        return !((const tkx_json_member_list *)at)->count;
    case TKX__F_CONST: /* a text that a bool turns on */
        return f->offset && !*(const bool *)at;
    case TKX__F_OPTIMIZER: {
        const tkx_optimizer_config *config = at;

        return !config->type || (!strcmp(config->type, "adamw") && !config->fields.count);
    }
    default:
        return false;
    }
}

static void write_members(tkx__json_writer *w, const tkx_json_member_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        tkx__json_put_key(w, list->items[i].name);
        tkx__json_put_raw(w, list->items[i].json, strlen(list->items[i].json));
    }
}

static bool has_member(const tkx_json_member_list *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].name, name) == 0)
            return true;
    return false;
}

/* The one version that dimuon has is always told. */
static void write_optimizer(tkx__json_writer *w, const tkx_optimizer_config *config)
{
    const char *type = config->type ? config->type : "adamw";

    tkx__json_begin_object(w);
    tkx__json_member_string(w, "type", type);
    if (strcmp(type, "dimuon") == 0 && !has_member(&config->fields, "version"))
        tkx__json_member_i64(w, "version", 1);
    write_members(w, &config->fields);
    tkx__json_end_object(w);
}

static void write_pairs(tkx__json_writer *w, const tkx_pair_list *list)
{
    tkx__json_begin_object(w);
    for (size_t i = 0; i < list->count; i++)
        tkx__json_member_string(w, list->items[i].key, list->items[i].value);
    tkx__json_end_object(w);
}

static void write_object_of(tkx__json_writer *w, const tkx_json_member_list *list)
{
    tkx__json_begin_object(w);
    write_members(w, list);
    tkx__json_end_object(w);
}

static void write_records(const tkx__schema *sub, tkx__json_writer *w, const void *at)
{
    const char *items;
    size_t count;

    memcpy(&items, at, sizeof items);
    memcpy(&count, (const char *)at + sizeof items, sizeof count);
    tkx__json_begin_array(w);
    for (size_t i = 0; i < count; i++)
        tkx__schema_write(sub, w, items + i * sub->size);
    tkx__json_end_array(w);
}

static void write_seed(tkx__json_writer *w, const tkx_seed *seed)
{
    if (seed->is_negative)
        tkx__json_put_i64(w, (int64_t)seed->bits);
    else
        tkx__json_put_u64(w, seed->bits);
}

static void write_value(const tkx__field *f, tkx__json_writer *w, const void *at)
{
    char time[TKX__TIME_TEXT_SIZE];
    const char *text;

    switch (f->kind) {
    case TKX__F_STRING:
        tkx__json_put_string(w, *(const char *const *)at);
        break;
    case TKX__F_JSON:
        text = *(const char *const *)at;
        tkx__json_put_raw(w, text ? text : "null", text ? strlen(text) : 4);
        break;
    case TKX__F_I64:
        tkx__json_put_i64(w, *(const int64_t *)at);
        break;
    case TKX__F_F64:
        tkx__json_put_f64(w, *(const double *)at);
        break;
    case TKX__F_BOOL:
        tkx__json_put_bool(w, *(const bool *)at);
        break;
    case TKX__F_FLAG:
        tkx__json_put_bool(w, *(const int *)at > 0);
        break;
    case TKX__F_SEED:
        write_seed(w, at);
        break;
    case TKX__F_STRINGS:
        tkx__json_put_strings(w, ((const tkx_string_list *)at)->items,
                              ((const tkx_string_list *)at)->count);
        break;
    case TKX__F_PAIRS:
        write_pairs(w, at);
        break;
    case TKX__F_MEMBERS:
        write_object_of(w, at);
        break;
    case TKX__F_RECORD:
        tkx__schema_write(f->sub, w, at);
        break;
    case TKX__F_RECORD_PTR:
        tkx__schema_write(f->sub, w, *(const void *const *)at);
        break;
    case TKX__F_RECORDS:
        write_records(f->sub, w, at);
        break;
    case TKX__F_OPTIMIZER:
        write_optimizer(w, at);
        break;
    case TKX__F_CONST:
        tkx__json_put_string(w, f->text);
        break;
    case TKX__F_TIME:
        tkx__time_print(*(const tkx_time_us *)at, time);
        tkx__json_put_string(w, time);
        break;
    case TKX__F_KEYED_RECORDS: /* never in a request */
    case TKX__F_KEY:
    case TKX__F_METRICS:
    case TKX__F_EXTRA:
        tkx__json_put_null(w);
        break;
    }
}

void tkx__schema_write_members(const tkx__schema *schema, tkx__json_writer *w,
                               const void *from)
{
    for (size_t i = 0; i < schema->n_fields; i++) {
        const tkx__field *f = &schema->fields[i];
        const void *at = (const char *)from + f->offset;

        if (f->kind == TKX__F_EXTRA) {
            write_members(w, at);
            continue;
        }
        if (is_missing(f, at)) {
            if (f->flags & TKX__F_REQUIRED) {
                w->key = f->key;
                tkx__json_write_fail(w, TKX_ERR_INVALID_ARGUMENT, "a value is needed");
            }
            if (f->flags & TKX__F_OMIT)
                continue;
        }
        tkx__json_put_key(w, f->key);
        write_value(f, w, at);
    }
}

void tkx__schema_write(const tkx__schema *schema, tkx__json_writer *w, const void *from)
{
    tkx__json_begin_object(w);
    tkx__schema_write_members(schema, w, from);
    tkx__json_end_object(w);
}

tkx_status tkx__schema_encode(const tkx__schema *schema, const void *from, tkx__buf *buf,
                              tkx_error **err)
{
    tkx__json_writer w;

    tkx__json_writer_init(&w, buf, 0);
    tkx__schema_write(schema, &w, from);
    return tkx__json_written(&w, schema->what, err);
}
