/* SPDX-License-Identifier: Apache-2.0 */
/* fault_matrix_operations.c - the rows and the columns of the matrix. */
#include "fault_matrix.h"

#include <stdio.h>
#include <stdlib.h>

#include <tkx/checkpoint_download.h>
#include <tkx/custom_loss.h>

#include "client/training.h"

/* --- training -------------------------------------------------------------------- */

#define TOKENS 6

static const int32_t tokens[TOKENS] = {'a', 'b', 'c', 'd', 'e', 'f'};
static const int64_t targets[TOKENS] = {'b', 'c', 'd', 'e', 'f', 'g'};
static const float weights[TOKENS] = {1, 1, 1, 1, 1, 1};
static const tkx_chunk chunk = {
    .kind = TKX_CHUNK_TEXT, .tokens = tokens, .n_tokens = TOKENS};
static const tkx_named_tensor inputs[] = {
    {"target_tokens",
     {.dtype = TKX_DTYPE_INT64, .n_values = TOKENS, .values.i64 = targets}},
    {"weights", {.dtype = TKX_DTYPE_FLOAT32, .n_values = TOKENS, .values.f32 = weights}},
};
static const tkx_datum datum = {
    .model_input = {&chunk, 1}, .loss_fn_inputs = inputs, .n_loss_fn_inputs = 2};

static tkx_future *forward(world *w)
{
    tkx_future *future;

    MUST(tkx_training_forward(w->training, &datum, 1, TKX_LOSS_CROSS_ENTROPY, NULL,
                              &future, NULL) == TKX_OK);
    return future;
}

static tkx_future *backward(world *w)
{
    tkx_future *future;

    MUST(tkx_training_forward_backward(w->training, &datum, 1, TKX_LOSS_CROSS_ENTROPY,
                                       NULL, &future, NULL) == TKX_OK);
    return future;
}

static tkx_future *backward_protobuf(world *w)
{
    w->training->service->site->no_protobuf = false; /* nothing is under way */
    return backward(w);
}

static tkx_future *backward_json(world *w)
{
    w->training->service->site->no_protobuf = true;
    return backward(w);
}

static int loss(tkx_custom_item *items, size_t n_items, tkx_custom_report *report,
                void *user_data)
{
    (void)user_data;
    for (size_t i = 0; i < n_items; i++)
        for (size_t k = 0; k < items[i].n; k++)
            items[i].gradient[k] = -1;
    tkx_custom_report_loss(report, 1);
    return 0;
}

static tkx_future *custom(world *w)
{
    tkx_future *future;

    w->training->service->site->no_protobuf = false;
    MUST(tkx_training_forward_backward_custom(w->training, &datum, 1, loss, NULL, NULL,
                                              &future, NULL) == TKX_OK);
    return future;
}

static tkx_future *save_state(world *w)
{
    char name[32];
    tkx_future *future;

    snprintf(name, sizeof name, "state-%d", w->n_names++);
    MUST(tkx_training_save_state(w->training, name, NULL, &future, NULL) == TKX_OK);
    return future;
}

static tkx_future *save_sampler(world *w)
{
    char name[32];
    tkx_future *future;

    snprintf(name, sizeof name, "sampler-%d", w->n_names++);
    MUST(tkx_training_save_weights_for_sampler(w->training, name, NULL, &future, NULL) ==
         TKX_OK);
    return future;
}

static tkx_future *load_state(world *w)
{
    tkx_load_options options = TKX_LOAD_OPTIONS_INIT;
    tkx_future *future;

    options.with_optimizer = 1;
    MUST(tkx_training_load_state(w->training, w->state_path, &options, &future, NULL) ==
         TKX_OK);
    return future;
}

static tkx_future *unload(world *w)
{
    tkx_future *future;

    MUST(tkx_training_unload(w->training, 0, &future, NULL) == TKX_OK);
    return future;
}

static tkx_future *create_model(world *w)
{
    tkx_lora_options options = TKX_LORA_OPTIONS_INIT;
    tkx_future *future;

    options.base_model = "tkx/bytes";
    options.lora.rank = 2;
    MUST(tkx_service_create_lora(w->service, &options, &future, NULL) == TKX_OK);
    return future;
}

static tkx_future *create_from_checkpoint(world *w)
{
    tkx_checkpoint_options options = TKX_CHECKPOINT_OPTIONS_INIT;
    tkx_future *future;

    options.path = w->state_path;
    MUST(tkx_service_create_from_checkpoint(w->service, &options, &future, NULL) ==
         TKX_OK);
    return future;
}

/* --- the rest -------------------------------------------------------------------- */

static tkx_future *create_session(world *w)
{
    tkx_service_options options = TKX_SERVICE_OPTIONS_INIT;
    tkx_service *service;
    tkx_future *future;

    options.request_timeout_ms = 1500;
    MUST(tkx_service_new(w->context, &options, &service, NULL) == TKX_OK);
    MUST(tkx_service_start(service, &future, NULL) == TKX_OK);
    tkx_service_free(service);
    return future;
}

static tkx_future *sample(world *w)
{
    tkx_sample_request request = TKX_SAMPLE_REQUEST_INIT;
    tkx_future *future;

    request.prompt = (tkx_model_input){&chunk, 1};
    request.params.has_max_tokens = true;
    request.params.max_tokens = 4;
    MUST(tkx_sampling_sample(w->sampling, &request, 0, &future, NULL) == TKX_OK);
    return future;
}

static tkx_future *get_run(world *w)
{
    tkx_future *future;

    MUST(tkx_rest_get_training_run(w->rest, w->run_id, NULL, &future, NULL) == TKX_OK);
    return future;
}

static tkx_future *download(world *w)
{
    tkx_checkpoint_download_options options = TKX_CHECKPOINT_DOWNLOAD_OPTIONS_INIT;
    tkx_future *future;

    options.tinker_path = w->sampler_path;
    options.directory = w->directory;
    options.is_forced = 1;
    MUST(tkx_checkpoint_download(w->rest, &options, &future, NULL) == TKX_OK);
    return future;
}

#define POLL "POST /retrieve_future"

const operation matrix_operations[] = {
    {"forward", "POST /forward_backward", "forward", STEPPED, forward},
    {"forward, poll", POLL, "forward", STEPPED, forward},
    {"forward_backward (protobuf)", "POST /forward_backward", "forward_backward", STEPPED,
     backward_protobuf},
    {"forward_backward (JSON)", "POST /forward_backward", "forward_backward", STEPPED,
     backward_json},
    {"forward_backward, poll", POLL, "forward_backward", STEPPED, backward_protobuf},
    {"custom loss", "POST /forward_backward", "forward_backward", STEPPED, custom},
    {"optim_step", "POST /optim_step", "optim_step", STEPPED, world_optim_step},
    {"optim_step, poll", POLL, "optim_step", STEPPED, world_optim_step},
    {"save_state", "POST /save_weights", "save_weights", STEPPED, save_state},
    {"save_state, poll", POLL, "save_weights", STEPPED, save_state},
    {"save_for_sampler", "POST /save_weights_for_sampler", "save_weights_for_sampler",
     STEPPED, save_sampler},
    {"save_for_sampler, poll", POLL, "save_weights_for_sampler", STEPPED, save_sampler},
    {"load_state", "POST /load_weights", "load_weights", FRESH, load_state},
    {"load_state, poll", POLL, "load_weights", FRESH, load_state},
    {"create_model", "POST /create_model", "create_model", NO_TRAINING, create_model},
    {"create_model, poll", POLL, "create_model", NO_TRAINING, create_model},
    {"create from checkpoint", "POST /load_weights", NULL, NO_TRAINING,
     create_from_checkpoint},
    {"create_session", "POST /create_session", NULL, NO_TRAINING, create_session},
    {"sample", "POST /asample", NULL, NO_TRAINING, sample},
    {"sample, poll", POLL, NULL, NO_TRAINING, sample},
    {"unload_model", "POST /unload_model", NULL, STEPPED,
     unload}, /* the last; harmless twice */
    {"REST get", "GET /training_runs/{}", NULL, NO_TRAINING, get_run},
    {"download, link", "GET /training_runs/{}/checkpoints/{}/{}/archive", NULL,
     NO_TRAINING, download},
    {"download, file", "GET /download/{}", NULL, NO_TRAINING, download},
};
const size_t matrix_n_operations = sizeof matrix_operations / sizeof *matrix_operations;

const fault matrix_faults[] = {
    {"503", "\"fault\":\"status\",\"status\":503,\"body\":\"{}\""},
    {"429",
     "\"fault\":\"status\",\"status\":429,\"headers\":{\"retry-after-ms\":\"200\"},"
     "\"body\":\"{}\""},
    {"bare 400", "\"fault\":\"status\",\"status\":400,\"body\":\"\""},
    {"delay", "\"fault\":\"delay\",\"ms\":300"},
    {"cut", "\"fault\":\"cut\",\"bytes\":5"},
    {"stall", "\"fault\":\"stall\",\"ms\":4000,\"bytes\":5"},
    {"reset", "\"fault\":\"reset\""},
    {"content type", "\"fault\":\"content_type\""},
    {"garbage", "\"fault\":\"garbage\""},
    {"lose", "\"fault\":\"lose\""},
    {"duplicate", "\"fault\":\"duplicate\""},
    {"reorder", "\"fault\":\"reorder\",\"ms\":300"},
};
const size_t matrix_n_faults = sizeof matrix_faults / sizeof *matrix_faults;
