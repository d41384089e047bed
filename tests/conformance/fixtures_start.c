/* SPDX-License-Identifier: Apache-2.0 */
/* fixtures_start.c - start-up: configuration, token, session, the first heartbeat. */
#include <string.h>

#include "client/service.h"
#include "fixtures_live.h"

static bool make_nothing(live *l)
{
    (void)l;
    return true;
}

static tkx_status start(live *l, tkx_future **out, tkx_error **err)
{
    return tkx_service_start(l->service, out, err);
}

static tkx_status take_start(live *l, tkx_future *future, tkx__json_writer *w,
                             tkx_error **err)
{
    const tkx_error *error = tkx_future_error(future);

    (void)err;
    if (error)
        return tkx_error_status(error);
    tkx__json_begin_object(w);
    tkx__json_member_string(w, "session_id", tkx_service_session_id(l->service));
    tkx__json_member_i64(w, "fwdbwd_max_chunk_len",
                         l->service->site->config.fwdbwd_max_chunk_len);
    tkx__json_end_object(w);
    return TKX_OK;
}

static tkx_status create_sampling(live *l, tkx_future **out, tkx_error **err)
{
    tkx_sampling_options options = TKX_SAMPLING_OPTIONS_INIT;

    options.base_model = fixture_text(l->f, l->f->args, "base_model");
    options.model_path = fixture_text(l->f, l->f->args, "model_path");
    return tkx_service_create_sampling(l->service, &options, out, err);
}

static tkx_status create_lora(live *l, tkx_future **out, tkx_error **err)
{
    tkx_lora_options options = TKX_LORA_OPTIONS_INIT;

    options.base_model = fixture_text(l->f, l->f->args, "base_model");
    return tkx_service_create_lora(l->service, &options, out, err);
}

const live_op live_start_ops[] = {
    {"create_session", make_nothing, start, take_start},
    {"client_config", make_nothing, start, NULL},
    {"client_dynamic_config", make_nothing, start, NULL},
    {"auth_token", make_nothing, start, NULL},
    {"session_heartbeat", make_nothing, start, NULL},
    {"create_model", make_nothing, create_lora, NULL},
    {"create_sampling_session", make_nothing, create_sampling, NULL},
    {NULL, NULL, NULL, NULL},
};
