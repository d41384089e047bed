/* SPDX-License-Identifier: Apache-2.0 */
/* pb.c - varints, tags and lengths, bounds-checked; little-endian machines only. */
#include "mock_server/pb.h"

#include <string.h>

pb_reader pb_read(const void *data, size_t size)
{
    static const unsigned char nothing;
    pb_reader r = {.at = data ? data : &nothing};
    r.end = r.at + size;
    return r;
}

bool pb_varint(pb_reader *r, uint64_t *out)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 70 && r->at < r->end; shift += 7) {
        unsigned char c = *r->at++;
        if (shift < 64)
            value |= (uint64_t)(c & 0x7F) << shift;
        if (!(c & 0x80)) {
            *out = value;
            return true;
        }
    }
    r->is_broken = true;
    return false;
}

static bool take(pb_reader *r, uint64_t n, pb_bytes *out)
{
    if (n > (uint64_t)(r->end - r->at)) {
        r->is_broken = true;
        return false;
    }
    *out = (pb_bytes){r->at, (size_t)n};
    r->at += n;
    return true;
}

static bool read_value(pb_reader *r, pb_field *f)
{
    uint64_t size;
    pb_bytes fixed;
    switch (f->wire) {
    case PB_VARINT:
        return pb_varint(r, &f->value);
    case PB_LEN:
        return pb_varint(r, &size) && take(r, size, &f->bytes);
    case PB_FIXED64:
    case PB_FIXED32:
        if (!take(r, f->wire == PB_FIXED64 ? 8 : 4, &fixed))
            return false;
        memcpy(&f->value, fixed.data, fixed.size);
        return true;
    default:
        r->is_broken = true; /* groups are long gone */
        return false;
    }
}

bool pb_next(pb_reader *r, pb_field *out)
{
    uint64_t tag;
    if (r->is_broken || r->at >= r->end || !pb_varint(r, &tag))
        return false;
    *out = (pb_field){.number = (uint32_t)(tag >> 3), .wire = (int)(tag & 7)};
    if (tag >> 3 == 0 || tag >> 32 != 0) {
        r->is_broken = true;
        return false;
    }
    return read_value(r, out);
}

bool pb_is(const pb_field *f, uint32_t number, int wire)
{
    return f->number == number && f->wire == wire;
}

double pb_double(const pb_field *f)
{
    double d;
    memcpy(&d, &f->value, sizeof d);
    return d;
}

void pb_put_varint(tkx__buf *out, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        tkx__buf_putc(out, (char)(value | 0x80));
    tkx__buf_putc(out, (char)value);
}

void pb_put_uint(tkx__buf *out, uint32_t number, uint64_t value)
{
    if (!value)
        return;
    pb_put_varint(out, (uint64_t)number << 3 | PB_VARINT);
    pb_put_varint(out, value);
}

void pb_put_bytes(tkx__buf *out, uint32_t number, const void *data, size_t size)
{
    pb_put_varint(out, (uint64_t)number << 3 | PB_LEN);
    pb_put_varint(out, size);
    tkx__buf_append(out, data ? data : "", size);
}

void pb_put_text(tkx__buf *out, uint32_t number, const char *text)
{
    if (*text)
        pb_put_bytes(out, number, text, strlen(text));
}

void pb_put_double(tkx__buf *out, uint32_t number, double value)
{
    pb_put_varint(out, (uint64_t)number << 3 | PB_FIXED64);
    tkx__buf_append(out, &value, sizeof value);
}

void pb_put_buf(tkx__buf *out, uint32_t number, const tkx__buf *message)
{
    if (message->status != TKX_OK)
        out->status = message->status;
    pb_put_bytes(out, number, message->data, message->size);
}
