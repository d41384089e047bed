/* SPDX-License-Identifier: Apache-2.0 */
/*
 * safetensors.c - reading the header of a safetensors file and checking all of it.
 *
 * The data must be covered without holes or overlaps, as the format demands: anything
 * else is a damaged file, or one that hides something.
 */
#include "model/safetensors.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/mem.h"
#include "model/file_kind.h"
#include "model/json_text.h"
#include "model/mapped.h"

#define MAX_HEADER_BYTES ((uint64_t)100 << 20) /* the format's own bound */

struct tkx__safetensors {
    tkx__mapped mapped; /* unused when parsed from memory */
    size_t size;
    tkx__arena text; /* names and metadata */
    tkx__tensors tensors;
    tkx__safetensors_pair *metadata; /* [n_metadata], in the arena */
    size_t n_metadata;
};

typedef struct source {
    const char *what;
    const unsigned char *data; /* behind the header */
    size_t size;               /* of the data */
    tkx_error **err;
} source;

static tkx_status read_metadata(source *s, tkx__safetensors *file, const cJSON *object)
{
    const cJSON *item;
    size_t n = 0;

    if (!cJSON_IsObject(object))
        return tkx__fail(s->err, TKX_ERR_PARSE, "%s: __metadata__ is no object", s->what);
    for (item = object->child; item; item = item->next)
        n++;
    file->metadata = tkx__arena_zalloc(&file->text, n + 1, sizeof *file->metadata);
    if (!file->metadata)
        return tkx__fail_memory(s->err);
    for (item = object->child; item; item = item->next) {
        tkx__safetensors_pair *pair = &file->metadata[file->n_metadata];

        if (!cJSON_IsString(item))
            return tkx__fail(s->err, TKX_ERR_PARSE,
                             "%s: __metadata__.%.100s is no string", s->what,
                             item->string);
        pair->key = tkx__arena_strndup(&file->text, item->string, strlen(item->string));
        pair->value =
            tkx__arena_strndup(&file->text, item->valuestring, strlen(item->valuestring));
        if (!pair->key || !pair->value)
            return tkx__fail_memory(s->err);
        file->n_metadata++;
    }
    return TKX_OK;
}

static tkx_status bad(source *s, const cJSON *item, const char *how)
{
    return tkx__fail(s->err, TKX_ERR_PARSE, "%s: tensor '%.200s' %s", s->what,
                     item->string, how);
}

static tkx_status read_shape(source *s, const cJSON *item, tkx__tensor *tensor)
{
    const cJSON *shape = cJSON_GetObjectItemCaseSensitive(item, "shape");
    const cJSON *dim;

    if (!cJSON_IsArray(shape))
        return bad(s, item, "has no shape");
    for (dim = shape->child; dim; dim = dim->next) {
        if (tensor->n_dims == TKX__TENSOR_MAX_DIMS)
            return bad(s, item, "has more than 8 dimensions");
        if (!tkx__json_text_size(dim, &tensor->dims[tensor->n_dims++]))
            return bad(s, item, "has a dimension that is no whole number");
    }
    return TKX_OK;
}

/* Offsets, against the data's size and the size that type and shape ask for. */
static tkx_status read_place(source *s, const cJSON *item, tkx__tensor *tensor)
{
    const cJSON *offsets = cJSON_GetObjectItemCaseSensitive(item, "data_offsets");
    size_t start;
    size_t end;

    if (!cJSON_IsArray(offsets) || cJSON_GetArraySize(offsets) != 2 ||
        !tkx__json_text_size(offsets->child, &start) ||
        !tkx__json_text_size(offsets->child->next, &end))
        return bad(s, item, "has no pair of data_offsets");
    if (start > end || end > s->size)
        return tkx__fail(
            s->err, TKX_ERR_PARSE,
            "%s: tensor '%.200s' claims bytes %zu to %zu of %zu; was the file cut "
            "short?",
            s->what, item->string, start, end, s->size);
    if (!tkx__tensor_measure(tensor))
        return bad(s, item, "is larger than any memory");
    if (tensor->size_bytes != end - start)
        return tkx__fail(
            s->err, TKX_ERR_PARSE,
            "%s: tensor '%.200s' has %zu bytes where its shape and type need %zu",
            s->what, item->string, end - start, tensor->size_bytes);
    tensor->data = s->data + start;
    return TKX_OK;
}

static tkx_status read_tensor(source *s, tkx__safetensors *file, const cJSON *item)
{
    tkx__tensor tensor = {0};
    const cJSON *dtype = cJSON_GetObjectItemCaseSensitive(item, "dtype");
    tkx_status st;

    if (!cJSON_IsString(dtype))
        return bad(s, item, "has no dtype");
    if (!tkx__dtype_from_safetensors(dtype->valuestring, strlen(dtype->valuestring),
                                     &tensor.dtype))
        return tkx__fail(s->err, TKX_ERR_UNSUPPORTED,
                         "%s: tensor '%.200s' has the unknown dtype '%.40s'", s->what,
                         item->string, dtype->valuestring);
    st = read_shape(s, item, &tensor);
    if (st == TKX_OK)
        st = read_place(s, item, &tensor);
    if (st != TKX_OK)
        return st;
    tensor.name = tkx__arena_strndup(&file->text, item->string, strlen(item->string));
    if (!tensor.name)
        return tkx__fail_memory(s->err);
    return tkx__tensors_append(&file->tensors, &tensor, s->err);
}

static int by_place(const void *a, const void *b)
{
    const tkx__tensor *x = a;
    const tkx__tensor *y = b;

    if (x->data != y->data)
        return (const char *)x->data < (const char *)y->data ? -1 : 1;
    return (x->size_bytes > y->size_bytes) - (x->size_bytes < y->size_bytes);
}

static tkx_status check_coverage(source *s, tkx__tensors *table)
{
    size_t at = 0;

    if (table->n > 1)
        qsort(table->items, table->n, sizeof *table->items, by_place);
    for (size_t i = 0; i < table->n; i++) {
        size_t start = (size_t)((const unsigned char *)table->items[i].data - s->data);

        if (i > 0 && start < at &&
            strcmp(table->items[i].name, table->items[i - 1].name) == 0)
            return tkx__fail(s->err, TKX_ERR_PARSE, "%s: tensor '%.200s' occurs twice",
                             s->what, table->items[i].name);
        if (start != at)
            return tkx__fail(s->err, TKX_ERR_PARSE,
                             "%s: tensor '%.200s' starts at byte %zu of the data, %s",
                             s->what, table->items[i].name, start,
                             start < at ? "inside the one before it"
                                        : "with bytes before it that belong to none");
        at += table->items[i].size_bytes;
    }
    if (at != s->size)
        return tkx__fail(s->err, TKX_ERR_PARSE,
                         "%s: %zu bytes at its end belong to no tensor", s->what,
                         s->size - at);
    return TKX_OK;
}

static tkx_status read_header(source *s, tkx__safetensors *file, const cJSON *header)
{
    tkx_status st = TKX_OK;

    for (const cJSON *item = header->child; item && st == TKX_OK; item = item->next) {
        if (strcmp(item->string, "__metadata__") == 0)
            st = file->metadata ? bad(s, item, "occurs twice")
                                : read_metadata(s, file, item);
        else
            st = read_tensor(s, file, item);
    }
    if (st == TKX_OK)
        st = check_coverage(s, &file->tensors);
    return st == TKX_OK ? tkx__tensors_index(&file->tensors, s->what, s->err) : st;
}

static tkx_status parse(tkx__safetensors *file, const void *bytes, size_t size,
                        const char *what, tkx_error **err)
{
    source s = {.what = what, .err = err};
    uint64_t n;
    cJSON *header = NULL;
    tkx_status st;

    file->size = size;
    tkx__arena_init(&file->text, 4096, SIZE_MAX);
    if (size < sizeof n)
        return tkx__fail(err, TKX_ERR_PARSE,
                         "%s has %zu bytes, too few for a safetensors file", what, size);
    memcpy(&n, bytes, sizeof n);
    if (n > MAX_HEADER_BYTES || n > size - sizeof n) {
        const char *hint = tkx__file_kind_hint(bytes, size);

        return tkx__fail(err, TKX_ERR_PARSE,
                         "%s is no safetensors file: it claims a header of %" PRIu64
                         " bytes in a file of %zu%s%s",
                         what, n, size, hint ? "; " : "", hint ? hint : "");
    }
    s.data = (const unsigned char *)bytes + sizeof n + (size_t)n;
    s.size = size - sizeof n - (size_t)n;
    st = tkx__json_text_parse((const char *)bytes + sizeof n, (size_t)n, what, &header,
                              err);
    if (st == TKX_OK)
        st = read_header(&s, file, header);
    cJSON_Delete(header);
    return st;
}

tkx_status tkx__safetensors_parse(const void *bytes, size_t size, const char *what,
                                  tkx__safetensors **out, tkx_error **err)
{
    tkx__safetensors *file = tkx__calloc(1, sizeof *file);
    tkx_status st;

    if (!file)
        return tkx__fail_memory(err);
    st = parse(file, bytes, size, what, err);
    if (st == TKX_OK) {
        *out = file;
        return TKX_OK;
    }
    tkx__safetensors_free(file);
    return st;
}

tkx_status tkx__safetensors_open(const char *path, tkx__safetensors **out,
                                 tkx_error **err)
{
    tkx__mapped mapped;
    tkx_status st = tkx__mapped_open(&mapped, path, err);

    if (st != TKX_OK)
        return st;
    st = tkx__safetensors_parse(mapped.data, mapped.size, path, out, err);
    if (st == TKX_OK)
        (*out)->mapped = mapped;
    else
        tkx__mapped_close(&mapped);
    return st;
}

bool tkx__safetensors_holds(const tkx__safetensors *file, const void *byte)
{
    return tkx__mapped_holds(&file->mapped, byte);
}

void tkx__safetensors_forget(const tkx__safetensors *file, const void *bytes, size_t size)
{
    tkx__mapped_forget(&file->mapped, bytes, size);
}

void tkx__safetensors_free(tkx__safetensors *file)
{
    if (!file)
        return;
    tkx__tensors_clear(&file->tensors);
    tkx__arena_clear(&file->text);
    tkx__mapped_close(&file->mapped);
    tkx__free(file);
}

size_t tkx__safetensors_size_bytes(const tkx__safetensors *file)
{
    return file->size;
}

const tkx__tensors *tkx__safetensors_tensors(const tkx__safetensors *file)
{
    return &file->tensors;
}

const char *tkx__safetensors_metadata(const tkx__safetensors *file, const char *key)
{
    for (size_t i = 0; i < file->n_metadata; i++) {
        if (strcmp(file->metadata[i].key, key) == 0)
            return file->metadata[i].value;
    }
    return NULL;
}
