/* SPDX-License-Identifier: Apache-2.0 */
/* scripted.c - answers by route, for a client over the fake io. */
#include "scripted.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "client/context.h"

static const int32_t tokens[] = {1, 2, 3};
static const int64_t targets[] = {2, 3, 4};
static const float weights[] = {1, 1, 1};

const tkx_chunk scripted_chunk = {
    .kind = TKX_CHUNK_TEXT, .tokens = tokens, .n_tokens = 3};
const tkx_named_tensor scripted_inputs[2] = {
    {"target_tokens", {.dtype = TKX_DTYPE_INT64, .n_values = 3, .values.i64 = targets}},
    {"weights", {.dtype = TKX_DTYPE_FLOAT32, .n_values = 3, .values.f32 = weights}},
};
const tkx_datum scripted_datum = SCRIPTED_DATUM;

typedef struct canned {
    const char *route;
    const char *body;
} canned;

static const canned answers[] = {
    {"create_session", "{\"session_id\":\"S\",\"type\":\"create_session\"}"},
    {"session_heartbeat", "{\"type\":\"session_heartbeat\"}"},
    {"create_sampling_session", "{\"sampling_session_id\":\"S:sample:0\"}"},
    {"get_info", "{\"model_id\":\"M\",\"model_data\":{\"model_name\":\"acme/tiny\"},"
                 "\"lora_rank\":8}"},
    {"weights_info", "{\"base_model\":\"acme/tiny\",\"is_lora\":true,\"lora_rank\":8}"},
    {"join_sampling_session", "{\"client_counter\":3}"},
    {"samplers/", "{\"sampler_id\":\"S:sample:0\",\"base_model\":\"acme/tiny\"}"},
    {"telemetry", "{\"status\":\"accepted\"}"},
    {"/finish", "{}"},
    {"cancel_future", "{}"},
    {"get_server_capabilities",
     "{\"supported_models\":[{\"model_name\":\"acme/tiny\"}]}"},
};

/* What a promise of each kind comes to; the kind is the begin of its id. */
static const canned results[] = {
    {"create_model", "{\"model_id\":\"M\",\"type\":\"create_model\"}"},
    {"forward", "{\"loss_fn_output_type\":\"A\",\"loss_fn_outputs\":[{\"logprobs\":"
                "{\"data\":[-1.5],\"dtype\":\"float32\",\"shape\":[1]}}],"
                "\"metrics\":{\"loss:sum\":1.5}}"},
    {"optim_step", "{\"metrics\":{\"grad_norm\":2.0}}"},
    {"save_weights_for_sampler", "{\"path\":\"tinker://M/sampler_weights/"
                                 "x\",\"sampling_session_id\":\"S:sample:7\"}"},
    {"save_weights_external",
     "{\"path\":\"tinker://M/external_weights/x\",\"size_bytes\":9}"},
    {"save_weights", "{\"path\":\"tinker://M/weights/x\",\"type\":\"save_weights\"}"},
    {"unload_model", "{\"model_id\":\"M\"}"},
    {"load_weights", "{\"path\":\"tinker://M/weights/x\",\"type\":\"load_weights\"}"},
    {"asample",
     "{\"type\":\"sample\",\"sequences\":[{\"stop_reason\":\"stop\",\"tokens\":"
     "[7,8],\"logprobs\":[-1.0,-2.0]}],\"prompt_logprobs\":[-0.5]}"},
};

static const char *route_of(fake_io *io, size_t i)
{
    return strstr(fake_io_sent(io, i)->url, "/api/v1/") + strlen("/api/v1/");
}

static void answer_result(scripted *s, size_t i)
{
    const char *body = fake_io_sent(s->io, i)->body;

    if (s->queue && s->n_waited < s->n_promises) {
        s->n_waited++;
        fake_io_answer(s->io, i, 408, NULL, s->queue);
        return;
    }
    for (size_t k = 0; k < sizeof results / sizeof *results; k++)
        if (strstr(body, results[k].route)) {
            fake_io_answer(s->io, i, 200, NULL, results[k].body);
            return;
        }
    ck_abort_msg("a poll for an unknown promise: %s", body);
}

static void answer_handle(scripted *s, size_t i)
{
    char body[256];

    snprintf(body, sizeof body, "{\"request_id\":\"%s-%d\"}", route_of(s->io, i),
             s->n_promises++);
    if (i < sizeof s->took)
        s->took[i] = true;
    fake_io_answer(s->io, i, 200, NULL, body);
}

static void serve(fake_io *io, size_t i, void *arg)
{
    scripted *s = arg;
    const char *route = route_of(io, i);

    if (s->serve && s->serve(io, i, route))
        return;
    if (s->held && strstr(route, s->held))
        return;
    if (s->refused && strstr(route, s->refused)) {
        fake_io_answer(io, i, 422, NULL, "{\"detail\":\"refused\"}");
        return;
    }
    if (s->missing && strstr(route, s->missing)) {
        fake_io_answer(io, i, 404, NULL, "{\"detail\":\"Not Found\"}");
        return;
    }
    if (s->busy && strstr(route, s->busy)) {
        fake_io_answer(io, i, 503, NULL, "{\"detail\":\"come back later\"}");
        return;
    }
    if (s->garbled && strstr(route, s->garbled)) {
        fake_io_answer(io, i, 200, NULL, "<html>hello</html>");
        return;
    }
    if (strcmp(route, "client/config") == 0) {
        fake_io_answer(io, i, 200, NULL, s->config ? s->config : "{}");
        return;
    }
    if (strcmp(route, "client/dynamic_config") == 0) {
        fake_io_answer(io, i, 200, NULL, s->dynamic ? s->dynamic : "{}");
        return;
    }
    if (strcmp(route, "retrieve_future") == 0) {
        answer_result(s, i);
        return;
    }
    for (size_t k = 0; k < sizeof answers / sizeof *answers; k++)
        if (strstr(route, answers[k].route)) {
            fake_io_answer(io, i, 200, NULL, answers[k].body);
            return;
        }
    answer_handle(s, i);
}

bool scripted_try_begin(scripted *s)
{
    tkx_context_options options = TKX_CONTEXT_OPTIONS_INIT;

    s->io = fake_io_new();
    fake_io_serve(s->io, serve, s);
    options.base_url = "http://x";
    options.api_key = "tml-secret";
    if (s->tune)
        s->tune(&options);
    return tkx__context_new_on(&options, fake_io_table(s->io), &s->context, NULL) ==
               TKX_OK &&
           tkx_service_new(s->context, s->options, &s->service, NULL) == TKX_OK;
}

void scripted_begin(scripted *s)
{
    ck_assert(scripted_try_begin(s));
}

void scripted_end(scripted *s)
{
    tkx_service_free(s->service);
    fake_io_turn(s->io);
    if (s->context)
        tkx_context_close(s->context, 0, 0, NULL);
    fake_io_turn(s->io); /* as a loop that ends carries out what is posted to it */
    tkx_context_free(s->context);
    fake_io_free(s->io);
}

void scripted_expect(scripted *s, tkx_future *future, tkx_status status)
{
    fake_io_turn(s->io);
    ck_assert(tkx_future_is_done(future));
    const tkx_error *error = tkx_future_error(future);
    ck_assert_msg(tkx_error_status(error) == status, "%s: %s",
                  tkx_status_name(tkx_error_status(error)), tkx_error_message(error));
}

tkx_training *scripted_lora(scripted *s)
{
    tkx_lora_options options = TKX_LORA_OPTIONS_INIT;
    tkx_training *training = NULL;
    tkx_future *future;

    options.base_model = "acme/tiny";
    ck_assert_int_eq(tkx_service_create_lora(s->service, &options, &future, NULL),
                     TKX_OK);
    scripted_expect(s, future, TKX_OK);
    ck_assert_int_eq(tkx_future_take_training(future, &training, NULL), TKX_OK);
    tkx_future_unref(future);
    return training;
}

tkx_sampling *scripted_sampling(scripted *s)
{
    tkx_sampling_options options = TKX_SAMPLING_OPTIONS_INIT;
    tkx_sampling *sampling = NULL;
    tkx_future *future;

    options.base_model = "acme/tiny";
    ck_assert_int_eq(tkx_service_create_sampling(s->service, &options, &future, NULL),
                     TKX_OK);
    scripted_expect(s, future, TKX_OK);
    ck_assert_int_eq(tkx_future_take_sampling(future, &sampling, NULL), TKX_OK);
    tkx_future_unref(future);
    return sampling;
}

size_t scripted_nth(scripted *s, const char *url_part, size_t k)
{
    for (size_t i = 0; i < fake_io_n_sent(s->io); i++)
        if (strstr(fake_io_sent(s->io, i)->url, url_part) && k-- == 0)
            return i;
    ck_abort_msg("no such request for %s", url_part);
}

size_t scripted_last(scripted *s, const char *url_part)
{
    return scripted_nth(s, url_part, fake_io_count(s->io, url_part) - 1);
}
