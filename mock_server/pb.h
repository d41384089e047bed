/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pb.h - protobuf wire format by hand: a reader over borrowed bytes, writers into a
 * buffer.
 */
#ifndef MOCK_PB_H
#define MOCK_PB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

typedef struct pb_bytes {
    const unsigned char *data;
    size_t size;
} pb_bytes;

enum { PB_VARINT = 0, PB_FIXED64 = 1, PB_LEN = 2, PB_FIXED32 = 5 };

typedef struct pb_field {
    uint32_t number;
    int wire; /* PB_... */
    uint64_t value;
    pb_bytes bytes; /* PB_LEN */
} pb_field;

typedef struct pb_reader {
    const unsigned char *at;
    const unsigned char *end;
    bool is_broken;
} pb_reader;

pb_reader pb_read(const void *data, size_t size);
/* The next field; false at the end or when broken. */
bool pb_next(pb_reader *r, pb_field *out);
/* Whether f is that field in that wire type; other ones are skipped as unknown. */
bool pb_is(const pb_field *f, uint32_t number, int wire);
bool pb_varint(pb_reader *r, uint64_t *out);
double pb_double(const pb_field *f);

void pb_put_varint(tkx__buf *out, uint64_t value);
void pb_put_uint(tkx__buf *out, uint32_t number, uint64_t value); /* 0 is left out */
void pb_put_bytes(tkx__buf *out, uint32_t number, const void *data, size_t size);
void pb_put_text(tkx__buf *out, uint32_t number, const char *text); /* "" is left out */
void pb_put_double(tkx__buf *out, uint32_t number, double value);
void pb_put_buf(tkx__buf *out, uint32_t number, const tkx__buf *message);

#endif
