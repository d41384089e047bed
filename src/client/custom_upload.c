/* SPDX-License-Identifier: Apache-2.0 */
/*
 * custom_upload.c - a loss as a graph that the service runs itself.
 *
 * The request names the session and a number in it, so it is written when there is one;
 * until then a copy of the caller's values waits.
 */
#include <string.h>

#include <tkx/custom_loss.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/mem.h"
#include "client/record.h"
#include "client/unordered.h"
#include "types/custom_loss.h"

#define MAX_GRAPH ((size_t)8 << 20)

TKX__RECORD(create_custom_loss_result, "uploaded loss");

typedef struct upload {
    tkx__arena arena;
    tkx_create_custom_loss_request request;
} upload;

static void free_upload(void *arg)
{
    upload *u = arg;

    tkx__arena_clear(&u->arena);
    tkx__free(u);
}

static tkx_status write_request(void *arg, tkx_service *service, tkx__buf *buf,
                                tkx_error **err)
{
    upload *u = arg;
    tkx__session *session = service->loop.session;

    if (!service->site->config.custom_loss_server_side)
        return tkx__fail(err, TKX_ERR_UNSUPPORTED,
                         "create_custom_loss: the service runs no losses of its users");
    u->request.session_id = tkx__session_id(session);
    u->request.custom_loss_seq_id = tkx__session_next_custom_loss(session);
    return tkx__create_custom_loss_request_encode_json(&u->request, buf, err);
}

static bool keep(upload *u, const char **text)
{
    if (*text)
        *text = tkx__arena_strndup(&u->arena, *text, strlen(*text));
    return *text != NULL;
}

static bool copy_lists(upload *u)
{
    tkx_create_custom_loss_request *q = &u->request;
    size_t n_extra = q->extra_json.count;
    tkx_custom_loss_input *inputs =
        tkx__arena_zalloc(&u->arena, q->n_inputs + 1, sizeof *inputs);
    tkx_json_member *extra = tkx__arena_zalloc(&u->arena, n_extra + 1, sizeof *extra);
    bool ok = inputs && extra && keep(u, &q->name) && keep(u, &q->graph_json);

    for (size_t i = 0; ok && i < q->n_inputs; i++) {
        inputs[i] = q->inputs[i];
        ok = keep(u, &inputs[i].name);
    }
    for (size_t i = 0; ok && i < n_extra; i++) {
        extra[i] = q->extra_json.items[i];
        ok = keep(u, &extra[i].name) && keep(u, &extra[i].json);
    }
    q->inputs = inputs;
    q->extra_json = (tkx_json_member_list){extra, n_extra};
    return ok;
}

tkx_status tkx_service_create_custom_loss(tkx_service *service,
                                          const tkx_create_custom_loss_request *request,
                                          tkx_future **out, tkx_error **err)
{
    static const tkx__unordered_spec spec = {
        .what = "create_custom_loss",
        .route = "create_custom_loss",
        .request_type = "CreateCustomLoss",
        .sdk_method = "ServiceClient.create_custom_loss",
        .result = &type_create_custom_loss_result,
        .decode = decode_create_custom_loss_result,
        .free_result = free_create_custom_loss_result,
        .write = write_request,
        .free_arg = free_upload,
    };
    upload *u;

    if (!request->name || !request->graph_json || !request->n_inputs)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "create_custom_loss needs a name, inputs and a graph");
    u = tkx__calloc(1, sizeof *u);
    if (!u)
        return tkx__fail_memory(err);
    tkx__arena_init(&u->arena, 4096, MAX_GRAPH);
    u->request = *request;
    if (copy_lists(u))
        return tkx__unordered_run(service, &spec, NULL, u, 0, out, err);
    free_upload(u);
    return tkx__fail_memory(err);
}
