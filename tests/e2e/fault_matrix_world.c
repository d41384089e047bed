/* SPDX-License-Identifier: Apache-2.0 */
/* fault_matrix_world.c - a server, a service and what the operations need beforehand. */
#include "fault_matrix.h"

#include <cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static world *current; /* the one of this process */

void matrix_die(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: %s\n", file, line, what);
    if (current)
        mock_process_kill(&current->server);
    _exit(EXIT_FAILURE);
}

/* Wait, expect success. */
static void await(tkx_future *future)
{
    tkx_error *err = NULL;

    if (tkx_future_wait(future, MATRIX_HANG_MS, &err) != TKX_OK)
        fprintf(stderr, "%s\n", tkx_error_message(err));
    else if (tkx_future_error(future))
        fprintf(stderr, "%s\n", tkx_error_message(tkx_future_error(future)));
    MUST(!err && !tkx_future_error(future));
}

void world_scenario(world *w, const char *rules)
{
    mock_answer a = mock_post(&w->server, "/mock/scenario", "{\"rules\":[%s]}", rules);

    MUST(a.status == 200);
    mock_answer_free(&a);
}

tkx_future *world_optim_step(world *w)
{
    tkx_future *future;

    MUST(tkx_training_optim_step(w->training, NULL, &future, NULL) == TKX_OK);
    return future;
}

void world_begin_training(world *w, bool is_fresh)
{
    tkx_lora_options options = TKX_LORA_OPTIONS_INIT;
    tkx_future *future;

    options.base_model = "tkx/bytes";
    options.lora.rank = 2;
    MUST(tkx_service_create_lora(w->service, &options, &future, NULL) == TKX_OK);
    await(future);
    MUST(tkx_future_take_training(future, &w->training, NULL) == TKX_OK);
    tkx_future_unref(future);
    if (is_fresh)
        return;
    future = world_optim_step(w);
    await(future);
    tkx_future_unref(future);
}

static void save(world *w, bool for_sampler, char *path)
{
    tkx_save_weights_result *result;
    tkx_future *future;

    if (for_sampler)
        MUST(tkx_training_save_weights_for_sampler(w->training, "sampler", NULL, &future,
                                                   NULL) == TKX_OK);
    else
        MUST(tkx_training_save_state(w->training, "state", NULL, &future, NULL) ==
             TKX_OK);
    await(future);
    MUST(tkx_future_take_save_weights(future, &result, NULL) == TKX_OK);
    snprintf(path, 256, "%s", result->path);
    tkx_save_weights_result_free(result);
    tkx_future_unref(future);
}

static void make_sampling(world *w)
{
    tkx_sampling_options options = TKX_SAMPLING_OPTIONS_INIT;
    tkx_future *future;

    options.base_model = "tkx/bytes";
    MUST(tkx_service_create_sampling(w->service, &options, &future, NULL) == TKX_OK);
    await(future);
    MUST(tkx_future_take_sampling(future, &w->sampling, NULL) == TKX_OK);
    tkx_future_unref(future);
}

void world_open(world *w)
{
    static const char *const flags[] = {"--hold-ms", "2000", NULL};
    tkx_context_options options = TKX_CONTEXT_OPTIONS_INIT;
    tkx_service_options service = TKX_SERVICE_OPTIONS_INIT;

    memset(w, 0, sizeof *w);
    current = w;
    mock_process_start(&w->server, flags);
    options.base_url = w->server.url;
    options.api_key = "tml-test";
    service.request_timeout_ms = 1500;
    service.poll_timeout_ms = 3000;
    MUST(tkx_context_new(&options, &w->context, NULL) == TKX_OK);
    MUST(tkx_service_new(w->context, &service, &w->service, NULL) == TKX_OK);
    MUST(tkx_rest_new(w->context, &service, &w->rest, NULL) == TKX_OK);
    strcpy(w->directory, "/tmp/tkx-matrix-XXXXXX");
    MUST(mkdtemp(w->directory));
    world_begin_training(w, false);
    save(w, false, w->state_path);
    save(w, true, w->sampler_path);
    snprintf(w->run_id, sizeof w->run_id, "%s", tkx_training_model_id(w->training));
    tkx_training_free(w->training);
    w->training = NULL;
    make_sampling(w);
}

void world_close(world *w)
{
    char command[128];

    tkx_sampling_free(w->sampling);
    tkx_rest_free(w->rest);
    tkx_service_free(w->service);
    tkx_context_close(w->context, 0, 2000, NULL);
    tkx_context_free(w->context);
    mock_process_remove(&w->server);
    snprintf(command, sizeof command, "rm -rf '%s'", w->directory);
    MUST(system(command) == 0);
}

/* --- the journal ----------------------------------------------------------------- */

static cJSON *read_journal(world *w)
{
    mock_answer a = mock_get(&w->server, "/mock/journal");
    cJSON *root = a.status == 200 ? cJSON_Parse(a.body) : NULL;

    MUST(root);
    mock_answer_free(&a);
    return root;
}

static const char *text_of(const cJSON *item, const char *name)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(item, name);
    return cJSON_IsString(value) ? value->valuestring : "";
}

static int seq_of(const cJSON *item)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(item, "seq_id");
    return cJSON_IsNumber(value) ? value->valueint : -1;
}

int journal_count(world *w, const char *op, const char *model)
{
    cJSON *root = read_journal(w);
    const cJSON *item;
    int n = 0;

    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(root, "applied")) n +=
        strcmp(text_of(item, "op"), op) == 0 &&
        (!model || strcmp(text_of(item, "model_id"), model) == 0);
    cJSON_Delete(root);
    return n;
}

/* The number before this one, of the same model; 0: it is the first. */
static int number_before(const cJSON *applied, const cJSON *of)
{
    const cJSON *item;
    int last = 0;

    cJSON_ArrayForEach(item, applied)
    {
        if (item == of)
            break;
        if (seq_of(item) > 0 &&
            strcmp(text_of(item, "model_id"), text_of(of, "model_id")) == 0)
            last = seq_of(item);
    }
    return last;
}

void journal_check(world *w, char *text, size_t size)
{
    cJSON *root = read_journal(w);
    const cJSON *applied = cJSON_GetObjectItemCaseSensitive(root, "applied");
    const cJSON *item;

    text[0] = '\0';
    cJSON_ArrayForEach(item, applied)
    {
        int seq = seq_of(item);
        int before = seq > 0 ? number_before(applied, item) : 0;

        if (seq > 0 && seq != before + 1)
            snprintf(text, size, "%s of %s has seq_id %d behind %d", text_of(item, "op"),
                     text_of(item, "model_id"), seq, before);
    }
    cJSON_Delete(root);
}
