/* SPDX-License-Identifier: Apache-2.0 */
/* gguf_value.c - metadata values of a GGUF file as numbers and strings. */
#include <string.h>

#include "model/gguf.h"

#define READ(type, from)                                                                 \
    do {                                                                                 \
        type v;                                                                          \
        memcpy(&v, (from), sizeof v);                                                    \
        *out = (int64_t)v;                                                               \
    } while (0)

static bool integer_at(tkx__gguf_type type, const unsigned char *data, size_t i,
                       int64_t *out)
{
    uint64_t u;

    switch (type) {
    case TKX__GGUF_U8:
        *out = data[i];
        return true;
    case TKX__GGUF_I8:
        *out = (int8_t)data[i];
        return true;
    case TKX__GGUF_U16:
        READ(uint16_t, data + i * 2);
        return true;
    case TKX__GGUF_I16:
        READ(int16_t, data + i * 2);
        return true;
    case TKX__GGUF_U32:
        READ(uint32_t, data + i * 4);
        return true;
    case TKX__GGUF_I32:
        READ(int32_t, data + i * 4);
        return true;
    case TKX__GGUF_I64:
        READ(int64_t, data + i * 8);
        return true;
    case TKX__GGUF_U64:
        memcpy(&u, data + i * 8, sizeof u);
        *out = (int64_t)u;
        return u <= INT64_MAX;
    default:
        return false;
    }
}

bool tkx__gguf_i64_at(const tkx__gguf_value *value, size_t i, int64_t *out)
{
    return i < value->n && integer_at(value->element_type, value->data, i, out);
}

bool tkx__gguf_f64_at(const tkx__gguf_value *value, size_t i, double *out)
{
    int64_t integer;
    float f;

    if (i >= value->n)
        return false;
    if (value->element_type == TKX__GGUF_F32) {
        memcpy(&f, value->data + i * 4, sizeof f);
        *out = (double)f;
        return true;
    }
    if (value->element_type == TKX__GGUF_F64) {
        memcpy(out, value->data + i * 8, sizeof *out);
        return true;
    }
    if (!integer_at(value->element_type, value->data, i, &integer))
        return false;
    *out = (double)integer;
    return true;
}

static const tkx__gguf_value *find_scalar(const tkx__gguf *gguf, const char *key)
{
    const tkx__gguf_value *value = tkx__gguf_find(gguf, key);

    return value && value->type != TKX__GGUF_ARRAY ? value : NULL;
}

bool tkx__gguf_get_u64(const tkx__gguf *gguf, const char *key, uint64_t *out)
{
    const tkx__gguf_value *value = find_scalar(gguf, key);
    int64_t integer;

    if (!value || !tkx__gguf_i64_at(value, 0, &integer) || integer < 0)
        return false;
    *out = (uint64_t)integer;
    return true;
}

bool tkx__gguf_get_f64(const tkx__gguf *gguf, const char *key, double *out)
{
    const tkx__gguf_value *value = find_scalar(gguf, key);

    return value && tkx__gguf_f64_at(value, 0, out);
}

bool tkx__gguf_get_bool(const tkx__gguf *gguf, const char *key, bool *out)
{
    const tkx__gguf_value *value = find_scalar(gguf, key);

    if (!value || value->type != TKX__GGUF_BOOL)
        return false;
    *out = value->data[0] != 0;
    return true;
}

bool tkx__gguf_next_string(const tkx__gguf_value *value, size_t *offset,
                           const char **text, size_t *n)
{
    uint64_t length;

    if (value->element_type != TKX__GGUF_STRING || *offset >= value->size_bytes)
        return false;
    memcpy(&length, value->data + *offset, sizeof length); /* checked when opened */
    *text = (const char *)value->data + *offset + sizeof length;
    *n = (size_t)length;
    *offset += sizeof length + (size_t)length;
    return true;
}

bool tkx__gguf_get_string(const tkx__gguf *gguf, const char *key, const char **text,
                          size_t *n)
{
    const tkx__gguf_value *value = find_scalar(gguf, key);
    size_t offset = 0;

    return value && tkx__gguf_next_string(value, &offset, text, n);
}
