/* SPDX-License-Identifier: Apache-2.0 */
/*
 * types/proto_wire.h - protobuf framing: sizes and writing, and a reader of fields.
 *
 * Arrays travel as their bytes in memory, so the host must be little-endian.
 */
#ifndef TKX_TYPES_PROTO_WIRE_H
#define TKX_TYPES_PROTO_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "arrays are sent as they are");

enum { TKX__WIRE_VARINT = 0, TKX__WIRE_I64 = 1, TKX__WIRE_LEN = 2, TKX__WIRE_I32 = 5 };

static inline size_t tkx__varint_size(uint64_t v)
{
    return (size_t)(9 * (64 - __builtin_clzll(v | 1)) + 64) / 64;
}

static inline char *tkx__put_varint(char *to, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        *to++ = (char)(unsigned char)(v | 0x80);
    *to++ = (char)v;
    return to;
}

/* A length-delimited field of size bytes, its one-byte tag and length included. */
static inline size_t tkx__len_field(size_t size)
{
    return 1 + tkx__varint_size(size) + size;
}

static inline char *tkx__put_tag(char *to, unsigned number, unsigned wire)
{
    *to++ = (char)(number << 3 | wire);
    return to;
}

static inline char *tkx__put_len(char *to, unsigned number, size_t size)
{
    return tkx__put_varint(tkx__put_tag(to, number, TKX__WIRE_LEN), size);
}

typedef struct tkx__wire_field {
    uint64_t number;
    unsigned wire;
    uint64_t value;    /* VARINT, I64, I32 */
    const char *bytes; /* LEN */
    size_t size;
} tkx__wire_field;

typedef struct tkx__wire {
    const char *at;
    const char *end;
    bool is_bad; /* cut short or not protobuf; stays */
} tkx__wire;

static inline tkx__wire tkx__wire_on(const char *bytes, size_t size)
{
    /* An absent field is NULL of size 0, and NULL + 0 is undefined in C. */
    tkx__wire w = {bytes, size ? bytes + size : bytes, false};

    return w;
}

/* The next field; false at the end and when is_bad was set.  Groups are stepped over. */
bool tkx__wire_next(tkx__wire *w, tkx__wire_field *field);
/* The next bare varint of a packed list. */
bool tkx__wire_varint(tkx__wire *w, uint64_t *value);

static inline bool tkx__wire_is(const tkx__wire_field *f, unsigned number, unsigned wire)
{
    return f->number == number && f->wire == wire;
}

#endif
