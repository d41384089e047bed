/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rest_checkpoints.c - training runs, their checkpoints, and what can be done to these.
 */
#include "client/rest.h"

#include "base/error.h"
#include "client/rest_page.h"
#include "types/checkpoint.h"
#include "types/weights.h"

#define MAX_BODY_BYTES ((size_t)1 << 20)
#define CHECKPOINT "training_runs/{}/checkpoints/{/}"

TKX__RECORD(training_run_list, "training runs");
TKX__RECORD(training_run, "training run");
TKX__RECORD(checkpoint_list, "checkpoints");
TKX__RECORD(weights_info, "weights info");
TKX__RECORD(copy_weights_result, "copied weights");
TKX__RECORD(external_weights_urls, "links to external weights");

const tkx__rest_route tkx__rest_list_runs = {
    .what = "list_training_runs",
    .method = "GET",
    .pattern = "training_runs",
    .sdk_method = "RestClient.list_training_runs",
    .result = &type_training_run_list,
    .decode = decode_training_run_list,
    .page_size = 20,
    .has_scope = true,
};
static const tkx__rest_route get_run = {
    .what = "get_training_run",
    .method = "GET",
    .pattern = "training_runs/{}",
    .sdk_method = "RestClient.get_training_run",
    .result = &type_training_run,
    .decode = decode_training_run,
    .has_scope = true,
};
static const tkx__rest_route list_of_run = {
    .what = "list_checkpoints",
    .method = "GET",
    .pattern = "training_runs/{}/checkpoints",
    .sdk_method = "RestClient.list_checkpoints",
    .result = &type_checkpoint_list,
    .decode = decode_checkpoint_list,
};
const tkx__rest_route tkx__rest_list_checkpoints = {
    .what = "list_user_checkpoints",
    .method = "GET",
    .pattern = "checkpoints",
    .sdk_method = "RestClient.list_user_checkpoints",
    .result = &type_checkpoint_list,
    .decode = decode_checkpoint_list,
    .page_size = 100,
};
static const tkx__rest_route get_info = {
    .what = "weights_info",
    .method = "POST",
    .pattern = "weights_info",
    .sdk_method = "RestClient.get_weights_info_by_tinker_path",
    .result = &type_weights_info,
    .decode = decode_weights_info,
};
static const tkx__rest_route delete_one = {
    .what = "delete_checkpoint",
    .method = "DELETE",
    .pattern = CHECKPOINT,
    .sdk_method = "RestClient.delete_checkpoint_from_tinker_path",
    .result = &tkx__result_nothing,
};
/* 409: it is in that state already, and asking again would not change that. */
static const tkx__rest_route publish = {
    .what = "publish_checkpoint",
    .method = "POST",
    .pattern = CHECKPOINT "/publish",
    .sdk_method = "RestClient.publish_checkpoint_from_tinker_path",
    .result = &tkx__result_nothing,
    .final_409 = true,
};
static const tkx__rest_route unpublish = {
    .what = "unpublish_checkpoint",
    .method = "DELETE",
    .pattern = CHECKPOINT "/publish",
    .sdk_method = "RestClient.unpublish_checkpoint_from_tinker_path",
    .result = &tkx__result_nothing,
    .final_409 = true,
};
static const tkx__rest_route set_ttl = {
    .what = "set_checkpoint_ttl",
    .method = "PUT",
    .pattern = CHECKPOINT "/ttl",
    .sdk_method = "RestClient.set_checkpoint_ttl_from_tinker_path",
    .result = &tkx__result_nothing,
};
static const tkx__rest_route copy = {
    .what = "copy_weights",
    .method = "POST",
    .pattern = "copy_weights",
    .sdk_method = "RestClient.copy_checkpoint",
    .result = &type_copy_weights_result,
    .decode = decode_copy_weights_result,
    .has_one_key = true,
};
const tkx__rest_route tkx__rest_external_urls = {
    .what = "external_weights_urls",
    .method = "GET",
    .pattern = CHECKPOINT "/external_weights_urls",
    .sdk_method = "RestClient.get_external_weights_urls",
    .result = &type_external_weights_urls,
    .decode = decode_external_weights_urls,
};

tkx_status tkx_rest_list_training_runs(tkx_rest *rest, const tkx_page *page,
                                       tkx_future **out, tkx_error **err)
{
    return tkx__rest_list(rest, &tkx__rest_list_runs, page, out, err);
}

tkx_status tkx_rest_get_training_run(tkx_rest *rest, const char *run_id,
                                     const char *access_scope, tkx_future **out,
                                     tkx_error **err)
{
    return tkx__rest_get(rest, &get_run, run_id, access_scope, out, err);
}

tkx_status tkx_rest_list_run_checkpoints(tkx_rest *rest, const char *run_id,
                                         tkx_future **out, tkx_error **err)
{
    return tkx__rest_get(rest, &list_of_run, run_id, NULL, out, err);
}

tkx_status tkx_rest_list_checkpoints(tkx_rest *rest, const tkx_page *page,
                                     tkx_future **out, tkx_error **err)
{
    return tkx__rest_list(rest, &tkx__rest_list_checkpoints, page, out, err);
}

tkx_status tkx_rest_get_weights_info(tkx_rest *rest, const char *tinker_path,
                                     const char *owner_token, tkx_future **out,
                                     tkx_error **err)
{
    tkx_tinker_path parts;
    tkx__buf body;
    tkx_status st = tkx_tinker_path_parse(tinker_path, &parts, err);

    if (st != TKX_OK)
        return st;
    tkx__buf_init(&body, MAX_BODY_BYTES);
    st = tkx__weights_info_encode_json(tinker_path, &body, err);
    if (st != TKX_OK) {
        tkx__buf_clear(&body);
        return st;
    }
    const tkx__rest_request request = {.route = &get_info,
                                       .body = &body,
                                       .header = "X-API-Key",
                                       .secret = owner_token,
                                       .is_secret_the_key = owner_token != NULL};
    return tkx__rest_send(rest, &request, out, err);
}

/* A request about one checkpoint; body is taken. */
static tkx_status send_about(tkx_rest *rest, const tkx__rest_route *route,
                             const char *tinker_path, tkx__buf *body, tkx_future **out,
                             tkx_error **err)
{
    tkx__rest_request request = {.route = route, .body = body};
    tkx_status st = tkx__rest_checkpoint_args(tinker_path, request.args, err);

    if (st == TKX_OK)
        return tkx__rest_send(rest, &request, out, err);
    if (body)
        tkx__buf_clear(body);
    return st;
}

tkx_status tkx_rest_delete_checkpoint(tkx_rest *rest, const char *tinker_path,
                                      tkx_future **out, tkx_error **err)
{
    return send_about(rest, &delete_one, tinker_path, NULL, out, err);
}

tkx_status tkx_rest_publish_checkpoint(tkx_rest *rest, const char *tinker_path,
                                       tkx_future **out, tkx_error **err)
{
    return send_about(rest, &publish, tinker_path, NULL, out, err);
}

tkx_status tkx_rest_unpublish_checkpoint(tkx_rest *rest, const char *tinker_path,
                                         tkx_future **out, tkx_error **err)
{
    return send_about(rest, &unpublish, tinker_path, NULL, out, err);
}

tkx_status tkx_rest_set_checkpoint_ttl(tkx_rest *rest, const char *tinker_path,
                                       int64_t ttl_seconds, tkx_future **out,
                                       tkx_error **err)
{
    tkx__buf body;
    tkx_status st;

    tkx__buf_init(&body, MAX_BODY_BYTES);
    st = tkx__checkpoint_ttl_encode_json(ttl_seconds, &body, err);
    if (st == TKX_OK)
        return send_about(rest, &set_ttl, tinker_path, &body, out, err);
    tkx__buf_clear(&body);
    return st;
}

tkx_status tkx_rest_copy_weights(tkx_rest *rest, const tkx_copy_weights_request *request,
                                 const char *owner_token, tkx_future **out,
                                 tkx_error **err)
{
    tkx__buf body;
    tkx_status st;

    tkx__buf_init(&body, MAX_BODY_BYTES);
    st = tkx__copy_weights_request_encode_json(request, &body, err);
    if (st != TKX_OK) {
        tkx__buf_clear(&body);
        return st;
    }
    const tkx__rest_request call = {.route = &copy,
                                    .body = &body,
                                    .header = "X-Tinker-Weights-Access-Token",
                                    .secret = owner_token};
    return tkx__rest_send(rest, &call, out, err);
}

tkx_status tkx_rest_get_external_weights_urls(tkx_rest *rest, const char *tinker_path,
                                              tkx_future **out, tkx_error **err)
{
    return send_about(rest, &tkx__rest_external_urls, tinker_path, NULL, out, err);
}
