/* SPDX-License-Identifier: Apache-2.0 */
/* proto_wire.c - stepping through protobuf fields of bytes nobody vouches for. */
#include "types/proto_wire.h"

enum { WIRE_GROUP = 3, WIRE_GROUP_END = 4, MAX_GROUPS = 64 };

bool tkx__wire_varint(tkx__wire *w, uint64_t *value)
{
    *value = 0;
    for (int shift = 0; shift < 70 && w->at < w->end; shift += 7) {
        unsigned char byte = (unsigned char)*w->at++;

        if (shift < 64)
            *value |= (uint64_t)(byte & 0x7F) << shift;
        if (!(byte & 0x80))
            return true;
    }
    w->is_bad = true;
    return false;
}

static bool fixed(tkx__wire *w, size_t size, uint64_t *value)
{
    if ((size_t)(w->end - w->at) < size) {
        w->is_bad = true;
        return false;
    }
    *value = 0;
    memcpy(value, w->at, size);
    w->at += size;
    return true;
}

static bool delimited(tkx__wire *w, tkx__wire_field *f)
{
    uint64_t size;

    if (!tkx__wire_varint(w, &size))
        return false;
    if (size > (uint64_t)(w->end - w->at)) {
        w->is_bad = true;
        return false;
    }
    f->bytes = w->at;
    f->size = (size_t)size;
    w->at += size;
    return true;
}

/* One tag and what follows it; groups only open or close. */
static bool take(tkx__wire *w, tkx__wire_field *f)
{
    uint64_t tag;

    if (!tkx__wire_varint(w, &tag))
        return false;
    f->number = tag >> 3;
    f->wire = (unsigned)(tag & 7);
    if (f->number == 0 || f->number > 0x1FFFFFFF) {
        w->is_bad = true;
        return false;
    }
    switch (f->wire) {
    case TKX__WIRE_VARINT:
        return tkx__wire_varint(w, &f->value);
    case TKX__WIRE_I64:
        return fixed(w, 8, &f->value);
    case TKX__WIRE_LEN:
        return delimited(w, f);
    case TKX__WIRE_I32:
        return fixed(w, 4, &f->value);
    case WIRE_GROUP:
    case WIRE_GROUP_END:
        return true;
    default:
        w->is_bad = true;
        return false;
    }
}

bool tkx__wire_next(tkx__wire *w, tkx__wire_field *f)
{
    uint32_t open[MAX_GROUPS]; /* their numbers: an end must fit its begin */
    int n_groups = 0;

    while (!w->is_bad && (w->at < w->end || n_groups)) {
        if (w->at == w->end || !take(w, f))
            break;
        if (f->wire == WIRE_GROUP && n_groups < MAX_GROUPS)
            open[n_groups++] = (uint32_t)f->number;
        else if (f->wire == WIRE_GROUP_END && n_groups > 0 &&
                 open[n_groups - 1] == f->number)
            n_groups--;
        else if (f->wire == WIRE_GROUP || f->wire == WIRE_GROUP_END)
            w->is_bad = true;
        else if (!n_groups)
            return true;
    }
    if (w->at < w->end || n_groups)
        w->is_bad = true;
    return false;
}
