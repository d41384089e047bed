/* SPDX-License-Identifier: Apache-2.0 */
/* tensor.c - tables of tensors, found by name; decoding elements to float32. */
#include "model/tensor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "model/blocks.h"

tkx_status tkx__tensors_append(tkx__tensors *table, const tkx__tensor *tensor,
                               tkx_error **err)
{
    if (table->n == table->capacity) {
        size_t capacity = table->capacity ? table->capacity * 2 : 64;
        tkx__tensor *grown = tkx__realloc(table->items, capacity, sizeof *grown);

        if (!grown)
            return tkx__fail_memory(err);
        table->items = grown;
        table->capacity = capacity;
    }
    table->items[table->n++] = *tensor;
    return TKX_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const tkx__tensor *)a)->name, ((const tkx__tensor *)b)->name);
}

tkx_status tkx__tensors_index(tkx__tensors *table, const char *what, tkx_error **err)
{
    if (table->n > 1)
        qsort(table->items, table->n, sizeof *table->items, by_name);
    for (size_t i = 1; i < table->n; i++) {
        if (strcmp(table->items[i - 1].name, table->items[i].name) == 0)
            return tkx__fail(err, TKX_ERR_PARSE, "%s: tensor '%.200s' occurs twice", what,
                             table->items[i].name);
    }
    return TKX_OK;
}

const tkx__tensor *tkx__tensors_find(const tkx__tensors *table, const char *name)
{
    tkx__tensor key = {.name = name};

    if (table->n == 0)
        return NULL;
    return bsearch(&key, table->items, table->n, sizeof *table->items, by_name);
}

void tkx__tensors_clear(tkx__tensors *table)
{
    tkx__free(table->items);
    memset(table, 0, sizeof *table);
}

bool tkx__tensor_measure(tkx__tensor *tensor)
{
    size_t rows = 1;
    size_t row_bytes;
    size_t last = tensor->n_dims ? tensor->dims[tensor->n_dims - 1] : 1;

    for (size_t i = 0; i + 1 < tensor->n_dims; i++) {
        if (!tkx__mul(rows, tensor->dims[i], &rows))
            return false;
    }
    return tkx__mul(rows, last, &tensor->n_elements) &&
           tkx__dtype_row_bytes(tensor->dtype, last, &row_bytes) &&
           tkx__mul(rows, row_bytes, &tensor->size_bytes);
}

void tkx__tensor_shape_text(const size_t *dims, size_t n_dims, char *out, size_t size)
{
    size_t used = 0;

    if (size == 0)
        return;
    out[0] = '\0';
    for (size_t i = 0; i <= n_dims && used < size; i++) {
        int n = i < n_dims
                    ? snprintf(out + used, size - used, "%s%zu", i ? ", " : "[", dims[i])
                    : snprintf(out + used, size - used, n_dims ? "]" : "[]");

        used += n > 0 ? (size_t)n : 0;
    }
}

tkx_status tkx__tensor_to_f32(const tkx__tensor *tensor, size_t first, size_t n,
                              float *out, tkx_error **err)
{
    const tkx__dtype_info *info = tkx__dtype_get(tensor->dtype);
    const unsigned char *src;

    if (first > tensor->n_elements || n > tensor->n_elements - first ||
        first % info->block_elements != 0 || n % info->block_elements != 0)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "tensor '%.200s': elements %zu to %zu of %zu asked for",
                         tensor->name, first, first + n, tensor->n_elements);
    if (n == 0)
        return TKX_OK;
    src = (const unsigned char *)tensor->data +
          first / info->block_elements * info->block_bytes;
    if (tkx__dtype_is_weight(tensor->dtype)) {
        tkx__blocks_decode(tensor->dtype, src, n, out);
        return TKX_OK;
    }
    for (size_t i = 0; i < n; i++, src += info->block_bytes) {
        double f64;
        int32_t i32;
        int64_t i64;

        switch (tensor->dtype) {
        case TKX__DTYPE_F64:
            memcpy(&f64, src, sizeof f64);
            out[i] = (float)f64;
            break;
        case TKX__DTYPE_I32:
            memcpy(&i32, src, sizeof i32);
            out[i] = (float)i32;
            break;
        case TKX__DTYPE_I64:
            memcpy(&i64, src, sizeof i64);
            out[i] = (float)i64;
            break;
        default:
            return tkx__fail(err, TKX_ERR_UNSUPPORTED,
                             "tensor '%.200s' has type %s, which is not decoded",
                             tensor->name, info->name);
        }
    }
    return TKX_OK;
}
