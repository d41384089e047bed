/* SPDX-License-Identifier: Apache-2.0 */
/* gguf_retype.c - see gguf_retype.h. */
#include "support/gguf_retype.h"

#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/blocks.h"
#include "model/gguf.h"

enum { ALIGNMENT = 32 };

static uint64_t chance(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return *state >> 33;
}

static void put_half(unsigned char *at, float value)
{
    uint16_t half = tkx__f32_to_f16(value);

    memcpy(at, &half, 2);
}

/* Chance bits, with scales that keep the values near 0.05 and their mean near 0. */
static void fill_block(tkx__dtype dtype, unsigned char *block, size_t size,
                       uint64_t *state)
{
    float scale = 0.01f;

    for (size_t i = 0; i < size; i++)
        block[i] = (unsigned char)chance(state);
    switch (dtype) {
    case TKX__DTYPE_Q4_1:
        put_half(block, scale);
        put_half(block + 2, -7.5f * scale);
        break;
    case TKX__DTYPE_Q5_1:
        put_half(block, scale / 2);
        put_half(block + 2, -7.75f * scale);
        break;
    case TKX__DTYPE_Q5_0:
        put_half(block, scale / 2);
        break;
    case TKX__DTYPE_Q5_K: /* 6-bit scales and minima of eight parts */
        put_half(block, scale / 64);
        put_half(block + 2, scale / 4);
        break;
    default:
        ck_abort_msg("no chance bits for %s", tkx__dtype_name(dtype));
    }
}

/* ---- the header, past its values ---- */

static size_t value_size(const unsigned char *at, uint32_t type)
{
    static const size_t sizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    uint64_t n;
    uint32_t element;
    size_t size = 12;

    memcpy(&n, at, 8);
    if (type == 8)
        return 8 + n;
    if (type != 9)
        return sizes[type];
    memcpy(&element, at, 4);
    memcpy(&n, at + 4, 8);
    for (uint64_t i = 0; i < n; i++)
        size += value_size(at + size, element);
    return size;
}

/* Bytes of the header with all values: the tensors' descriptions follow. */
static size_t header_size(const unsigned char *file)
{
    uint64_t n_values;
    size_t at = 24;

    memcpy(&n_values, file + 16, 8);
    for (uint64_t i = 0; i < n_values; i++) {
        uint64_t name;
        uint32_t type;

        memcpy(&name, file + at, 8);
        at += 8 + name;
        memcpy(&type, file + at, 4);
        at += 4 + value_size(file + at + 4, type);
    }
    return at;
}

static unsigned char *read_all(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    unsigned char *bytes;

    ck_assert_ptr_nonnull(f);
    fseek(f, 0, SEEK_END);
    *size = (size_t)ftell(f);
    rewind(f);
    bytes = malloc(*size);
    ck_assert_uint_eq(fread(bytes, 1, *size, f), *size);
    fclose(f);
    return bytes;
}

/* ---- writing ---- */

static void put(FILE *f, const void *bytes, size_t n)
{
    ck_assert_uint_eq(fwrite(bytes, 1, n, f), n);
}

static void pad(FILE *f)
{
    while (ftell(f) % ALIGNMENT)
        putc(0, f);
}

static tkx__tensor retyped(const tkx__tensor *t, tkx__dtype dtype)
{
    tkx__tensor out = *t;
    size_t row;

    if (t->n_dims < 2 || tkx__dtype_get(t->dtype)->block_elements == 1 ||
        !tkx__dtype_row_bytes(dtype, t->dims[t->n_dims - 1], &row))
        return out;
    out.dtype = dtype;
    out.data = NULL; /* to be made up */
    ck_assert(tkx__tensor_measure(&out));
    return out;
}

static void describe(FILE *f, const tkx__tensor *t, uint64_t *offset)
{
    uint64_t name = strlen(t->name);
    uint32_t n_dims = (uint32_t)t->n_dims;
    uint32_t type = (uint32_t)tkx__dtype_get(t->dtype)->gguf_id;

    put(f, &name, 8);
    put(f, t->name, name);
    put(f, &n_dims, 4);
    for (size_t i = t->n_dims; i > 0; i--)
        put(f, &(uint64_t){t->dims[i - 1]}, 8);
    put(f, &type, 4);
    put(f, offset, 8);
    *offset += (t->size_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static void put_data(FILE *f, const tkx__tensor *t, uint64_t *state)
{
    unsigned char block[256];
    size_t size = tkx__dtype_get(t->dtype)->block_bytes;

    if (t->data)
        put(f, t->data, t->size_bytes);
    for (size_t done = 0; !t->data && done < t->size_bytes; done += size) {
        fill_block(t->dtype, block, size, state);
        put(f, block, size);
    }
    pad(f);
}

void gguf_retype(const char *from, const char *to, tkx__dtype dtype)
{
    tkx__gguf *gguf = NULL;
    const tkx__tensors *table;
    tkx__tensor *made;
    uint64_t offset = 0;
    uint64_t state = 12345;
    size_t size;
    unsigned char *file = read_all(from, &size);
    FILE *f = fopen(to, "wb");

    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(tkx__gguf_open(from, &gguf, NULL), TKX_OK);
    table = tkx__gguf_tensors(gguf);
    made = calloc(table->n, sizeof *made);
    put(f, file, header_size(file));
    for (size_t i = 0; i < table->n; i++) {
        made[i] = retyped(&table->items[i], dtype);
        describe(f, &made[i], &offset);
    }
    pad(f);
    for (size_t i = 0; i < table->n; i++)
        put_data(f, &made[i], &state);
    ck_assert_int_eq(fclose(f), 0);
    free(made);
    free(file);
    tkx__gguf_free(gguf);
}
