/* SPDX-License-Identifier: Apache-2.0 */
/* model_input.c - chunks in JSON, sizes, and the header of an audio container. */
#include "types/model_input.h"

#include <string.h>

#include "base/error.h"
#include "base/mem.h"

size_t tkx__model_input_bytes(const tkx_model_input *input, size_t bytes_per_token)
{
    size_t total = 0;

    for (size_t i = 0; i < input->n_chunks; i++) {
        const tkx_chunk *c = &input->chunks[i];

        if (c->kind == TKX_CHUNK_TEXT)
            total += c->n_tokens * bytes_per_token;
        else if (c->kind == TKX_CHUNK_IMAGE_POINTER)
            total += c->location ? strlen(c->location) : 0;
        else
            total += c->n_bytes;
    }
    return total;
}

static void write_image(tkx__json_writer *w, const tkx_chunk *c)
{
    bool is_pointer = c->kind == TKX_CHUNK_IMAGE_POINTER;

    if (!is_pointer) {
        tkx__json_put_key(w, "data");
        tkx__json_put_base64(w, c->bytes, c->n_bytes);
    }
    tkx__json_member_string(w, "format", c->format);
    if (is_pointer)
        tkx__json_member_string(w, "location", c->location);
    if (c->has_expected_tokens)
        tkx__json_member_i64(w, "expected_tokens", c->expected_tokens);
    tkx__json_member_string(w, "type", is_pointer ? "image_asset_pointer" : "image");
}

static void write_chunk(tkx__json_writer *w, const tkx_chunk *c)
{
    tkx__json_begin_object(w);
    switch (c->kind) {
    case TKX_CHUNK_TEXT:
        tkx__json_put_key(w, "tokens");
        tkx__json_put_i32s(w, c->tokens, c->n_tokens);
        tkx__json_member_string(w, "type", "encoded_text");
        break;
    case TKX_CHUNK_DMEL:
        tkx__json_put_key(w, "dmel");
        tkx__json_put_base64(w, c->bytes, c->n_bytes);
        tkx__json_member_string(w, "type", "dmel");
        break;
    case TKX_CHUNK_IMAGE:
    case TKX_CHUNK_IMAGE_POINTER:
        write_image(w, c);
        break;
    default:
        tkx__json_write_fail(w, TKX_ERR_INVALID_ARGUMENT, "unknown kind of chunk");
    }
    tkx__json_end_object(w);
}

void tkx__model_input_write_json(tkx__json_writer *w, const tkx_model_input *input)
{
    tkx__json_begin_object(w);
    tkx__json_put_key(w, "chunks");
    tkx__json_begin_array(w);
    for (size_t i = 0; i < input->n_chunks; i++)
        write_chunk(w, &input->chunks[i]);
    tkx__json_end_array(w);
    tkx__json_end_object(w);
}

static bool varint(const unsigned char **p, const unsigned char *end, uint64_t *out)
{
    *out = 0;
    for (int shift = 0; shift < 64 && *p < end; shift += 7) {
        unsigned char byte = *(*p)++;

        *out |= (uint64_t)(byte & 0x7F) << shift;
        if (!(byte & 0x80))
            return true;
    }
    return false;
}

/* First dimension of a TensorContainer: [254] dtype ndim dim... payload. */
static bool dmel_length(const tkx_chunk *c, size_t *length)
{
    const unsigned char *p = c->bytes;
    const unsigned char *end = p + c->n_bytes;
    uint64_t n_dims;
    uint64_t first;

    if (p < end && *p == 254)
        p++;
    if (p == end || *p++ > 7)
        return false;
    if (!varint(&p, end, &n_dims) || n_dims == 0 || !varint(&p, end, &first))
        return false;
    if (first > SIZE_MAX)
        return false;
    *length = (size_t)first;
    return true;
}

static tkx_status chunk_length(const tkx_chunk *c, size_t at, size_t *length,
                               tkx_error **err)
{
    if (c->kind == TKX_CHUNK_TEXT) {
        *length = c->n_tokens;
        return TKX_OK;
    }
    if (c->kind == TKX_CHUNK_DMEL) {
        if (!dmel_length(c, length))
            return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                             "chunk %zu: the audio container's header cannot be read",
                             at);
        return TKX_OK;
    }
    if (!c->has_expected_tokens || c->expected_tokens < 0)
        return tkx__fail(
            err, TKX_ERR_INVALID_ARGUMENT,
            "chunk %zu: an image without expected_tokens has no known length; "
            "set expected_tokens",
            at);
    *length = (size_t)c->expected_tokens;
    return TKX_OK;
}

tkx_status tkx_model_input_length(const tkx_model_input *input, size_t *n_tokens,
                                  tkx_error **err)
{
    size_t total = 0;

    *n_tokens = 0;
    for (size_t i = 0; i < input->n_chunks; i++) {
        size_t length = 0;
        tkx_status st = chunk_length(&input->chunks[i], i, &length, err);

        if (st != TKX_OK)
            return st;
        if (!tkx__add(total, length, &total))
            return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                             "chunk %zu: impossible length", i);
    }
    *n_tokens = total;
    return TKX_OK;
}
