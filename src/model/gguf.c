/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gguf.c - parsing a GGUF file: header, metadata, tensor descriptions, data.
 *
 * A cursor walks the bytes; each read checks what is left.  Counts are compared with the
 * smallest size of what they count before anything is allocated, so a hostile count costs
 * nothing.  Keys and tensor names are copied (the file does not terminate them).
 */
#include "model/gguf.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/mem.h"
#include "model/file_kind.h"
#include "model/mapped.h"

#define MAX_NAME 65535
#define MAX_ARRAY_DEPTH 4
#define MIN_VALUE_BYTES 13  /* empty key, type, one byte */
#define MIN_TENSOR_BYTES 24 /* empty name, no dims, type, offset */

struct tkx__gguf {
    tkx__mapped mapped; /* unused when parsed from memory */
    size_t size;
    tkx__arena names;
    tkx__gguf_value *values; /* [n_values], by key */
    size_t n_values;
    tkx__tensors tensors;
};

typedef struct cursor {
    const unsigned char *data;
    size_t size;
    size_t at;
    const char *what;
    tkx_error **err;
} cursor;

static const uint8_t scalar_bytes[TKX__N_GGUF_TYPES] = {
    [TKX__GGUF_U8] = 1,  [TKX__GGUF_I8] = 1,  [TKX__GGUF_U16] = 2, [TKX__GGUF_I16] = 2,
    [TKX__GGUF_U32] = 4, [TKX__GGUF_I32] = 4, [TKX__GGUF_F32] = 4, [TKX__GGUF_BOOL] = 1,
    [TKX__GGUF_U64] = 8, [TKX__GGUF_I64] = 8, [TKX__GGUF_F64] = 8,
};

static tkx_status cut_short(cursor *c, const char *part)
{
    return tkx__fail(c->err, TKX_ERR_PARSE, "%s: the file ends at byte %zu, inside %s",
                     c->what, c->size, part);
}

static tkx_status read_bytes(cursor *c, void *out, size_t n, const char *part)
{
    if (n > c->size - c->at)
        return cut_short(c, part);
    memcpy(out, c->data + c->at, n);
    c->at += n;
    return TKX_OK;
}

static tkx_status read_u32(cursor *c, uint32_t *out, const char *part)
{
    return read_bytes(c, out, sizeof *out, part);
}

static tkx_status read_u64(cursor *c, uint64_t *out, const char *part)
{
    return read_bytes(c, out, sizeof *out, part);
}

static tkx_status skip(cursor *c, uint64_t n, const char *part)
{
    if (n > c->size - c->at)
        return cut_short(c, part);
    c->at += (size_t)n;
    return TKX_OK;
}

/* A key or tensor name: copied and terminated. */
static tkx_status read_name(cursor *c, tkx__arena *names, const char **out,
                            const char *part)
{
    uint64_t n = 0;
    tkx_status st = read_u64(c, &n, part);
    const char *text;

    if (st != TKX_OK)
        return st;
    if (n > c->size - c->at)
        return cut_short(c, part);
    text = (const char *)c->data + c->at;
    if (n > MAX_NAME || memchr(text, '\0', (size_t)n))
        return tkx__fail(c->err, TKX_ERR_PARSE,
                         "%s: %s at byte %zu holds a NUL or is too long", c->what, part,
                         c->at);
    c->at += (size_t)n;
    *out = tkx__arena_strndup(names, text, (size_t)n);
    return *out ? TKX_OK : tkx__fail_memory(c->err);
}

static tkx_status skip_elements(cursor *c, uint32_t type, uint64_t n, int depth);

static tkx_status skip_array(cursor *c, int depth, uint32_t *type, uint64_t *n)
{
    tkx_status st = read_u32(c, type, "an array");

    if (st == TKX_OK)
        st = read_u64(c, n, "an array");
    if (st != TKX_OK)
        return st;
    if (depth == MAX_ARRAY_DEPTH)
        return tkx__fail(c->err, TKX_ERR_PARSE,
                         "%s: arrays nested more than %d deep at byte %zu", c->what,
                         MAX_ARRAY_DEPTH, c->at);
    return skip_elements(c, *type, *n, depth);
}

static tkx_status skip_string(cursor *c)
{
    uint64_t n = 0;
    tkx_status st = read_u64(c, &n, "a string");

    return st == TKX_OK ? skip(c, n, "a string") : st;
}

static tkx_status skip_elements(cursor *c, uint32_t type, uint64_t n, int depth)
{
    tkx_status st = TKX_OK;
    uint32_t inner_type = 0;
    uint64_t inner_n = 0;

    if (type >= TKX__N_GGUF_TYPES)
        return tkx__fail(c->err, TKX_ERR_PARSE,
                         "%s: unknown value type %" PRIu32 " at byte %zu", c->what, type,
                         c->at);
    if (scalar_bytes[type]) {
        if (n > (c->size - c->at) / scalar_bytes[type])
            return cut_short(c, "an array");
        return skip(c, n * scalar_bytes[type], "a value");
    }
    if (n > (c->size - c->at) / 8) /* a string has at least its length */
        return cut_short(c, "an array");
    for (uint64_t i = 0; i < n && st == TKX_OK; i++)
        st = type == TKX__GGUF_STRING ? skip_string(c)
                                      : skip_array(c, depth + 1, &inner_type, &inner_n);
    return st;
}

static tkx_status read_value(cursor *c, tkx__gguf *gguf, tkx__gguf_value *value)
{
    uint32_t type = 0;
    uint32_t element_type = 0;
    uint64_t n = 1;
    tkx_status st = read_name(c, &gguf->names, &value->key, "a metadata key");

    if (st == TKX_OK)
        st = read_u32(c, &type, "a metadata value");
    if (st != TKX_OK)
        return st;
    element_type = type;
    if (type == TKX__GGUF_ARRAY) {
        st = read_u32(c, &element_type, "an array");
        if (st == TKX_OK)
            st = read_u64(c, &n, "an array");
        if (st != TKX_OK)
            return st;
    }
    value->data = c->data + c->at;
    st = skip_elements(c, element_type, n, 1);
    if (st != TKX_OK)
        return st;
    value->type = (tkx__gguf_type)type;
    value->element_type = (tkx__gguf_type)element_type;
    value->n = (size_t)n; /* each element takes at least a byte of the file */
    value->size_bytes = c->at - (size_t)(value->data - c->data);
    return TKX_OK;
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const tkx__gguf_value *)a)->key, ((const tkx__gguf_value *)b)->key);
}

static tkx_status read_values(cursor *c, tkx__gguf *gguf, uint64_t n)
{
    if (n > (c->size - c->at) / MIN_VALUE_BYTES)
        return tkx__fail(c->err, TKX_ERR_PARSE,
                         "%s: claims %" PRIu64 " metadata values in %zu bytes", c->what,
                         n, c->size);
    gguf->values = tkx__calloc((size_t)n + 1, sizeof *gguf->values);
    if (!gguf->values)
        return tkx__fail_memory(c->err);
    for (uint64_t i = 0; i < n; i++) {
        tkx_status st = read_value(c, gguf, &gguf->values[i]);

        if (st != TKX_OK)
            return st;
    }
    gguf->n_values = (size_t)n;
    qsort(gguf->values, gguf->n_values, sizeof *gguf->values, by_key);
    for (size_t i = 1; i < gguf->n_values; i++) {
        if (by_key(&gguf->values[i - 1], &gguf->values[i]) == 0)
            return tkx__fail(c->err, TKX_ERR_PARSE,
                             "%s: metadata key '%.200s' occurs twice", c->what,
                             gguf->values[i].key);
    }
    return TKX_OK;
}

/* Its description; data becomes an offset kept in size_bytes' place until placed. */
static tkx_status read_tensor(cursor *c, tkx__gguf *gguf, tkx__tensor *tensor,
                              uint64_t *offset)
{
    uint32_t n_dims = 0;
    uint32_t type = 0;
    uint64_t dim = 0;
    tkx_status st = read_name(c, &gguf->names, &tensor->name, "a tensor name");

    if (st == TKX_OK)
        st = read_u32(c, &n_dims, "a tensor description");
    if (st != TKX_OK)
        return st;
    if (n_dims > TKX__TENSOR_MAX_DIMS)
        return tkx__fail(c->err, TKX_ERR_PARSE,
                         "%s: tensor '%.200s' claims %" PRIu32 " dimensions", c->what,
                         tensor->name, n_dims);
    tensor->n_dims = n_dims;
    for (uint32_t i = 0; i < n_dims; i++) { /* the file has the innermost first */
        st = read_u64(c, &dim, "a tensor description");
        if (st != TKX_OK)
            return st;
        tensor->dims[n_dims - 1 - i] = (size_t)dim;
    }
    st = read_u32(c, &type, "a tensor description");
    if (st == TKX_OK)
        st = read_u64(c, offset, "a tensor description");
    if (st != TKX_OK)
        return st;
    if (!tkx__dtype_from_gguf(type, &tensor->dtype))
        return tkx__fail(c->err, TKX_ERR_UNSUPPORTED,
                         "%s: tensor '%.200s' has the unknown type %" PRIu32, c->what,
                         tensor->name, type);
    if (!tkx__tensor_measure(tensor)) {
        char shape[128];

        tkx__tensor_shape_text(tensor->dims, tensor->n_dims, shape, sizeof shape);
        return tkx__fail(c->err, TKX_ERR_PARSE, "%s: tensor '%.200s' cannot be %s of %s",
                         c->what, tensor->name, shape, tkx__dtype_name(tensor->dtype));
    }
    return TKX_OK;
}

static tkx_status read_tensors(cursor *c, tkx__gguf *gguf, uint64_t n)
{
    if (n > (c->size - c->at) / MIN_TENSOR_BYTES)
        return tkx__fail(c->err, TKX_ERR_PARSE,
                         "%s: claims %" PRIu64 " tensors in %zu bytes", c->what, n,
                         c->size);
    for (uint64_t i = 0; i < n; i++) {
        tkx__tensor tensor = {0};
        uint64_t offset = 0;
        tkx_status st = read_tensor(c, gguf, &tensor, &offset);

        if (st == TKX_OK && offset > c->size)
            st = tkx__fail(c->err, TKX_ERR_PARSE,
                           "%s: tensor '%.200s' starts at %" PRIu64
                           ", past the end of the file",
                           c->what, tensor.name, offset);
        if (st != TKX_OK)
            return st;
        tensor.data = c->data + offset; /* from the start of the data, see place() */
        st = tkx__tensors_append(&gguf->tensors, &tensor, c->err);
        if (st != TKX_OK)
            return st;
    }
    return TKX_OK;
}

static tkx_status data_alignment(cursor *c, const tkx__gguf *gguf, size_t *out)
{
    uint64_t alignment = 32;

    if (tkx__gguf_find(gguf, "general.alignment") &&
        !tkx__gguf_get_u64(gguf, "general.alignment", &alignment))
        return tkx__fail(c->err, TKX_ERR_PARSE, "%s: general.alignment is no number",
                         c->what);
    if (alignment == 0 || alignment > 1u << 20 || alignment % 8 != 0)
        return tkx__fail(c->err, TKX_ERR_PARSE,
                         "%s: general.alignment is %" PRIu64
                         ", not a multiple of 8 up to 1048576",
                         c->what, alignment);
    *out = (size_t)alignment;
    return TKX_OK;
}

static int by_place(const void *a, const void *b)
{
    const tkx__tensor *x = a;
    const tkx__tensor *y = b;

    if (x->data != y->data)
        return x->data < y->data ? -1 : 1;
    return (x->size_bytes > y->size_bytes) - (x->size_bytes < y->size_bytes);
}

/* Move each tensor to where the data starts; check bounds, alignment, overlap. */
static tkx_status place(cursor *c, tkx__gguf *gguf)
{
    size_t alignment = 0;
    size_t start = 0;
    tkx__tensors *table = &gguf->tensors;
    tkx_status st = data_alignment(c, gguf, &alignment);

    if (st != TKX_OK)
        return st;
    start = (c->at + alignment - 1) / alignment * alignment;
    for (size_t i = 0; i < table->n; i++) {
        tkx__tensor *tensor = &table->items[i];
        size_t offset = (size_t)((const unsigned char *)tensor->data - c->data);

        if (offset % alignment != 0)
            return tkx__fail(
                c->err, TKX_ERR_PARSE,
                "%s: tensor '%.200s' lies at offset %zu, not a multiple of %zu", c->what,
                tensor->name, offset, alignment);
        if (start > c->size || offset > c->size - start ||
            tensor->size_bytes > c->size - start - offset)
            return tkx__fail(
                c->err, TKX_ERR_PARSE,
                "%s: tensor '%.200s' (%zu bytes at offset %zu) runs past the end of "
                "the file, which has %zu bytes; was it cut short?",
                c->what, tensor->name, tensor->size_bytes, offset, c->size);
        tensor->data = c->data + start + offset;
    }
    if (table->n > 1)
        qsort(table->items, table->n, sizeof *table->items, by_place);
    for (size_t i = 1; i < table->n; i++) {
        const tkx__tensor *before = &table->items[i - 1];

        if ((const unsigned char *)before->data + before->size_bytes >
            (const unsigned char *)table->items[i].data)
            return tkx__fail(c->err, TKX_ERR_PARSE,
                             "%s: tensors '%.200s' and '%.200s' overlap", c->what,
                             before->name, table->items[i].name);
    }
    return tkx__tensors_index(table, c->what, c->err);
}

static tkx_status read_header(cursor *c, uint64_t *n_tensors, uint64_t *n_values)
{
    char magic[4];
    uint32_t version = 0;
    tkx_status st = read_bytes(c, magic, sizeof magic, "the header");

    if (st != TKX_OK)
        return st;
    if (memcmp(magic, "GGUF", 4) != 0) {
        const char *hint = tkx__file_kind_hint(c->data, c->size);

        return tkx__fail(c->err, TKX_ERR_PARSE, "%s does not begin with GGUF%s%s",
                         c->what, hint ? "; " : "", hint ? hint : "");
    }
    st = read_u32(c, &version, "the header");
    if (st != TKX_OK)
        return st;
    if (version != 2 && version != 3)
        return tkx__fail(
            c->err, TKX_ERR_UNSUPPORTED, "%s: %s", c->what,
            version == 1 ? "GGUF version 1 is not read; convert it to version 3"
            : (version & 0xffff) == 0
                ? "a big-endian GGUF file is not read; convert it to little-endian"
                : "a GGUF version other than 2 and 3 is not known");
    st = read_u64(c, n_tensors, "the header");
    return st == TKX_OK ? read_u64(c, n_values, "the header") : st;
}

static tkx_status parse(tkx__gguf *gguf, const void *bytes, size_t size, const char *what,
                        tkx_error **err)
{
    cursor c = {.data = bytes, .size = size, .what = what, .err = err};
    uint64_t n_tensors = 0;
    uint64_t n_values = 0;
    tkx_status st;

    gguf->size = size;
    tkx__arena_init(&gguf->names, 4096, SIZE_MAX);
    if (size == 0)
        return tkx__fail(err, TKX_ERR_PARSE, "%s is empty", what);
    st = read_header(&c, &n_tensors, &n_values);
    if (st == TKX_OK)
        st = read_values(&c, gguf, n_values);
    if (st == TKX_OK)
        st = read_tensors(&c, gguf, n_tensors);
    if (st == TKX_OK)
        st = place(&c, gguf);
    return st;
}

tkx_status tkx__gguf_parse(const void *bytes, size_t size, const char *what,
                           tkx__gguf **out, tkx_error **err)
{
    tkx__gguf *gguf = tkx__calloc(1, sizeof *gguf);
    tkx_status st;

    if (!gguf)
        return tkx__fail_memory(err);
    st = parse(gguf, bytes, size, what, err);
    if (st == TKX_OK) {
        *out = gguf;
        return TKX_OK;
    }
    tkx__gguf_free(gguf);
    return st;
}

tkx_status tkx__gguf_open(const char *path, tkx__gguf **out, tkx_error **err)
{
    tkx__mapped mapped;
    tkx_status st = tkx__mapped_open(&mapped, path, err);

    if (st != TKX_OK)
        return st;
    st = tkx__gguf_parse(mapped.data, mapped.size, path, out, err);
    if (st == TKX_OK)
        (*out)->mapped = mapped;
    else
        tkx__mapped_close(&mapped);
    return st;
}

bool tkx__gguf_holds(const tkx__gguf *gguf, const void *byte)
{
    return gguf && tkx__mapped_holds(&gguf->mapped, byte);
}

void tkx__gguf_forget(const tkx__gguf *gguf, const void *bytes, size_t size)
{
    tkx__mapped_forget(&gguf->mapped, bytes, size);
}

void tkx__gguf_free(tkx__gguf *gguf)
{
    if (!gguf)
        return;
    tkx__tensors_clear(&gguf->tensors);
    tkx__free(gguf->values);
    tkx__arena_clear(&gguf->names);
    tkx__mapped_close(&gguf->mapped);
    tkx__free(gguf);
}

size_t tkx__gguf_size_bytes(const tkx__gguf *gguf)
{
    return gguf->size;
}

const tkx__tensors *tkx__gguf_tensors(const tkx__gguf *gguf)
{
    return &gguf->tensors;
}

size_t tkx__gguf_n_values(const tkx__gguf *gguf)
{
    return gguf->n_values;
}

const tkx__gguf_value *tkx__gguf_value_at(const tkx__gguf *gguf, size_t i)
{
    return i < gguf->n_values ? &gguf->values[i] : NULL;
}

const tkx__gguf_value *tkx__gguf_find(const tkx__gguf *gguf, const char *key)
{
    tkx__gguf_value wanted = {.key = key};

    if (gguf->n_values == 0)
        return NULL;
    return bsearch(&wanted, gguf->values, gguf->n_values, sizeof *gguf->values, by_key);
}
