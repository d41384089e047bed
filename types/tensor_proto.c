/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tensor_proto.c - arrays out of protobuf blobs.
 *
 * A blob may stand at any address, so arrays are copied into the arena, where they are
 * aligned and outlive the message.
 */
#include "types/tensor_proto.h"

#include "base/error.h"
#include "base/str.h"
#include "types/tensor.h"

enum { WIRE_F32 = 1, WIRE_I64_T = 2, WIRE_I32_T = 3, WIRE_BF16 = 4 };

bool tkx__proto_fail(tkx__proto *p, tkx_status status, const char *problem)
{
    if (p->status == TKX_OK) {
        p->status = status;
        p->problem = problem;
    }
    return false;
}

tkx_status tkx__proto_status(const tkx__proto *p, const char *what, tkx_error **err)
{
    if (p->status == TKX_OK)
        return TKX_OK;
    if (p->status == TKX_ERR_NO_MEMORY)
        return tkx__fail_memory(err);
    return tkx__fail(err, p->status, "%s: %s", what, p->problem);
}

static void *new_array(tkx__proto *p, size_t count, size_t size)
{
    void *array = tkx__arena_alloc(p->arena, count ? count : 1, size);

    if (!array)
        tkx__proto_fail(p, TKX_ERR_NO_MEMORY, "no memory for an array");
    return array;
}

static bool copy(tkx__proto *p, const char *bytes, size_t size, size_t element,
                 const void **values, size_t *count)
{
    void *array;

    if (size % element)
        return tkx__proto_fail(p, TKX_ERR_PARSE, "an array ends inside an element");
    array = new_array(p, size / element, element);
    if (!array)
        return false;
    if (size)
        memcpy(array, bytes, size);
    *values = array;
    *count = size / element;
    return true;
}

bool tkx__proto_i32s(tkx__proto *p, const tkx__wire_field *blob, const int32_t **values,
                     size_t *count)
{
    const void *array;

    if (!copy(p, blob->bytes, blob->size, sizeof **values, &array, count))
        return false;
    *values = array;
    return true;
}

bool tkx__proto_i64s(tkx__proto *p, const tkx__wire_field *blob, const int64_t **values,
                     size_t *count)
{
    const void *array;

    if (!copy(p, blob->bytes, blob->size, sizeof **values, &array, count))
        return false;
    *values = array;
    return true;
}

bool tkx__proto_f32s(tkx__proto *p, const tkx__wire_field *blob, const float **values,
                     size_t *count)
{
    const void *array;

    if (!copy(p, blob->bytes, blob->size, sizeof **values, &array, count))
        return false;
    *values = array;
    return true;
}

bool tkx__proto_text(tkx__proto *p, const tkx__wire_field *field, const char **text)
{
    if (tkx__utf8_valid_prefix(field->bytes, field->size) != field->size)
        return tkx__proto_fail(p, TKX_ERR_PARSE, "a text is not UTF-8");
    *text = tkx__arena_strndup(p->arena, field->bytes, field->size);
    return *text || tkx__proto_fail(p, TKX_ERR_NO_MEMORY, "no memory for a text");
}

static bool add_int(tkx__proto *p, uint64_t value, tkx__proto_ints *list)
{
    if (list->count == list->room) {
        size_t room = list->room ? 2 * list->room : 4;
        int64_t *items = new_array(p, room, sizeof *items);

        if (!items)
            return false;
        if (list->count)
            memcpy(items, list->items, list->count * sizeof *items);
        list->items = items;
        list->room = room;
    }
    list->items[list->count++] = (int64_t)value;
    return true;
}

bool tkx__proto_add_ints(tkx__proto *p, const tkx__wire_field *field,
                         tkx__proto_ints *list)
{
    tkx__wire w = tkx__wire_on(field->bytes, field->size);
    uint64_t value;

    if (field->wire == TKX__WIRE_VARINT)
        return add_int(p, field->value, list);
    while (w.at < w.end && tkx__wire_varint(&w, &value))
        if (!add_int(p, value, list))
            return false;
    return !w.is_bad || tkx__proto_fail(p, TKX_ERR_PARSE, "a packed list is cut short");
}

size_t tkx__wire_dtype_size(uint64_t wire_dtype)
{
    switch ((uint32_t)wire_dtype) { /* an enum keeps 32 bits */
    case WIRE_F32:
    case WIRE_I32_T:
        return 4;
    case WIRE_I64_T:
        return 8;
    case WIRE_BF16:
        return 2;
    default:
        return 0;
    }
}

static bool widen_bf16(tkx__proto *p, const char *bytes, size_t n, const void **values)
{
    float *to = new_array(p, n, sizeof *to);

    if (!to)
        return false;
    for (size_t i = 0; i < n; i++) {
        uint16_t half;
        uint32_t bits;

        memcpy(&half, bytes + 2 * i, sizeof half);
        bits = (uint32_t)half << 16;
        memcpy(&to[i], &bits, sizeof bits);
    }
    *values = to;
    return true;
}

static bool widen_i32(tkx__proto *p, const char *bytes, size_t n, const void **values)
{
    int64_t *to = new_array(p, n, sizeof *to);

    if (!to)
        return false;
    for (size_t i = 0; i < n; i++) {
        int32_t value;

        memcpy(&value, bytes + 4 * i, sizeof value);
        to[i] = value;
    }
    *values = to;
    return true;
}

bool tkx__proto_elements(tkx__proto *p, uint64_t wire_dtype, const char *bytes,
                         size_t size, tkx_dtype *dtype, const void **values,
                         size_t *count)
{
    size_t element = tkx__wire_dtype_size(wire_dtype);
    uint32_t kind = (uint32_t)wire_dtype;

    if (!element)
        return tkx__proto_fail(p, TKX_ERR_PARSE, "unknown dtype");
    if (size % element)
        return tkx__proto_fail(p, TKX_ERR_PARSE, "an array ends inside an element");
    *count = size / element;
    *dtype = kind == WIRE_F32 || kind == WIRE_BF16 ? TKX_DTYPE_FLOAT32 : TKX_DTYPE_INT64;
    if (kind == WIRE_BF16)
        return widen_bf16(p, bytes, *count, values);
    if (kind == WIRE_I32_T)
        return widen_i32(p, bytes, *count, values);
    return copy(p, bytes, size, element, values, count);
}

static bool gather_csr(tkx__proto *p, const tkx__wire_field *message,
                       tkx__raw_tensor *raw)
{
    tkx__wire w = tkx__wire_on(message->bytes, message->size);
    tkx__wire_field f;

    if (!raw->is_sparse) /* the other member of the oneof goes */
        raw->values = raw->crow = raw->col = (tkx__wire_field){0};
    raw->is_sparse = true;
    while (tkx__wire_next(&w, &f)) {
        if (tkx__wire_is(&f, 1, TKX__WIRE_LEN))
            raw->values = f;
        else if (tkx__wire_is(&f, 2, TKX__WIRE_LEN))
            raw->crow = f;
        else if (tkx__wire_is(&f, 3, TKX__WIRE_LEN))
            raw->col = f;
    }
    return !w.is_bad || tkx__proto_fail(p, TKX_ERR_PARSE, "a message is cut short");
}

bool tkx__tensor_gather(tkx__proto *p, const tkx__wire_field *message,
                        tkx__raw_tensor *raw)
{
    tkx__wire w = tkx__wire_on(message->bytes, message->size);
    tkx__wire_field f;
    bool ok = true;

    raw->is_given = true;
    while (ok && tkx__wire_next(&w, &f)) {
        if (tkx__wire_is(&f, 1, TKX__WIRE_LEN)) {
            raw->values = f;
            raw->is_sparse = false;
        } else if (tkx__wire_is(&f, 2, TKX__WIRE_LEN)) {
            ok = gather_csr(p, &f, raw);
        } else if (tkx__wire_is(&f, 3, TKX__WIRE_VARINT)) {
            raw->dtype = f.value;
        } else if (tkx__proto_is_ints(&f, 4)) {
            ok = tkx__proto_add_ints(p, &f, &raw->shape);
        }
    }
    return ok &&
           (!w.is_bad || tkx__proto_fail(p, TKX_ERR_PARSE, "a message is cut short"));
}

static bool check_counts(tkx__proto *p, const tkx_tensor *t)
{
    size_t count;

    if (!tkx__shape_elements(t->shape, t->n_dims, &count))
        return tkx__proto_fail(p, TKX_ERR_PARSE, "impossible shape of a tensor");
    if (t->is_sparse) {
        if (t->n_col != t->n_values)
            return tkx__proto_fail(p, TKX_ERR_PARSE,
                                   "a sparse tensor has not one column for each value");
        return true;
    }
    if (t->has_shape && count != t->n_values)
        return tkx__proto_fail(p, TKX_ERR_PARSE,
                               "shape and data of a tensor differ in size");
    return true;
}

bool tkx__tensor_build(tkx__proto *p, const tkx__raw_tensor *raw, tkx_tensor *t)
{
    bool ok = true;

    memset(t, 0, sizeof *t);
    t->shape = raw->shape.items;
    t->n_dims = raw->shape.count;
    t->has_shape = t->n_dims > 0;
    t->is_sparse = raw->is_sparse;
    if (t->is_sparse)
        ok = tkx__proto_i64s(p, &raw->crow, &t->crow, &t->n_crow) &&
             tkx__proto_i64s(p, &raw->col, &t->col, &t->n_col);
    ok = ok && tkx__proto_elements(p, raw->dtype, raw->values.bytes, raw->values.size,
                                   &t->dtype, &t->values.any, &t->n_values);
    if (ok && !t->has_shape && t->n_values == 1)
        t->has_shape = true; /* a scalar: its shape has no dimensions */
    return ok && check_counts(p, t);
}
