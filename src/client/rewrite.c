/* SPDX-License-Identifier: Apache-2.0 */
/* rewrite.c - see the header.  The bytes come from a file, so every step is bounded. */
#include "client/rewrite.h"

#include <inttypes.h>
#include <string.h>

#include "api/scan.h"
#include "base/error.h"

static bool replace(tkx__buf *out, tkx__span key, const tkx__rewrite *to)
{
    if (to->model_id && tkx__span_is(key, "model_id"))
        tkx__put_quoted(out, to->model_id);
    else if (to->session_id && tkx__span_is(key, "session_id"))
        tkx__put_quoted(out, to->session_id);
    else if (to->seq_id >= 0 && tkx__span_is(key, "seq_id"))
        tkx__buf_printf(out, "%" PRId64, to->seq_id);
    else if (to->model_seq_id >= 0 && tkx__span_is(key, "model_seq_id"))
        tkx__buf_printf(out, "%" PRId64, to->model_seq_id);
    else
        return false;
    return true;
}

static tkx_status ended(const tkx__buf *out, bool is_bad, tkx_error **err)
{
    if (is_bad)
        return tkx__fail(err, TKX_ERR_PARSE,
                         "journal: a request body is not the request it should be");
    return out->status == TKX_OK ? TKX_OK : tkx__fail_memory(err);
}

tkx_status tkx__rewrite_json(const char *text, size_t size, const tkx__rewrite *to,
                             tkx__buf *out, tkx_error **err)
{
    const char *from = text; /* what is not copied yet */
    tkx__span key, value;
    tkx__scan scan;

    if (!tkx__scan_enter(&scan, text, size) || scan.closer != '}')
        return ended(out, true, err);
    while (tkx__scan_member(&scan, &key, &value)) {
        tkx__buf_append(out, from, (size_t)(value.text - from));
        from = value.text;
        if (replace(out, key, to))
            from += value.size;
    }
    tkx__buf_append(out, from, (size_t)(text + size - from));
    return ended(out, scan.is_bad, err);
}

/* --- protobuf -------------------------------------------------------------------- */

enum { FIELD_MODEL_ID = 1, FIELD_SEQ_ID = 2 };

typedef struct cursor {
    const unsigned char *at, *end;
} cursor;

static bool read_varint(cursor *c, uint64_t *out)
{
    *out = 0;
    for (unsigned shift = 0; shift < 64 && c->at < c->end; shift += 7) {
        unsigned char byte = *c->at++;
        *out |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return true;
    }
    return false;
}

static void put_varint(tkx__buf *out, uint64_t value)
{
    do {
        unsigned char byte = value & 0x7f;
        value >>= 7;
        tkx__buf_putc(out, (char)(byte | (value ? 0x80 : 0)));
    } while (value);
}

/* Behind the value of a field with this tag. */
static bool skip_value(cursor *c, uint64_t tag)
{
    uint64_t n = 0;

    switch (tag & 7) {
    case 0:
        return read_varint(c, &n);
    case 1:
        n = 8;
        break;
    case 2:
        if (!read_varint(c, &n))
            return false;
        break;
    case 5:
        n = 4;
        break;
    default:
        return false;
    }
    if (n > (uint64_t)(c->end - c->at))
        return false;
    c->at += n;
    return true;
}

tkx_status tkx__rewrite_proto(const char *bytes, size_t size, const tkx__rewrite *to,
                              tkx__buf *out, tkx_error **err)
{
    cursor c = {(const unsigned char *)bytes, (const unsigned char *)bytes + size};

    while (c.at < c.end) {
        const unsigned char *from = c.at;
        uint64_t tag;
        if (!read_varint(&c, &tag) || !skip_value(&c, tag))
            return ended(out, true, err);
        if (to->model_id && tag == (FIELD_MODEL_ID << 3 | 2)) {
            put_varint(out, tag);
            put_varint(out, strlen(to->model_id));
            tkx__buf_puts(out, to->model_id);
        } else if (to->seq_id >= 0 && tag == FIELD_SEQ_ID << 3) {
            put_varint(out, tag);
            put_varint(out, (uint64_t)to->seq_id);
        } else {
            tkx__buf_append(out, from, (size_t)(c.at - from));
        }
    }
    return ended(out, false, err);
}
