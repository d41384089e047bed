/* SPDX-License-Identifier: Apache-2.0 */
/*
 * forward_body.c - the bodies of forward and forward_backward requests, and what comes
 * back.  Protobuf is read straight from the caller's arrays; JSON where a server reads
 * only that.  Any thread.
 */
#include "client/forward_body.h"

#include "base/mem.h"
#include "types/forward_backward.h"
#include "types/forward_backward_output.h"

#define MAX_BODY ((size_t)2 << 30)

/* A buffer that is a body. */
static void free_text(void *ctx)
{
    tkx__free(ctx);
}

static tkx_status encode_json(const tkx_forward_backward_request *request,
                              tkx__encoded *out, tkx_error **err)
{
    tkx__buf buf;

    tkx__buf_init(&buf, MAX_BODY);
    tkx_status st =
        tkx__forward_backward_encode_json(request, request->is_forward_only, &buf, err);
    if (st == TKX_OK) {
        size_t size;
        char *text = tkx__buf_take(&buf, &size);
        *out = (tkx__encoded){
            .body = {.bytes = text, .size_bytes = size},
            .route = request->is_forward_only ? "forward" : "forward_backward",
            .release = free_text,
            .ctx = text,
        };
    }
    tkx__buf_clear(&buf);
    return st;
}

static void free_body(void *ctx)
{
    tkx__forward_backward_body_free(ctx);
}

static tkx_status compress(tkx__forward_backward_body *body, tkx__encoded *out,
                           tkx_error **err)
{
    tkx__buf buf;

    tkx__buf_init(&buf, MAX_BODY);
    tkx_status st = tkx__forward_backward_body_compress(body, &buf, err);
    if (st == TKX_OK) {
        out->ctx = tkx__buf_take(&buf, &out->body.size_bytes);
        out->body.bytes = out->ctx;
        out->content_encoding = "zstd";
        out->release = free_text;
    }
    tkx__buf_clear(&buf);
    tkx__forward_backward_body_free(body);
    return st;
}

static tkx_status encode_protobuf(const tkx_forward_backward_request *request,
                                  bool is_compressed, tkx__encoded *out, tkx_error **err)
{
    tkx__forward_backward_body *body = NULL;
    tkx_status st = tkx__forward_backward_body_new(request, &body, err);

    if (st != TKX_OK)
        return st;
    *out = (tkx__encoded){.route = "forward_backward",
                          .content_type = "application/x-protobuf"};
    if (is_compressed)
        return compress(body, out, err);
    out->body = (tkx__body){.size_bytes = tkx__forward_backward_body_size(body),
                            .read = tkx__forward_backward_body_read,
                            .ctx = body};
    out->release = free_body;
    out->ctx = body;
    return TKX_OK;
}

tkx_status tkx__forward_body_encode(const tkx_forward_backward_request *request,
                                    tkx__encoding encoding, const tkx__site *site,
                                    tkx__encoded *out, tkx_error **err)
{
    if (encoding == TKX__ENCODING_JSON)
        return encode_json(request, out, err);
    return encode_protobuf(request, site->config.proto_compress_fwdbwd, out, err);
}

void *tkx__forward_decode(const tkx__payload *payload, void *arg, tkx_error **err)
{
    tkx_forward_backward_output *output = NULL;

    (void)arg;
    if (payload->is_protobuf)
        tkx__forward_backward_output_decode_proto(payload->bytes, payload->size, &output,
                                                  err);
    else
        tkx__forward_backward_output_decode_json(payload->bytes, payload->size, &output,
                                                 err);
    return output;
}

void tkx__forward_free_output(void *result)
{
    tkx_forward_backward_output_free(result);
}

const tkx__result_type tkx__result_forward = {"forward_backward output",
                                              tkx__forward_free_output};
