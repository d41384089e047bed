/* SPDX-License-Identifier: Apache-2.0 */
/*
 * forward_backward_size.c - how long each message of the training request is, and whether
 * it can be written at all.
 */
#include "types/forward_backward_in.h"

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "types/proto_wire.h"
#include "types/tensor.h"

static size_t text_field(const char *text)
{
    size_t n = strlen(text);

    return n ? tkx__len_field(n) : 0;
}

static size_t bytes_field(size_t size)
{
    return size ? tkx__len_field(size) : 0;
}

static size_t int_field(int64_t value)
{
    return value ? 1 + tkx__varint_size((uint64_t)value) : 0;
}

size_t tkx__fb_chunk_inner_size(const tkx_chunk *c)
{
    if (c->kind == TKX_CHUNK_TEXT)
        return bytes_field(c->n_tokens * sizeof(int32_t));
    if (c->kind == TKX_CHUNK_DMEL)
        return bytes_field(c->n_bytes);
    return bytes_field(c->n_bytes) + text_field(c->format) +
           (c->has_expected_tokens ? 1 + tkx__varint_size((uint64_t)c->expected_tokens)
                                   : 0);
}

size_t tkx__fb_shape_size(const tkx_tensor *t)
{
    size_t size = 0;

    if (!t->has_shape)
        return t->is_sparse ? 0 : tkx__varint_size(t->n_values);
    for (size_t i = 0; i < t->n_dims; i++)
        size += tkx__varint_size((uint64_t)t->shape[i]);
    return size;
}

size_t tkx__fb_csr_size(const tkx_tensor *t)
{
    return bytes_field(t->n_values * tkx__dtype_size(t->dtype)) +
           bytes_field(8 * t->n_crow) + bytes_field(8 * t->n_col);
}

size_t tkx__fb_tensor_size(const tkx_tensor *t)
{
    size_t encoding =
        t->is_sparse ? tkx__fb_csr_size(t) : t->n_values * tkx__dtype_size(t->dtype);

    return tkx__len_field(encoding) + 2 + bytes_field(tkx__fb_shape_size(t));
}

size_t tkx__fb_input_entry_size(const tkx_named_tensor *input)
{
    return tkx__len_field(strlen(input->name)) +
           tkx__len_field(tkx__fb_tensor_size(&input->tensor));
}

size_t tkx__fb_span_inner_size(const tkx_span *s)
{
    return text_field(s->sequence_id) + int_field(s->offset) + int_field(s->length);
}

static size_t spans_size(const tkx_span *spans, size_t n)
{
    size_t size = 0;

    for (size_t i = 0; i < n; i++)
        size += tkx__len_field(tkx__len_field(tkx__fb_span_inner_size(&spans[i])));
    return size;
}

size_t tkx__fb_datum_size(const tkx_datum *d)
{
    size_t size = 0;

    for (size_t i = 0; i < d->model_input.n_chunks; i++)
        size += tkx__len_field(
            tkx__len_field(tkx__fb_chunk_inner_size(&d->model_input.chunks[i])));
    for (size_t i = 0; i < d->n_loss_fn_inputs; i++)
        size += tkx__len_field(tkx__fb_input_entry_size(&d->loss_fn_inputs[i]));
    return size + spans_size(d->model_input_spans, d->n_model_input_spans) +
           spans_size(d->loss_fn_input_spans, d->n_loss_fn_input_spans);
}

size_t tkx__fb_number_entry_size(const tkx_loss_setting *s)
{
    return tkx__len_field(strlen(s->key)) + 9;
}

size_t tkx__fb_setting_value_size(const tkx_loss_setting *s)
{
    return s->text ? tkx__len_field(strlen(s->text)) : 9;
}

size_t tkx__fb_setting_entry_size(const tkx_loss_setting *s)
{
    return tkx__len_field(strlen(s->key)) + tkx__len_field(tkx__fb_setting_value_size(s));
}

size_t tkx__fb_request_size(const tkx_forward_backward_request *q)
{
    size_t size = text_field(q->model_id) + int_field(q->seq_id) +
                  text_field(q->loss.name) + (q->is_forward_only ? 2 : 0);

    for (size_t i = 0; i < q->n_data; i++)
        size += tkx__len_field(tkx__fb_datum_size(&q->data[i]));
    for (size_t i = 0; i < q->loss.n_settings; i++) {
        const tkx_loss_setting *s = &q->loss.settings[i];

        if (!s->text)
            size += tkx__len_field(tkx__fb_number_entry_size(s));
        size += tkx__len_field(tkx__fb_setting_entry_size(s));
    }
    return size;
}

static bool is_text(const char *text)
{
    return text && tkx__utf8_valid_prefix(text, strlen(text)) == strlen(text);
}

static tkx_status check_chunk(const tkx_chunk *c, size_t datum, size_t at,
                              tkx_error **err)
{
    if (c->kind == TKX_CHUNK_IMAGE_POINTER)
        return tkx__fail(
            err, TKX_ERR_INVALID_ARGUMENT,
            "datum %zu, chunk %zu: an image pointer cannot be used for training; "
            "send the image's bytes",
            datum, at);
    if (c->kind == TKX_CHUNK_IMAGE && !is_text(c->format))
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "datum %zu, chunk %zu: an image needs a format", datum, at);
    if (c->kind != TKX_CHUNK_TEXT && c->kind != TKX_CHUNK_IMAGE &&
        c->kind != TKX_CHUNK_DMEL)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "datum %zu, chunk %zu: unknown kind %d", datum, at,
                         (int)c->kind);
    return TKX_OK;
}

static tkx_status check_spans(const tkx_span *spans, size_t n, size_t datum,
                              tkx_error **err)
{
    for (size_t i = 0; i < n; i++)
        if (!is_text(spans[i].sequence_id))
            return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                             "datum %zu, span %zu: the sequence id is not UTF-8 text",
                             datum, i);
    return TKX_OK;
}

static tkx_status check_datum(const tkx_datum *d, size_t at, tkx_error **err)
{
    tkx_status st = TKX_OK;

    for (size_t i = 0; st == TKX_OK && i < d->model_input.n_chunks; i++)
        st = check_chunk(&d->model_input.chunks[i], at, i, err);
    for (size_t i = 0; st == TKX_OK && i < d->n_loss_fn_inputs; i++) {
        const tkx_named_tensor *input = &d->loss_fn_inputs[i];

        if (!is_text(input->name))
            st =
                tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                          "datum %zu, loss input %zu: the name is not UTF-8 text", at, i);
        else if (input->tensor.dtype != TKX_DTYPE_FLOAT32 &&
                 input->tensor.dtype != TKX_DTYPE_INT64)
            st = tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                           "datum %zu, loss input \"%.60s\": unknown dtype %d", at,
                           input->name, (int)input->tensor.dtype);
    }
    if (st == TKX_OK)
        st = check_spans(d->model_input_spans, d->n_model_input_spans, at, err);
    if (st == TKX_OK)
        st = check_spans(d->loss_fn_input_spans, d->n_loss_fn_input_spans, at, err);
    return st;
}

tkx_status tkx__fb_check(const tkx_forward_backward_request *q, tkx_error **err)
{
    tkx_status st = TKX_OK;

    if (!is_text(q->model_id) || !is_text(q->loss.name))
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "forward_backward: model id and loss must be UTF-8 text");
    if (q->seq_id < 0 || q->seq_id > INT32_MAX)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "forward_backward: seq_id %lld does not fit 32 bits",
                         (long long)q->seq_id);
    for (size_t i = 0; i < q->loss.n_settings; i++)
        if (!is_text(q->loss.settings[i].key) ||
            (q->loss.settings[i].text && !is_text(q->loss.settings[i].text)))
            return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                             "forward_backward: loss setting %zu is not UTF-8 text", i);
    for (size_t i = 0; st == TKX_OK && i < q->n_data; i++)
        st = check_datum(&q->data[i], i, err);
    return st;
}
