/* SPDX-License-Identifier: Apache-2.0 */
/*
 * forward_backward_proto.c - the training request in protobuf, pulled in slices.
 *
 * The message is a row of pieces: framing (tags, lengths, names, shapes), which is
 * written once into one small block, and the caller's arrays, which stay where they are.
 * A read copies from the pieces that its slice covers.  One allocation per request;
 * immutable after it was made, so any thread may read.
 */
#include <zstd.h>

#include "base/error.h"
#include "base/mem.h"
#include "types/datum.h"
#include "types/forward_backward.h"
#include "types/forward_backward_in.h"
#include "types/proto_wire.h"
#include "types/tensor.h"

typedef struct piece {
    const char *bytes;
    size_t at; /* offset in the message */
} piece;

struct tkx__forward_backward_body {
    size_t size;
    size_t n_pieces;
    char *framing;
    piece pieces[]; /* [n_pieces], then one at the end of the message, then the framing */
};

typedef struct writer {
    tkx__forward_backward_body *body;
    char *to;    /* in the framing */
    char *begun; /* framing that is not a piece yet */
    size_t at;   /* message bytes that are pieces */
} writer;

static void add_piece(writer *w, const char *bytes, size_t size)
{
    if (!size)
        return;
    w->body->pieces[w->body->n_pieces++] = (piece){bytes, w->at};
    w->at += size;
}

static void put_array(writer *w, const void *bytes, size_t size)
{
    add_piece(w, w->begun, (size_t)(w->to - w->begun));
    w->begun = w->to;
    add_piece(w, bytes, size);
}

static void put_len(writer *w, unsigned number, size_t size)
{
    w->to = tkx__put_len(w->to, number, size);
}

/* Map keys and oneof members are written even when empty. */
static void put_text(writer *w, unsigned number, const char *text, bool is_kept)
{
    size_t n = strlen(text);

    if (!n && !is_kept)
        return;
    put_len(w, number, n);
    memcpy(w->to, text, n);
    w->to += n;
}

static void put_bytes(writer *w, unsigned number, const void *bytes, size_t size)
{
    if (!size)
        return;
    put_len(w, number, size);
    put_array(w, bytes, size);
}

static void put_int(writer *w, unsigned number, int64_t value)
{
    if (!value)
        return;
    w->to = tkx__put_tag(w->to, number, TKX__WIRE_VARINT);
    w->to = tkx__put_varint(w->to, (uint64_t)value);
}

static void put_double(writer *w, unsigned number, double value)
{
    w->to = tkx__put_tag(w->to, number, TKX__WIRE_I64);
    memcpy(w->to, &value, sizeof value);
    w->to += sizeof value;
}

static void put_chunk(writer *w, const tkx_chunk *c)
{
    size_t inner = tkx__fb_chunk_inner_size(c);
    unsigned member = c->kind == TKX_CHUNK_TEXT ? 1 : c->kind == TKX_CHUNK_IMAGE ? 2 : 3;

    put_len(w, 1, tkx__len_field(inner));
    put_len(w, member, inner);
    if (c->kind == TKX_CHUNK_TEXT) {
        put_bytes(w, 1, c->tokens, c->n_tokens * sizeof *c->tokens);
        return;
    }
    put_bytes(w, 1, c->bytes, c->n_bytes);
    if (c->kind != TKX_CHUNK_IMAGE)
        return;
    put_text(w, 2, c->format, false);
    if (c->has_expected_tokens) { /* explicit presence: written when 0, too */
        w->to = tkx__put_tag(w->to, 3, TKX__WIRE_VARINT);
        w->to = tkx__put_varint(w->to, (uint64_t)c->expected_tokens);
    }
}

static void put_tensor(writer *w, const tkx_tensor *t)
{
    size_t n_bytes = t->n_values * tkx__dtype_size(t->dtype);
    size_t shape = tkx__fb_shape_size(t);

    if (t->is_sparse) {
        put_len(w, 2, tkx__fb_csr_size(t));
        put_bytes(w, 1, t->values.any, n_bytes);
        put_bytes(w, 2, t->crow, t->n_crow * sizeof *t->crow);
        put_bytes(w, 3, t->col, t->n_col * sizeof *t->col);
    } else {
        put_len(w, 1, n_bytes); /* also when empty: a oneof member */
        put_array(w, t->values.any, n_bytes);
    }
    put_int(w, 3, t->dtype);
    if (!shape)
        return;
    put_len(w, 4, shape);
    if (!t->has_shape)
        w->to = tkx__put_varint(w->to, t->n_values);
    for (size_t i = 0; t->has_shape && i < t->n_dims; i++)
        w->to = tkx__put_varint(w->to, (uint64_t)t->shape[i]);
}

static void put_spans(writer *w, unsigned number, const tkx_span *spans, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const tkx_span *s = &spans[i];
        size_t inner = tkx__fb_span_inner_size(s);

        put_len(w, number, tkx__len_field(inner));
        put_len(w, s->is_sampled ? 2 : 1, inner);
        put_text(w, 1, s->sequence_id, false);
        put_int(w, 2, s->offset);
        put_int(w, 3, s->length);
    }
}

static void put_datum(writer *w, const tkx_datum *d)
{
    put_len(w, 3, tkx__fb_datum_size(d));
    for (size_t i = 0; i < d->model_input.n_chunks; i++)
        put_chunk(w, &d->model_input.chunks[i]);
    for (size_t i = 0; i < d->n_loss_fn_inputs; i++) {
        const tkx_named_tensor *input = &d->loss_fn_inputs[i];

        put_len(w, 2, tkx__fb_input_entry_size(input));
        put_text(w, 1, input->name, true);
        put_len(w, 2, tkx__fb_tensor_size(&input->tensor));
        put_tensor(w, &input->tensor);
    }
    put_spans(w, 3, d->model_input_spans, d->n_model_input_spans);
    put_spans(w, 4, d->loss_fn_input_spans, d->n_loss_fn_input_spans);
}

/* Numbers go into both maps: older servers know field 5 only. */
static void put_settings(writer *w, const tkx_loss *loss, unsigned number)
{
    for (size_t i = 0; i < loss->n_settings; i++) {
        const tkx_loss_setting *s = &loss->settings[i];

        if (number == 5 && s->text)
            continue;
        put_len(w, number,
                number == 5 ? tkx__fb_number_entry_size(s)
                            : tkx__fb_setting_entry_size(s));
        put_text(w, 1, s->key, true);
        if (number == 7)
            put_len(w, 2, tkx__fb_setting_value_size(s));
        if (number == 5)
            put_double(w, 2, s->number);
        else if (s->text)
            put_text(w, 2, s->text, true);
        else
            put_double(w, 1, s->number);
    }
}

static void put_request(writer *w, const tkx_forward_backward_request *q)
{
    put_text(w, 1, q->model_id, false);
    put_int(w, 2, q->seq_id);
    for (size_t i = 0; i < q->n_data; i++)
        put_datum(w, &q->data[i]);
    put_text(w, 4, q->loss.name, false);
    put_settings(w, &q->loss, 5);
    put_int(w, 6, q->is_forward_only);
    put_settings(w, &q->loss, 7);
    put_array(w, NULL, 0); /* what framing is left */
    w->body->pieces[w->body->n_pieces] = (piece){NULL, w->at};
}

/* Arrays of the request, and their bytes. */
static size_t count_arrays(const tkx_forward_backward_request *q, size_t *n_bytes)
{
    size_t n = 0;

    *n_bytes = 0;
    for (size_t i = 0; i < q->n_data; i++) {
        const tkx_datum *d = &q->data[i];

        *n_bytes += tkx__datum_bytes(d);
        n += d->model_input.n_chunks;
        for (size_t k = 0; k < d->n_loss_fn_inputs; k++)
            n += d->loss_fn_inputs[k].tensor.is_sparse ? 3 : 1;
    }
    return n;
}

tkx_status tkx__forward_backward_body_new(const tkx_forward_backward_request *request,
                                          tkx__forward_backward_body **out,
                                          tkx_error **err)
{
    tkx__forward_backward_body *body;
    tkx_status st = tkx__fb_check(request, err);
    size_t size;
    size_t n_pieces;
    size_t n_array_bytes;
    writer w;

    *out = NULL;
    if (st != TKX_OK)
        return st;
    size = tkx__fb_request_size(request);
    if (size > INT32_MAX)
        return tkx__fail(
            err, TKX_ERR_LIMIT,
            "forward_backward: %zu bytes pass protobuf's limit of 2 GiB; send "
            "fewer datums in one request",
            size);
    n_pieces = 2 * count_arrays(request, &n_array_bytes) + 2;
    body = tkx__malloc(sizeof *body + n_pieces * sizeof(piece) + (size - n_array_bytes));
    if (!body)
        return tkx__fail_memory(err);
    body->size = size;
    body->n_pieces = 0;
    body->framing = (char *)(body->pieces + n_pieces);
    w = (writer){body, body->framing, body->framing, 0};
    put_request(&w, request);
    *out = body;
    return TKX_OK;
}

void tkx__forward_backward_body_free(tkx__forward_backward_body *body)
{
    tkx__free(body);
}

size_t tkx__forward_backward_body_size(const tkx__forward_backward_body *body)
{
    return body->size;
}

/* The last piece that begins at or before offset. */
static size_t find_piece(const tkx__forward_backward_body *body, size_t offset)
{
    size_t lo = 0;
    size_t hi = body->n_pieces;

    while (hi - lo > 1) {
        size_t mid = lo + (hi - lo) / 2;

        if (body->pieces[mid].at <= offset)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

ssize_t tkx__forward_backward_body_read(void *ctx, uint64_t offset64, char *to, size_t n)
{
    const tkx__forward_backward_body *body = ctx;
    size_t offset;
    size_t done = 0;

    if (offset64 >= body->size)
        return 0;
    offset = (size_t)offset64;
    n = n < body->size - offset ? n : body->size - offset;
    for (size_t i = find_piece(body, offset); done < n; i++) {
        size_t skip = offset + done - body->pieces[i].at;
        size_t have = body->pieces[i + 1].at - body->pieces[i].at - skip;
        size_t take = have < n - done ? have : n - done;

        memcpy(to + done, body->pieces[i].bytes + skip, take);
        done += take;
    }
    return (ssize_t)n;
}

tkx_status tkx__forward_backward_body_compress(tkx__forward_backward_body *body,
                                               tkx__buf *buf, tkx_error **err)
{
    size_t bound = ZSTD_compressBound(body->size);
    char *plain = tkx__malloc(body->size ? body->size : 1);
    char *to = tkx__buf_reserve(buf, bound);
    size_t n;

    if (!plain || !to) {
        tkx__free(plain);
        return tkx__fail_memory(err);
    }
    tkx__forward_backward_body_read(body, 0, plain, body->size);
    n = ZSTD_compress(to, bound, plain, body->size, ZSTD_CLEVEL_DEFAULT);
    tkx__free(plain);
    if (ZSTD_isError(n))
        return tkx__fail(err, TKX_ERR_UNSUPPORTED, "forward_backward: zstd: %s",
                         ZSTD_getErrorName(n));
    tkx__buf_grew(buf, n);
    return TKX_OK;
}
