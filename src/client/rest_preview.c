/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rest_preview.c - calls that documentation tells of and no client has been seen to make.
 *
 * Names and bodies are documented; the route of the search is taken from the search for
 * sessions.  A start that is sent again gives another upload, which is never finished and
 * does no harm; an end that is sent again has the same idempotency key.
 */
#include "base/error.h"
#include "base/options.h"
#include "client/rest.h"
#include "types/checkpoint_search.h"
#include "types/external_upload.h"

#define MAX_BODY_BYTES ((size_t)1 << 20)

TKX__RECORD(checkpoint_search_result, "found checkpoints");
TKX__RECORD(external_upload, "external upload");
TKX__RECORD(external_upload_result, "uploaded checkpoint");

const tkx__rest_route tkx__rest_find_checkpoints = {
    .what = "search_checkpoints",
    .method = "POST",
    .pattern = "checkpoints/search",
    .sdk_method = "RestClient.search_checkpoints",
    .result = &type_checkpoint_search_result,
    .decode = decode_checkpoint_search_result,
    .is_preview = true,
};
static const tkx__rest_route upload_start = {
    .what = "external_weights_upload_start",
    .method = "POST",
    .pattern = "external_weights_upload_start",
    .sdk_method = "RestClient.external_weights_upload_start",
    .result = &type_external_upload,
    .decode = decode_external_upload,
    .has_one_key = true,
    .is_preview = true,
};
static const tkx__rest_route upload_finish = {
    .what = "external_weights_upload_finish",
    .method = "POST",
    .pattern = "external_weights_upload_finish",
    .sdk_method = "RestClient.external_weights_upload_finish",
    .result = &type_external_upload_result,
    .decode = decode_external_upload_result,
    .has_one_key = true,
    .is_preview = true,
};

/* body is taken; st is what writing it gave. */
static tkx_status post(tkx_rest *rest, const tkx__rest_route *route, tkx__buf *body,
                       tkx_status st, tkx_future **out, tkx_error **err)
{
    const tkx__rest_request request = {.route = route, .body = body};

    if (st == TKX_OK)
        return tkx__rest_send(rest, &request, out, err);
    tkx__buf_clear(body);
    return st;
}

tkx_status tkx_rest_search_checkpoints(tkx_rest *rest,
                                       const tkx_checkpoint_search *search,
                                       tkx_future **out, tkx_error **err)
{
    tkx_checkpoint_search q = TKX_CHECKPOINT_SEARCH_INIT;
    tkx__buf body;
    tkx_status st =
        tkx__options_overlay(&q, sizeof q, search, "tkx_checkpoint_search", err);

    if (st != TKX_OK)
        return st;
    tkx__buf_init(&body, MAX_BODY_BYTES);
    return post(rest, &tkx__rest_find_checkpoints, &body,
                tkx__checkpoint_search_encode_json(&q, &body, err), out, err);
}

tkx_status tkx_rest_start_external_upload(tkx_rest *rest,
                                          const tkx_external_upload_request *request,
                                          tkx_future **out, tkx_error **err)
{
    tkx__buf body;

    tkx__buf_init(&body, MAX_BODY_BYTES);
    return post(rest, &upload_start, &body,
                tkx__external_upload_request_encode_json(request, &body, err), out, err);
}

tkx_status tkx_rest_finish_external_upload(tkx_rest *rest, const char *upload_id,
                                           tkx_future **out, tkx_error **err)
{
    tkx__buf body;

    tkx__buf_init(&body, MAX_BODY_BYTES);
    return post(rest, &upload_finish, &body,
                tkx__external_upload_finish_encode_json(upload_id, &body, err), out, err);
}
