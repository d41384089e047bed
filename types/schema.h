/* SPDX-License-Identifier: Apache-2.0 */
/*
 * types/schema.h - JSON objects as tables: which key stands for which field of a struct.
 *
 * A wire type that is a plain record is a table of fields; one encoder and one decoder
 * serve them all.  Decoding: unknown keys are skipped, a missing key and null are the
 * same, and give the field's default.  Encoding: members in the order of the table.
 */
#ifndef TKX_TYPES_SCHEMA_H
#define TKX_TYPES_SCHEMA_H

#include <stddef.h>
#include <stdint.h>

#include <tkx/error.h>

#include "base/buf.h"
#include "json/reader.h"
#include "json/writer.h"

typedef enum tkx__field_kind {
    TKX__F_STRING = 1,    /* const char * */
    TKX__F_I64,           /* int64_t; missing: .missing */
    TKX__F_F64,           /* double; missing: NaN */
    TKX__F_BOOL,          /* bool; missing: .missing */
    TKX__F_FLAG,          /* int: 0, 1, -1 for missing */
    TKX__F_TIME,          /* tkx_time_us from RFC 3339; missing: TKX_TIME_NONE */
    TKX__F_SEED,          /* tkx_seed */
    TKX__F_STRINGS,       /* tkx_string_list */
    TKX__F_PAIRS,         /* tkx_pair_list: an object of texts */
    TKX__F_MEMBERS,       /* tkx_json_member_list: an object of anything */
    TKX__F_JSON,          /* const char *: any value as its text */
    TKX__F_METRICS,       /* const tkx_metric * and size_t: an object of numbers */
    TKX__F_RECORD,        /* an embedded struct, see sub */
    TKX__F_RECORD_PTR,    /* pointer to a struct, see sub; NULL when missing */
    TKX__F_RECORDS,       /* pointer and size_t: an array of structs, see sub */
    TKX__F_KEYED_RECORDS, /* the same from an object: its keys go to the KEY field */
    TKX__F_KEY,           /* const char *: the key a keyed record stood under */
    TKX__F_CONST, /* writes text under key; with an offset a bool turns it on (OMIT) */
    TKX__F_OPTIMIZER, /* tkx_optimizer_config */
    TKX__F_EXTRA      /* tkx_json_member_list written beside the other members */
} tkx__field_kind;

enum {
    TKX__F_REQUIRED = 1, /* decoding fails without it; encoding fails on NULL */
    TKX__F_OMIT = 2,     /* not written at its missing value */
    TKX__F_SOFT = 4      /* I64: a value of another kind counts as missing */
};

typedef struct tkx__field {
    const char *key;
    tkx__field_kind kind;
    size_t offset;
    unsigned flags;
    int64_t missing;
    const struct tkx__schema *sub;
    const char *text; /* CONST; for STRING the value that stands for a missing one */
} tkx__field;

typedef struct tkx__schema {
    const char *what; /* for messages: "create_model answer" */
    size_t size;      /* of the struct */
    const tkx__field *fields;
    size_t n_fields;
} tkx__schema;

/* The schema of struct T over the array of fields F. */
#define TKX__SCHEMA(WHAT, T, F)                                                          \
    {                                                                                    \
        .what = (WHAT), .size = sizeof(T), .fields = (F),                                \
        .n_fields = sizeof(F) / sizeof *(F)                                              \
    }

/* Rows of a table: the key is the field's name, or another; .missing for whole
   numbers. */
#define TKX__FIELD(T, KIND, NAME, ...)                                                   \
    {                                                                                    \
        .key = #NAME, .kind = TKX__F_##KIND, .offset = offsetof(T, NAME), __VA_ARGS__    \
    }
#define TKX__NAMED(T, KIND, KEY, NAME, ...)                                              \
    {                                                                                    \
        .key = (KEY), .kind = TKX__F_##KIND, .offset = offsetof(T, NAME), __VA_ARGS__    \
    }
#define TKX__TYPE(TEXT)                                                                  \
    {                                                                                    \
        .key = "type", .kind = TKX__F_CONST, .text = (TEXT)                              \
    }
#define TKX__EXTRA(T)                                                                    \
    {                                                                                    \
        .kind = TKX__F_EXTRA, .offset = offsetof(T, extra_json)                          \
    }

/* A new object (types/owned.h) from the whole text. */
tkx_status tkx__schema_decode(const tkx__schema *schema, const void *bytes, size_t size,
                              void **out, tkx_error **err);
/* The value at the reader into the struct at to; failures stay in the reader. */
void tkx__schema_read(const tkx__schema *schema, tkx__json_reader *r, void *to);

tkx_status tkx__schema_encode(const tkx__schema *schema, const void *from, tkx__buf *buf,
                              tkx_error **err);
void tkx__schema_write(const tkx__schema *schema, tkx__json_writer *w, const void *from);

/* The members alone, into an object that is open. */
void tkx__schema_write_members(const tkx__schema *schema, tkx__json_writer *w,
                               const void *from);

#endif
