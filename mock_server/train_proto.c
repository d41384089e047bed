/* SPDX-License-Identifier: Apache-2.0 */
/*
 * train_proto.c - ForwardBackwardRequest from its protobuf bytes.
 *
 * A known field in another wire type is skipped like an unknown one.  Of singular fields
 * the last one counts.  Arrays are copied: tokens widen, and blobs may be unaligned.
 */
#include "mock_server/train_request.h"

#include <string.h>

#include "base/error.h"
#include "mock_server/pb.h"

enum { DTYPE_FLOAT32 = 1, DTYPE_INT64 = 2 };

static tkx_status bad(tkx_error **err, size_t datum, const char *what)
{
    return tkx__fail(err, TKX_ERR_PARSE, "data[%zu]: %s", datum, what);
}

static const char *keep_text(tkx__arena *arena, pb_bytes bytes)
{
    return tkx__arena_strndup(arena, (const char *)bytes.data, bytes.size);
}

static void *keep_bytes(tkx__arena *arena, pb_bytes bytes)
{
    void *copy = tkx__arena_alloc(arena, bytes.size / 8 + 1, 8);
    if (copy && bytes.size)
        memcpy(copy, bytes.data, bytes.size);
    return copy;
}

typedef struct raw_tensor {
    pb_bytes values;
    pb_bytes crow;
    pb_bytes col;
    bool is_sparse;
    uint64_t dtype;
    int64_t shape[8];
    size_t n_dims;
} raw_tensor;

static bool read_sparse(pb_bytes message, raw_tensor *t)
{
    pb_reader r = pb_read(message.data, message.size);
    pb_field f;
    t->is_sparse = true;
    while (pb_next(&r, &f)) {
        if (pb_is(&f, 1, PB_LEN))
            t->values = f.bytes;
        else if (pb_is(&f, 2, PB_LEN))
            t->crow = f.bytes;
        else if (pb_is(&f, 3, PB_LEN))
            t->col = f.bytes;
    }
    return !r.is_broken;
}

static bool read_shape(pb_bytes packed, raw_tensor *t)
{
    pb_reader r = pb_read(packed.data, packed.size);
    uint64_t value;
    while (r.at < r.end) {
        if (t->n_dims == 8 || !pb_varint(&r, &value))
            return false;
        t->shape[t->n_dims++] = (int64_t)value;
    }
    return true;
}

static bool read_raw_tensor(pb_bytes message, raw_tensor *t)
{
    pb_reader r = pb_read(message.data, message.size);
    pb_field f;
    bool ok = true;
    *t = (raw_tensor){0};
    while (ok && pb_next(&r, &f)) {
        if (pb_is(&f, 1, PB_LEN)) {
            t->values = f.bytes;
            t->is_sparse = false;
        } else if (pb_is(&f, 2, PB_LEN)) {
            ok = read_sparse(f.bytes, t);
        } else if (pb_is(&f, 3, PB_VARINT)) {
            t->dtype = f.value;
        } else if (pb_is(&f, 4, PB_LEN)) {
            ok = read_shape(f.bytes, t);
        } else if (pb_is(&f, 4, PB_VARINT)) {
            ok = t->n_dims < 8;
            if (ok)
                t->shape[t->n_dims++] = (int64_t)f.value;
        }
    }
    return ok && !r.is_broken;
}

static tkx_status make_tensor(tkx__arena *arena, const raw_tensor *raw, size_t datum,
                              train_tensor *t, tkx_error **err)
{
    size_t width = raw->dtype == DTYPE_INT64 ? 8 : 4;
    void *values;
    if (raw->dtype != DTYPE_INT64 && raw->dtype != DTYPE_FLOAT32)
        return bad(err, datum, "a tensor is FLOAT32 or INT64");
    if (raw->values.size % width || raw->crow.size % 8 || raw->col.size % 8)
        return bad(err, datum, "a tensor's bytes are no whole number of elements");
    values = keep_bytes(arena, raw->values);
    *t = (train_tensor){.is_int = width == 8, .n = raw->values.size / width};
    t->floats = t->is_int ? NULL : values;
    t->ints = t->is_int ? values : NULL;
    t->n_dims = raw->n_dims;
    t->has_shape = raw->n_dims > 0; /* without one: a list, also of one value */
    t->shape = keep_bytes(arena, (pb_bytes){(const unsigned char *)raw->shape,
                                            raw->n_dims * sizeof *raw->shape});
    if (raw->is_sparse) {
        t->crow = keep_bytes(arena, raw->crow);
        t->n_crow = raw->crow.size / 8;
        t->col = keep_bytes(arena, raw->col);
        t->n_col = raw->col.size / 8;
    }
    if (!values || !t->shape || (raw->is_sparse && (!t->crow || !t->col)))
        return tkx__fail_memory(err);
    return TKX_OK;
}

/* A map entry of the datum's loss inputs. */
static tkx_status read_input_entry(tkx__arena *arena, pb_bytes entry, size_t i,
                                   nn_datum *out, tkx_error **err)
{
    pb_reader r = pb_read(entry.data, entry.size);
    const char *key = "";
    raw_tensor raw = {0};
    train_tensor t;
    tkx_status st;
    pb_field f;
    while (pb_next(&r, &f)) {
        if (pb_is(&f, 1, PB_LEN) && !(key = keep_text(arena, f.bytes)))
            return tkx__fail_memory(err);
        if (pb_is(&f, 2, PB_LEN) && !read_raw_tensor(f.bytes, &raw))
            return bad(err, i, "a broken tensor");
    }
    if (r.is_broken)
        return bad(err, i, "a broken entry of loss_fn_inputs");
    st = make_tensor(arena, &raw, i, &t, err);
    return st == TKX_OK ? train_datum_set(arena, out, i, key, &t, err) : st;
}

static tkx_status read_chunk(pb_bytes chunk, size_t i, int64_t *to, size_t *n,
                             tkx_error **err)
{
    pb_reader r = pb_read(chunk.data, chunk.size);
    pb_bytes text = {0}, tokens = {0};
    pb_field f;
    while (pb_next(&r, &f)) {
        if (pb_is(&f, 1, PB_LEN))
            text = f.bytes;
        else if (pb_is(&f, 2, PB_LEN) || pb_is(&f, 3, PB_LEN))
            return tkx__fail(
                err, TKX_ERR_INVALID_ARGUMENT,
                "data[%zu]: an image or audio chunk: this server's models read "
                "text alone",
                i);
    }
    if (r.is_broken)
        return bad(err, i, "a broken chunk");
    r = pb_read(text.data, text.size);
    while (pb_next(&r, &f))
        if (pb_is(&f, 1, PB_LEN))
            tokens = f.bytes;
    if (r.is_broken || tokens.size % 4)
        return bad(err, i, "a broken text chunk");
    for (size_t t = 0; to && t < tokens.size / 4; t++) {
        int32_t token;
        memcpy(&token, tokens.data + 4 * t, 4);
        to[*n + t] = token;
    }
    *n += tokens.size / 4;
    return TKX_OK;
}

/* All chunks of the datum; first to count, then to fill. */
static tkx_status read_chunks(pb_bytes message, size_t i, int64_t *to, size_t *n,
                              tkx_error **err)
{
    pb_reader r = pb_read(message.data, message.size);
    pb_field f;
    *n = 0;
    while (pb_next(&r, &f)) {
        tkx_status st =
            pb_is(&f, 1, PB_LEN) ? read_chunk(f.bytes, i, to, n, err) : TKX_OK;
        if (st != TKX_OK)
            return st;
    }
    return r.is_broken ? bad(err, i, "a broken datum") : TKX_OK;
}

/* The length that a provenance span covers; false when it is no span. */
static bool span_length(pb_bytes span, uint64_t *total)
{
    pb_reader outer = pb_read(span.data, span.size), r;
    pb_bytes inner = {0};
    pb_field f;
    while (pb_next(&outer, &f))
        if (pb_is(&f, 1, PB_LEN) || pb_is(&f, 2, PB_LEN))
            inner = f.bytes;
    r = pb_read(inner.data, inner.size);
    while (pb_next(&r, &f))
        if (pb_is(&f, 3, PB_VARINT)) {
            if (f.value > INT64_MAX || __builtin_add_overflow(*total, f.value, total))
                return false;
        }
    return !outer.is_broken && !r.is_broken;
}

/* Spans tile the input and the targets, or there are none at all. */
static tkx_status check_spans(pb_bytes message, size_t i, const nn_datum *d,
                              tkx_error **err)
{
    pb_reader r = pb_read(message.data, message.size);
    uint64_t total[2] = {0, 0};
    size_t n[2] = {0, 0};
    pb_field f;
    while (pb_next(&r, &f))
        for (uint32_t side = 0; side < 2; side++)
            if (pb_is(&f, 3 + side, PB_LEN)) {
                n[side]++;
                if (!span_length(f.bytes, &total[side]))
                    return bad(err, i, "a broken provenance span");
            }
    if (n[0] == 0 && n[1] == 0)
        return TKX_OK;
    if (n[0] == 0 || n[1] == 0 || total[0] != d->n_tokens ||
        total[1] != (d->k ? d->n_targets / d->k : 0))
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "datum %zu: provenance spans tile model_input and target_tokens "
                         "exactly, or there are none",
                         i);
    return TKX_OK;
}

static tkx_status read_datum(tkx__arena *arena, pb_bytes message, size_t i, nn_datum *out,
                             tkx_error **err)
{
    pb_reader r = pb_read(message.data, message.size);
    size_t n;
    int64_t *tokens;
    pb_field f;
    tkx_status st = read_chunks(message, i, NULL, &n, err);
    if (st != TKX_OK)
        return st;
    out->k = 1;
    tokens = tkx__arena_alloc(arena, n ? n : 1, sizeof *tokens);
    if (!tokens)
        return tkx__fail_memory(err);
    out->tokens = tokens;
    out->n_tokens = n;
    st = read_chunks(message, i, tokens, &n, err);
    while (st == TKX_OK && pb_next(&r, &f))
        if (pb_is(&f, 2, PB_LEN))
            st = read_input_entry(arena, f.bytes, i, out, err);
    if (st == TKX_OK)
        st = check_spans(message, i, out, err);
    return st;
}

/* LossConfigValue: a number, or the text of loss_id. */
static bool read_config_value(tkx__arena *arena, pb_bytes message, double *number,
                              const char **text)
{
    pb_reader r = pb_read(message.data, message.size);
    pb_field f;
    while (pb_next(&r, &f)) {
        if (pb_is(&f, 1, PB_FIXED64))
            *number = pb_double(&f);
        else if (pb_is(&f, 2, PB_LEN))
            *text = keep_text(arena, f.bytes);
    }
    return !r.is_broken;
}

static tkx_status read_config_entry(tkx__arena *arena, pb_bytes entry, train_request *out,
                                    nn_loss_param *params, tkx_error **err)
{
    pb_reader r = pb_read(entry.data, entry.size);
    const char *key = "", *text = NULL;
    double number = 0;
    bool ok = true;
    pb_field f;
    while (ok && pb_next(&r, &f)) {
        if (pb_is(&f, 1, PB_LEN))
            key = keep_text(arena, f.bytes);
        else if (pb_is(&f, 2, PB_FIXED64))
            number = pb_double(&f);
        else if (pb_is(&f, 2, PB_LEN))
            ok = read_config_value(arena, f.bytes, &number, &text);
    }
    if (!ok || r.is_broken || !key)
        return tkx__fail(err, TKX_ERR_PARSE, "loss_fn_config: a broken entry");
    if (text && strcmp(key, "loss_id") == 0)
        out->loss_id = text;
    else if (text)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT, "loss_fn_config.%s is a number",
                         key);
    else
        params[out->loss.n_params++] = (nn_loss_param){key, number};
    return TKX_OK;
}

/* Field 7 alone counts when it is there; older clients fill field 5. */
static tkx_status read_config(tkx__arena *arena, const char *body, size_t size,
                              uint32_t number, train_request *out, tkx_error **err)
{
    pb_reader r = pb_read(body, size), count = r;
    nn_loss_param *params;
    tkx_status st = TKX_OK;
    size_t n = 0;
    pb_field f;
    while (pb_next(&count, &f))
        n += pb_is(&f, number, PB_LEN);
    if (n == 0)
        return number == 7 ? read_config(arena, body, size, 5, out, err) : TKX_OK;
    params = tkx__arena_zalloc(arena, n, sizeof *params);
    if (!params)
        return tkx__fail_memory(err);
    out->loss.params = params;
    while (st == TKX_OK && pb_next(&r, &f))
        if (pb_is(&f, number, PB_LEN))
            st = read_config_entry(arena, f.bytes, out, params, err);
    return st;
}

static tkx_status read_scalars(tkx__arena *arena, const char *body, size_t size,
                               train_request *out, tkx_error **err)
{
    pb_reader r = pb_read(body, size);
    pb_field f;
    out->loss.name = "";
    while (pb_next(&r, &f)) {
        if (pb_is(&f, 1, PB_LEN))
            out->model_id = keep_text(arena, f.bytes);
        else if (pb_is(&f, 2, PB_VARINT))
            out->seq_id = f.value ? (int64_t)(int32_t)f.value : -1; /* 0 is not written */
        else if (pb_is(&f, 3, PB_LEN))
            out->n_datums++;
        else if (pb_is(&f, 4, PB_LEN))
            out->loss.name = keep_text(arena, f.bytes);
        else if (pb_is(&f, 6, PB_VARINT))
            out->is_forward_only = f.value != 0;
    }
    if (!out->model_id || !out->loss.name)
        return tkx__fail_memory(err);
    if (r.is_broken)
        return tkx__fail(err, TKX_ERR_PARSE, "the body is no ForwardBackwardRequest");
    return TKX_OK;
}

tkx_status train_request_read_proto(tkx__arena *arena, const char *body, size_t size,
                                    train_request *out, tkx_error **err)
{
    pb_reader r = pb_read(body, size);
    size_t i = 0;
    pb_field f;
    tkx_status st = read_scalars(arena, body, size, out, err);
    if (st == TKX_OK)
        st = read_config(arena, body, size, 7, out, err);
    if (st != TKX_OK)
        return st;
    out->datums = tkx__arena_zalloc(arena, out->n_datums + 1, sizeof *out->datums);
    if (!out->datums)
        return tkx__fail_memory(err);
    while (st == TKX_OK && pb_next(&r, &f))
        if (pb_is(&f, 3, PB_LEN)) {
            st = read_datum(arena, f.bytes, i, &out->datums[i], err);
            i++;
        }
    return st;
}
