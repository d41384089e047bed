/* SPDX-License-Identifier: Apache-2.0 */
/* tensor_copy.c - see tensor_copy.h. */
#include "client/tensor_copy.h"

#include <string.h>

static bool copy(tkx__arena *arena, const void **at, size_t count, size_t size)
{
    void *to;

    if (!*at || count == 0)
        return true;
    to = tkx__arena_alloc(arena, count, size);
    if (to)
        memcpy(to, *at, count * size);
    *at = to;
    return to != NULL;
}

tkx_tensor *tkx__tensor_copy(tkx__arena *arena, const tkx_tensor *from)
{
    size_t element = from->dtype == TKX_DTYPE_INT64 ? sizeof(int64_t) : sizeof(float);
    tkx_tensor *t = tkx__arena_zalloc(arena, 1, sizeof *t);
    const void *shape = from->shape;
    const void *values = from->values.any;
    const void *crow = from->crow;
    const void *col = from->col;

    if (!t || !copy(arena, &shape, from->n_dims, sizeof(int64_t)) ||
        !copy(arena, &values, from->n_values, element) ||
        !copy(arena, &crow, from->n_crow, sizeof(int64_t)) ||
        !copy(arena, &col, from->n_col, sizeof(int64_t)))
        return NULL;
    *t = *from;
    t->shape = shape;
    t->values.any = values;
    t->crow = crow;
    t->col = col;
    return t;
}
