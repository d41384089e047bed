/* SPDX-License-Identifier: Apache-2.0 */
/*
 * forward_backward_output_proto.c - the training result in protobuf.
 *
 * Records hold batches of datums: a field is one blob and byte offsets.  Datums get views
 * into one aligned copy of each blob.  The first pass counts, so that every list is
 * allocated once.
 */
#include <math.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "types/forward_backward_output.h"
#include "types/metrics.h"
#include "types/owned.h"
#include "types/tensor.h"
#include "types/tensor_proto.h"

/* Far beyond what one request may hold; a record may claim any number without data. */
enum { MAX_DATUMS = 1 << 20, MAX_FIELDS = 1024 };

typedef struct raw_field {
    tkx__wire_field name;
    tkx__wire_field data;
    tkx__wire_field offsets;
    tkx__proto_ints trailing;
    uint64_t dtype;
} raw_field;

static bool cut_short(tkx__proto *p)
{
    return tkx__proto_fail(p, TKX_ERR_PARSE, "a message is cut short");
}

static void *new_array(tkx__proto *p, size_t count, size_t size)
{
    void *array = tkx__arena_zalloc(p->arena, count ? count : 1, size);

    if (!array)
        tkx__proto_fail(p, TKX_ERR_NO_MEMORY, "no memory for a list");
    return array;
}

static bool gather_batched(tkx__proto *p, const tkx__wire_field *message, raw_field *raw)
{
    tkx__wire w = tkx__wire_on(message->bytes, message->size);
    tkx__wire_field f;

    while (tkx__wire_next(&w, &f)) {
        if (tkx__wire_is(&f, 1, TKX__WIRE_LEN))
            raw->data = f;
        else if (tkx__wire_is(&f, 2, TKX__WIRE_LEN))
            raw->offsets = f;
        else if (tkx__wire_is(&f, 3, TKX__WIRE_VARINT))
            raw->dtype = f.value;
        else if (tkx__proto_is_ints(&f, 4) && !tkx__proto_add_ints(p, &f, &raw->trailing))
            return false;
    }
    return !w.is_bad || cut_short(p);
}

/* An entry of the map of fields. */
static bool gather_field(tkx__proto *p, const tkx__wire_field *entry, raw_field *raw)
{
    tkx__wire w = tkx__wire_on(entry->bytes, entry->size);
    tkx__wire_field f;

    memset(raw, 0, sizeof *raw);
    while (tkx__wire_next(&w, &f)) {
        if (tkx__wire_is(&f, 1, TKX__WIRE_LEN))
            raw->name = f;
        else if (tkx__wire_is(&f, 2, TKX__WIRE_LEN) && !gather_batched(p, &f, raw))
            return false;
    }
    return !w.is_bad || cut_short(p);
}

static size_t offsets_to_count(size_t size)
{
    return size >= 8 ? size / 8 - 1 : 0;
}

/* Datums and fields of a record; without num_datums the first field counts them. */
static bool count_record(tkx__proto *p, const tkx__wire_field *record, size_t *n_datums,
                         size_t *n_fields)
{
    tkx__wire w = tkx__wire_on(record->bytes, record->size);
    tkx__wire_field f;
    raw_field raw;
    uint64_t announced = 0;
    size_t in_first = 0;

    *n_fields = 0;
    while (tkx__wire_next(&w, &f)) {
        if (tkx__wire_is(&f, 1, TKX__WIRE_LEN)) {
            if (tkx__utf8_valid_prefix(f.bytes, f.size) != f.size)
                return tkx__proto_fail(p, TKX_ERR_PARSE, "a text is not UTF-8");
        } else if (tkx__wire_is(&f, 3, TKX__WIRE_VARINT)) {
            announced = f.value;
        } else if (tkx__wire_is(&f, 2, TKX__WIRE_LEN)) {
            if (++*n_fields == 1) {
                if (!gather_field(p, &f, &raw))
                    return false;
                in_first = offsets_to_count(raw.offsets.size);
            }
        }
    }
    if (w.is_bad)
        return cut_short(p);
    if (*n_fields > MAX_FIELDS)
        return tkx__proto_fail(p, TKX_ERR_PARSE, "too many fields in a record");
    if (announced > MAX_DATUMS)
        return tkx__proto_fail(p, TKX_ERR_PARSE, "impossible number of datums");
    *n_datums = announced ? (size_t)announced : in_first;
    return true;
}

/* What the slices of one field share. */
typedef struct batch {
    const char *name;
    tkx_dtype dtype;
    size_t element;     /* bytes on the wire */
    const char *values; /* in our dtype */
    const int64_t *offsets;
    const int64_t *trailing;
    size_t n_trailing;
    size_t product; /* of trailing */
    size_t data_size;
} batch;

static bool open_batch(tkx__proto *p, const raw_field *raw, size_t n_datums, batch *b)
{
    size_t n_offsets;
    size_t n_values;
    const void *values;

    memset(b, 0, sizeof *b);
    if (!tkx__proto_text(p, &raw->name, &b->name) ||
        !tkx__proto_i64s(p, &raw->offsets, &b->offsets, &n_offsets) ||
        !tkx__proto_elements(p, raw->dtype, raw->data.bytes, raw->data.size, &b->dtype,
                             &values, &n_values))
        return false;
    b->values = values;
    b->trailing = raw->trailing.items;
    b->n_trailing = raw->trailing.count;
    b->element = tkx__wire_dtype_size(raw->dtype);
    b->data_size = raw->data.size;
    if (!tkx__shape_elements(b->trailing, b->n_trailing, &b->product))
        return tkx__proto_fail(p, TKX_ERR_PARSE, "impossible trailing shape");
    if (n_offsets != n_datums + 1 && !(n_offsets == 0 && n_datums == 0))
        return tkx__proto_fail(p, TKX_ERR_PARSE,
                               "a field has not one offset for each datum and the end");
    return true;
}

static bool slice(tkx__proto *p, const batch *b, size_t i, int64_t *shape, tkx_tensor *t)
{
    int64_t from = b->offsets[i];
    int64_t to = b->offsets[i + 1];
    size_t n;

    if (from < 0 || to < from || (uint64_t)to > b->data_size ||
        (size_t)from % b->element || (size_t)to % b->element)
        return tkx__proto_fail(p, TKX_ERR_PARSE,
                               "offsets of a field lie outside its data");
    n = (size_t)(to - from) / b->element;
    if (b->product ? n % b->product : n)
        return tkx__proto_fail(p, TKX_ERR_PARSE,
                               "a slice does not fit its trailing shape");
    t->dtype = b->dtype;
    t->has_shape = true;
    t->n_dims = 1 + b->n_trailing;
    shape[0] = b->product ? (int64_t)(n / b->product) : 0;
    if (b->n_trailing)
        memcpy(shape + 1, b->trailing, b->n_trailing * sizeof *shape);
    t->shape = shape;
    t->n_values = n;
    t->values.any = b->values + (size_t)from / b->element * tkx__dtype_size(b->dtype);
    return true;
}

/* Where a field of the first datum stands; of a name that comes twice the last holds. */
static size_t place_of(const tkx_named_tensor *fields, size_t n, const char *name)
{
    size_t at = 0;

    while (at < n && strcmp(fields[at].name, name) != 0)
        at++;
    return at;
}

/* One more field of every datum of the record, which has room for n_fields. */
static bool fill_field(tkx__proto *p, const raw_field *raw, size_t n_datums,
                       size_t n_fields, size_t *n_filled, tkx_named_tensor *fields)
{
    batch b;
    int64_t *shapes;
    size_t n_dims, at;

    if (!open_batch(p, raw, n_datums, &b))
        return false;
    if (n_datums == 0)
        return true;
    at = place_of(fields, *n_filled, b.name);
    *n_filled += at == *n_filled;
    n_dims = 1 + b.n_trailing;
    if (b.n_trailing > 16)
        return tkx__proto_fail(p, TKX_ERR_PARSE, "too many dimensions");
    shapes = new_array(p, n_datums * n_dims, sizeof *shapes);
    if (!shapes)
        return false;
    for (size_t i = 0; i < n_datums; i++) {
        tkx_named_tensor *field = &fields[i * n_fields + at];

        field->name = b.name;
        if (!slice(p, &b, i, shapes + i * n_dims, &field->tensor))
            return false;
    }
    return true;
}

static bool fill_record(tkx__proto *p, const tkx__wire_field *record,
                        tkx_forward_backward_output *out, tkx_loss_fn_output *outputs)
{
    tkx__wire w = tkx__wire_on(record->bytes, record->size);
    tkx__wire_field f;
    tkx_named_tensor *fields;
    raw_field raw;
    size_t n_datums = 0;
    size_t n_fields = 0;
    size_t n_filled = 0;

    if (!count_record(p, record, &n_datums, &n_fields))
        return false;
    fields = new_array(p, n_datums * n_fields, sizeof *fields);
    if (!fields)
        return false;
    while (tkx__wire_next(&w, &f))
        if (tkx__wire_is(&f, 2, TKX__WIRE_LEN) &&
            (!gather_field(p, &f, &raw) ||
             !fill_field(p, &raw, n_datums, n_fields, &n_filled, fields)))
            return false;
    for (size_t i = 0; i < n_datums; i++) {
        outputs[out->n_outputs + i].fields = fields + i * n_fields;
        outputs[out->n_outputs + i].n_fields = n_filled;
    }
    out->n_outputs += n_datums;
    return true;
}

static bool fill_metric(tkx__proto *p, const tkx__wire_field *entry, tkx_metric *metric)
{
    tkx__wire w = tkx__wire_on(entry->bytes, entry->size);
    tkx__wire_field f;
    tkx__wire_field name = {0};

    while (tkx__wire_next(&w, &f)) {
        if (tkx__wire_is(&f, 1, TKX__WIRE_LEN))
            name = f;
        else if (tkx__wire_is(&f, 2, TKX__WIRE_I64))
            memcpy(&metric->value, &f.value, sizeof metric->value);
    }
    if (w.is_bad)
        return cut_short(p);
    return tkx__proto_text(p, &name, &metric->name);
}

/* What stands behind the last colon, when there are records. */
static const char *cut_type(const char *type, size_t n_records)
{
    const char *colon = strrchr(type, ':');

    if (!n_records)
        return *type ? type : "ArrayRecord";
    return colon ? colon + 1 : type;
}

typedef struct counts {
    size_t n_records;
    size_t n_datums;
    size_t n_metrics;
} counts;

static bool count_all(tkx__proto *p, const char *bytes, size_t size, counts *c)
{
    tkx__wire w = tkx__wire_on(bytes, size);
    tkx__wire_field f;
    size_t n_datums = 0;
    size_t n_fields = 0;

    while (tkx__wire_next(&w, &f)) {
        if (tkx__wire_is(&f, 3, TKX__WIRE_LEN)) {
            c->n_metrics++;
        } else if (tkx__wire_is(&f, 2, TKX__WIRE_LEN)) {
            if (!count_record(p, &f, &n_datums, &n_fields))
                return false;
            c->n_records++;
            c->n_datums += n_datums;
            if (c->n_datums > MAX_DATUMS)
                return tkx__proto_fail(p, TKX_ERR_PARSE, "impossible number of datums");
        }
    }
    return !w.is_bad || cut_short(p);
}

static bool read_output(tkx__proto *p, const char *bytes, size_t size,
                        tkx_forward_backward_output *out)
{
    tkx__wire w = tkx__wire_on(bytes, size);
    tkx__wire_field f;
    counts c = {0};
    tkx_loss_fn_output *outputs;
    tkx_metric *metrics;
    bool ok = true;

    out->loss_fn_output_type = "";
    if (!count_all(p, bytes, size, &c))
        return false;
    outputs = new_array(p, c.n_datums, sizeof *outputs);
    metrics = new_array(p, c.n_metrics, sizeof *metrics);
    if (!outputs || !metrics)
        return false;
    while (ok && tkx__wire_next(&w, &f)) {
        if (tkx__wire_is(&f, 1, TKX__WIRE_LEN))
            ok = tkx__proto_text(p, &f, &out->loss_fn_output_type);
        else if (tkx__wire_is(&f, 2, TKX__WIRE_LEN))
            ok = fill_record(p, &f, out, outputs);
        else if (tkx__wire_is(&f, 3, TKX__WIRE_LEN))
            ok = fill_metric(p, &f, &metrics[out->n_metrics++]);
    }
    if (ok && !tkx__metrics_unite(metrics, &out->n_metrics))
        ok = tkx__proto_fail(p, TKX_ERR_NO_MEMORY, "no memory to sort metrics");
    out->loss_fn_outputs = outputs;
    out->metrics = metrics;
    out->loss_fn_output_type = cut_type(out->loss_fn_output_type, c.n_records);
    return ok;
}

tkx_status tkx__forward_backward_output_decode_proto(const void *bytes, size_t size,
                                                     tkx_forward_backward_output **out,
                                                     tkx_error **err)
{
    tkx__proto p = {0};
    tkx_forward_backward_output *output;
    tkx_status st;

    *out = NULL;
    output =
        tkx__owned_new(sizeof *output, size + size / 4 + 1024,
                       size < SIZE_MAX / 256 ? size * 128 + (64 << 20) : size, &p.arena);
    if (!output)
        return tkx__fail_memory(err);
    read_output(&p, bytes ? bytes : "", bytes ? size : 0, output);
    st = tkx__proto_status(&p, "forward_backward answer (protobuf)", err);
    if (st != TKX_OK) {
        tkx__owned_free(output);
        return st;
    }
    *out = output;
    return TKX_OK;
}
