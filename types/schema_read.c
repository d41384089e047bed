/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schema_read.c - one decoder for all record types.
 *
 * Hostile input: nesting is bounded by the tables (and the reader's limit for what is
 * skipped), the arena by a multiple of the text's size.
 */
#include <math.h>
#include <string.h>

#include <tkx/types/optimizer.h>

#include "base/error.h"
#include "types/list.h"
#include "types/metrics.h"
#include "types/owned.h"
#include "types/schema.h"
#include "types/time.h"

static const char *copy_text(tkx__json_reader *r, const tkx__json_text *text)
{
    char *copy = tkx__arena_strndup(r->arena, text->data, text->size);

    if (!copy)
        tkx__json_fail(r, TKX_ERR_NO_MEMORY, "no memory for a text");
    return copy;
}

static const char *read_json(tkx__json_reader *r)
{
    tkx__json_text raw;

    tkx__json_skip_raw(r, &raw);
    return copy_text(r, &raw);
}

static void read_strings(tkx__json_reader *r, void *at)
{
    tkx__list l = {0};

    tkx__json_read_array(r);
    while (tkx__json_read_element(r)) {
        const char **item = tkx__list_add(r, &l, sizeof *item);

        if (item)
            tkx__json_read_string(r, item);
    }
    tkx__list_store(at, &l);
}

static void read_pairs(tkx__json_reader *r, void *at)
{
    tkx__list l = {0};
    tkx__json_text key;

    tkx__json_read_object(r);
    while (tkx__json_read_key(r, &key)) {
        tkx_pair *pair = tkx__list_add(r, &l, sizeof *pair);

        if (!pair)
            break;
        pair->key = copy_text(r, &key);
        if (tkx__json_peek(r) == TKX__JSON_STRING)
            tkx__json_read_string(r, &pair->value);
        else
            pair->value = read_json(r);
    }
    tkx__list_store(at, &l);
}

static void read_members(tkx__json_reader *r, void *at)
{
    tkx__list l = {0};
    tkx__json_text key;

    tkx__json_read_object(r);
    while (tkx__json_read_key(r, &key)) {
        tkx_json_member *member = tkx__list_add(r, &l, sizeof *member);

        if (!member)
            break;
        member->name = copy_text(r, &key);
        member->json = read_json(r);
    }
    tkx__list_store(at, &l);
}

static void read_optimizer(tkx__json_reader *r, tkx_optimizer_config *config)
{
    tkx__list l = {0};
    tkx__json_text key;

    tkx__json_read_object(r);
    while (tkx__json_read_key(r, &key)) {
        tkx_json_member *member;

        if (tkx__json_text_is(&key, "type")) {
            tkx__json_read_string(r, &config->type);
            continue;
        }
        member = tkx__list_add(r, &l, sizeof *member);
        if (!member)
            break;
        member->name = copy_text(r, &key);
        member->json = read_json(r);
    }
    tkx__list_store(&config->fields, &l);
}

static void read_seed(tkx__json_reader *r, tkx_seed *seed)
{
    if (tkx__json_peek(r) == TKX__JSON_NUMBER && *r->at == '-') {
        int64_t v;

        tkx__json_read_i64(r, &v);
        *seed = tkx_seed_i64(v);
    } else {
        uint64_t v;

        tkx__json_read_u64(r, &v);
        *seed = tkx_seed_u64(v);
    }
}

static void read_time(tkx__json_reader *r, tkx_time_us *time)
{
    tkx__json_text text;
    const char *from;
    double number;

    if (tkx__json_peek(r) != TKX__JSON_NUMBER) {
        from = r->at;
        if (!tkx__json_read_text(r, &text) || tkx__time_parse(text.data, text.size, time))
            return;
        r->at = from;
    }
    if (!tkx__json_read_f64(r, &number) || !tkx__time_of_number(number, time))
        tkx__json_fail(r, TKX_ERR_PARSE, "expected a time (RFC 3339)");
}

static void read_records(const tkx__schema *sub, tkx__json_reader *r, void *at)
{
    tkx__list l = {0};

    tkx__json_read_array(r);
    while (tkx__json_read_element(r)) {
        void *item = tkx__list_add(r, &l, sub->size);

        if (!item)
            break;
        tkx__schema_read(sub, r, item);
    }
    tkx__list_store(at, &l);
}

static void read_keyed_records(const tkx__schema *sub, tkx__json_reader *r, void *at)
{
    tkx__list l = {0};
    tkx__json_text key;

    tkx__json_read_object(r);
    while (tkx__json_read_key(r, &key)) {
        char *item = tkx__list_add(r, &l, sub->size);
        const char *name;

        if (!item)
            break;
        name = copy_text(r, &key);
        tkx__schema_read(sub, r, item);
        for (size_t i = 0; i < sub->n_fields; i++)
            if (sub->fields[i].kind == TKX__F_KEY)
                *(const char **)(void *)(item + sub->fields[i].offset) = name;
    }
    tkx__list_store(at, &l);
}

static void read_record_ptr(const tkx__schema *sub, tkx__json_reader *r, void *at)
{
    void *record = tkx__arena_zalloc(r->arena, 1, sub->size);

    if (!record) {
        tkx__json_fail(r, TKX_ERR_NO_MEMORY, "no memory for a record");
        return;
    }
    tkx__schema_read(sub, r, record);
    memcpy(at, &record, sizeof record);
}

static void set_missing(const tkx__field *f, void *to)
{
    void *at = (char *)to + f->offset;

    switch (f->kind) {
    case TKX__F_STRING:
        *(const char **)at = f->text;
        break;
    case TKX__F_I64:
        *(int64_t *)at = f->missing;
        break;
    case TKX__F_F64:
        *(double *)at = NAN;
        break;
    case TKX__F_BOOL:
        *(bool *)at = f->missing != 0;
        break;
    case TKX__F_FLAG:
        *(int *)at = -1;
        break;
    case TKX__F_TIME:
        *(tkx_time_us *)at = TKX_TIME_NONE;
        break;
    case TKX__F_OPTIMIZER:
        ((tkx_optimizer_config *)at)->type = "adamw";
        break;
    case TKX__F_RECORD: /* a missing record has missing fields */
        for (size_t i = 0; i < f->sub->n_fields; i++)
            set_missing(&f->sub->fields[i], at);
        break;
    default: /* zero already */
        break;
    }
}

/* What is no whole number counts as missing. */
static void read_soft_i64(tkx__json_reader *r, int64_t *value)
{
    tkx__json_text raw;
    tkx__json_reader sub;
    int64_t v;

    tkx__json_skip_raw(r, &raw);
    tkx__json_reader_init(&sub, raw.data, raw.size, r->arena, r->flags);
    if (r->status == TKX_OK && tkx__json_read_i64(&sub, &v))
        *value = v;
}

static void read_field(const tkx__field *f, tkx__json_reader *r, void *to)
{
    void *at = (char *)to + f->offset;
    bool flag;

    switch (f->kind) {
    case TKX__F_STRING:
        tkx__json_read_string(r, (const char **)at);
        break;
    case TKX__F_I64:
        if (f->flags & TKX__F_SOFT)
            read_soft_i64(r, (int64_t *)at);
        else
            tkx__json_read_i64(r, (int64_t *)at);
        break;
    case TKX__F_F64:
        tkx__json_read_f64(r, (double *)at);
        break;
    case TKX__F_BOOL:
        tkx__json_read_bool(r, (bool *)at);
        break;
    case TKX__F_FLAG:
        tkx__json_read_bool(r, &flag);
        *(int *)at = flag;
        break;
    case TKX__F_TIME:
        read_time(r, at);
        break;
    case TKX__F_SEED:
        read_seed(r, at);
        break;
    case TKX__F_STRINGS:
        read_strings(r, at);
        break;
    case TKX__F_PAIRS:
        read_pairs(r, at);
        break;
    case TKX__F_MEMBERS:
        read_members(r, at);
        break;
    case TKX__F_JSON:
        *(const char **)at = read_json(r);
        break;
    case TKX__F_METRICS:
        tkx__metrics_read_json(r, (const tkx_metric **)at,
                               (size_t *)((char *)at + sizeof(tkx_metric *)));
        break;
    case TKX__F_RECORD:
        tkx__schema_read(f->sub, r, at);
        break;
    case TKX__F_RECORD_PTR:
        read_record_ptr(f->sub, r, at);
        break;
    case TKX__F_RECORDS:
        read_records(f->sub, r, at);
        break;
    case TKX__F_KEYED_RECORDS:
        read_keyed_records(f->sub, r, at);
        break;
    case TKX__F_OPTIMIZER:
        read_optimizer(r, at);
        break;
    case TKX__F_KEY:
    case TKX__F_CONST:
    case TKX__F_EXTRA:
        tkx__json_skip(r);
        break;
    }
}

static const tkx__field *find(const tkx__schema *schema, const tkx__json_text *key)
{
    for (size_t i = 0; i < schema->n_fields; i++)
        if (schema->fields[i].key && schema->fields[i].kind != TKX__F_KEY &&
            tkx__json_text_is(key, schema->fields[i].key))
            return &schema->fields[i];
    return NULL;
}

static void check_required(const tkx__schema *schema, tkx__json_reader *r, uint64_t seen)
{
    for (size_t i = 0; i < schema->n_fields; i++) {
        const tkx__field *f = &schema->fields[i];

        if (r->status != TKX_OK || !(f->flags & TKX__F_REQUIRED) || seen >> i & 1)
            continue;
        r->key = (tkx__json_text){f->key, strlen(f->key)};
        tkx__json_fail(r, TKX_ERR_PARSE, "a required key is missing");
    }
}

void tkx__schema_read(const tkx__schema *schema, tkx__json_reader *r, void *to)
{
    uint64_t seen = 0; /* one bit per field; tables are shorter than 64 */
    tkx__json_text key;

    for (size_t i = 0; i < schema->n_fields; i++)
        set_missing(&schema->fields[i], to);
    tkx__json_read_object(r);
    while (tkx__json_read_key(r, &key)) {
        const tkx__field *f = find(schema, &key);

        if (!f) {
            tkx__json_skip(r);
        } else if (!tkx__json_take_null(r)) {
            read_field(f, r, to);
            seen |= UINT64_C(1) << (f - schema->fields);
        }
    }
    check_required(schema, r, seen);
}

tkx_status tkx__schema_decode(const tkx__schema *schema, const void *bytes, size_t size,
                              void **out, tkx_error **err)
{
    tkx__arena *arena;
    tkx__json_reader r;
    tkx_status st;
    void *object;

    *out = NULL;
    object = tkx__owned_new(schema->size, size < 512 ? 512 : size,
                            size < SIZE_MAX / 64 ? size * 32 + (1 << 20) : size, &arena);
    if (!object)
        return tkx__fail_memory(err);
    tkx__json_reader_init(&r, bytes, size, arena, TKX__JSON_LENIENT);
    tkx__schema_read(schema, &r, object);
    st = tkx__json_finish(&r, schema->what, err);
    if (st != TKX_OK) {
        tkx__owned_free(object);
        return st;
    }
    *out = object;
    return TKX_OK;
}
