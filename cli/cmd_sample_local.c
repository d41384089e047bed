/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_sample_local.c - tkx sample --local MODEL and tkx logprobs --local MODEL: the same
 * request computed on this machine.
 *
 * With --json one object is printed: the service's sample response with "backend",
 * "weight_type", "logprob_mode" and "reason" beside it.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tkx/chat.h>
#include <tkx/local.h>

#include "command.h"
#include "output.h"
#include "sample_args.h"

typedef struct local_run {
    cli_sample_args args;
    const char *model;
    const char *adapter_path;
    const char *compute;
    const char *mode_name;
    const char *chat_format;
    const char *system;
    long long n_threads;
    long long max_memory_mib;
    long long topk;
    int is_chat;
    int is_stopless;
    int wants_prompt_logprobs;
    int is_scoring; /* tkx logprobs */
    tkx_logprob_mode mode;
    tkx_local *local;
    tkx_local_adapter *adapter;
    tkx_tokenizer *tokenizer;
    cli_ids ids;
} local_run;

/* ---- opening ---- */

static int open_model(local_run *run)
{
    tkx_local_options options = TKX_LOCAL_OPTIONS_INIT;
    tkx_error *err = NULL;

    options.compute =
        strcmp(run->compute, "f32") == 0 ? TKX_LOCAL_COMPUTE_F32 : TKX_LOCAL_COMPUTE_FAST;
    options.n_threads = (int)run->n_threads;
    options.max_memory_bytes = (uint64_t)run->max_memory_mib << 20;
    if (tkx_local_open(run->model, &options, &run->local, &err) != TKX_OK)
        return cli_fail(err, "cannot open the model %s", run->model);
    if (run->adapter_path && tkx_local_adapter_load(run->local, run->adapter_path,
                                                    &run->adapter, &err) != TKX_OK)
        return cli_fail(err, "cannot load the adapter %s", run->adapter_path);
    return CLI_OK;
}

/* Needed for text that comes in or goes out; ids alone do without. */
static int open_tokenizer(local_run *run)
{
    const char *path = run->args.tokenizer ? run->args.tokenizer : run->model;
    int is_needed = run->is_chat || run->args.tokenizer || !run->args.as_json ||
                    cli_sample_args_is_text(&run->args);

    return is_needed ? cli_text_open(path, NULL, &run->tokenizer) : CLI_OK;
}

/* ---- the prompt ---- */

static int find_format(const local_run *run, tkx_chat_format *format)
{
    tkx_error *err = NULL;
    tkx_status st = run->chat_format
                        ? tkx_chat_format_find(run->chat_format, format, &err)
                        : tkx_chat_format_detect(
                              tkx_tokenizer_chat_template(run->tokenizer), format, &err);

    if (st == TKX_OK)
        return CLI_OK;
    cli_fail(err, "cannot tell the model's chat format");
    if (!run->chat_format)
        cli_hint("name it with --chat-format NAME");
    return CLI_FAILED;
}

static int render_chat(local_run *run)
{
    tkx_chat_message messages[2];
    tkx_chat_rendering rendering;
    tkx_chat_format format;
    size_t n = 0;
    tkx_error *err = NULL;
    int status = find_format(run, &format);

    if (status != CLI_OK)
        return status;
    if (run->system)
        messages[n++] = (tkx_chat_message){"system", run->system, NULL};
    messages[n++] = (tkx_chat_message){"user", run->args.prompt, NULL};
    if (tkx_chat_render(format, run->tokenizer, messages, n, NULL, &rendering, &err) !=
        TKX_OK)
        return cli_fail(err, "cannot render the conversation");
    for (size_t i = 0; i < rendering.n_ids && status == CLI_OK; i++)
        status = cli_ids_append(&run->ids, rendering.ids[i]);
    tkx_chat_rendering_clear(&rendering);
    return status;
}

/* ---- the answer ---- */

/* Shortest digits that give the same float again; null where there is no value. */
static cJSON *number_of(float value)
{
    char text[32];

    if (isnan(value) || isinf(value))
        return cJSON_CreateNull();
    snprintf(text, sizeof text, "%.9g", (double)value);
    return cJSON_CreateRaw(text);
}

static cJSON *numbers_of(const float *values, size_t n)
{
    cJSON *array = cJSON_CreateArray();

    for (size_t i = 0; i < n; i++)
        cJSON_AddItemToArray(array, number_of(values[i]));
    return array;
}

static cJSON *topk_of(const tkx_topk *topk)
{
    cJSON *array = cJSON_CreateArray();

    for (size_t i = 0; i < topk->n_rows; i++) {
        const tkx_topk_row *row = &topk->rows[i];
        cJSON *pairs = row->tokens ? cJSON_CreateArray() : cJSON_CreateNull();

        for (size_t k = 0; row->tokens && k < row->count; k++) {
            cJSON *pair = cJSON_CreateArray();

            cJSON_AddItemToArray(pair, cJSON_CreateNumber(row->tokens[k]));
            cJSON_AddItemToArray(pair, number_of(row->logprobs[k]));
            cJSON_AddItemToArray(pairs, pair);
        }
        cJSON_AddItemToArray(array, pairs);
    }
    return array;
}

static int add_sequence(const local_run *run, cJSON *array, const tkx_sequence *s)
{
    cJSON *object = cJSON_CreateObject();
    cJSON *tokens = cJSON_CreateArray();
    char *text;

    cJSON_AddItemToArray(array, object);
    cJSON_AddStringToObject(object, "stop_reason", tkx_stop_reason_name(s->stop_reason));
    for (size_t i = 0; i < s->n_tokens; i++)
        cJSON_AddItemToArray(tokens, cJSON_CreateNumber(s->tokens[i]));
    cJSON_AddItemToObject(object, "tokens", tokens);
    cJSON_AddItemToObject(object, "logprobs", numbers_of(s->logprobs, s->n_logprobs));
    if (!run->tokenizer)
        return CLI_OK;
    text = cli_text_decode(run->tokenizer, s->tokens, s->n_tokens);
    if (!text)
        return CLI_FAILED;
    cJSON_AddStringToObject(object, "text", text);
    free(text);
    return CLI_OK;
}

static void add_label(const local_run *run, cJSON *object)
{
    tkx_sample_label label = tkx_local_label(run->local, run->adapter, run->mode);

    cJSON_AddStringToObject(object, "backend", label.backend);
    cJSON_AddStringToObject(object, "weight_type", label.weight_type);
    cJSON_AddStringToObject(object, "logprob_mode", label.logprob_mode);
    cJSON_AddStringToObject(object, "reason", label.reason);
    cJSON_AddStringToObject(object, "compute", label.compute);
    cJSON_AddStringToObject(object, "model", label.model);
    if (run->adapter_path)
        cJSON_AddStringToObject(object, "adapter", run->adapter_path);
    if (label.adapter_base)
        cJSON_AddStringToObject(object, "adapter_base_model", label.adapter_base);
}

static int print_json(const local_run *run, const tkx_sample_response *r)
{
    cJSON *object = cJSON_CreateObject();
    cJSON *sequences;
    int status = CLI_OK;

    cJSON_AddStringToObject(object, "type", "sample");
    sequences = cJSON_AddArrayToObject(object, "sequences");
    for (size_t i = 0; i < r->n_sequences && status == CLI_OK; i++)
        status = add_sequence(run, sequences, &r->sequences[i]);
    if (r->prompt_logprobs)
        cJSON_AddItemToObject(object, "prompt_logprobs",
                              numbers_of(r->prompt_logprobs, r->n_prompt_logprobs));
    if (r->topk_prompt_logprobs)
        cJSON_AddItemToObject(object, "topk_prompt_logprobs",
                              topk_of(r->topk_prompt_logprobs));
    cJSON_AddNumberToObject(object, "prompt_cache_hit_tokens",
                            (double)r->prompt_cache_hit_tokens);
    add_label(run, object);
    cli_json_line(object);
    return status;
}

static void print_scores(const local_run *run, const tkx_sample_response *r)
{
    double sum = 0;

    for (size_t i = 0; i < r->n_prompt_logprobs; i++) {
        if (isnan(r->prompt_logprobs[i])) {
            printf("%d\t-\n", run->ids.ids[i]);
            continue;
        }
        printf("%d\t%.6f\n", run->ids.ids[i], (double)r->prompt_logprobs[i]);
        sum += (double)r->prompt_logprobs[i];
    }
    printf("sum\t%.6f\n", sum);
}

/* ---- the run ---- */

static int compute(local_run *run)
{
    tkx_sample_request request = TKX_SAMPLE_REQUEST_INIT;
    tkx_local_sample_options options = TKX_LOCAL_SAMPLE_OPTIONS_INIT;
    tkx_sample_response *response = NULL;
    tkx_error *err = NULL;
    tkx_chunk chunk;
    int status = cli_sample_args_request(&run->args, &run->ids, &chunk, &request);

    if (status != CLI_OK)
        return status;
    if (run->is_scoring) {
        request.params.has_max_tokens = true;
        request.params.max_tokens = 0;
    }
    if (run->is_stopless)
        request.params.stop_kind = TKX_STOP_TOKENS; /* an empty list: no stop at all */
    request.prompt_logprobs = run->wants_prompt_logprobs || run->is_scoring;
    request.topk_prompt_logprobs = run->topk;
    options.adapter = run->adapter;
    options.logprob_mode = run->mode;
    if (tkx_local_sample(run->local, &request, &options, &response, &err) != TKX_OK)
        return cli_fail(err,
                        run->is_scoring ? "cannot score the prompt" : "cannot sample");
    if (run->args.as_json)
        status = print_json(run, response);
    else if (run->is_scoring)
        print_scores(run, response);
    else
        status = cli_sample_print(response, run->tokenizer, 0);
    tkx_sample_response_free(response);
    return status;
}

static int run_all(local_run *run)
{
    int status = open_tokenizer(run);

    if (status == CLI_OK)
        status = run->is_chat
                     ? render_chat(run)
                     : cli_sample_args_prompt(&run->args, run->tokenizer, &run->ids);
    if (status == CLI_OK)
        status = open_model(run);
    return status == CLI_OK ? compute(run) : status;
}

static int find_mode(local_run *run)
{
    static const char *const names[] = {"raw", "tempered", "filtered"};

    for (int i = 0; i < 3; i++) {
        if (strcmp(run->mode_name, names[i]) == 0) {
            run->mode = (tkx_logprob_mode)i;
            return CLI_OK;
        }
    }
    cli_error("--logprob-mode %s: expected raw, tempered or filtered", run->mode_name);
    return CLI_USAGE;
}

/* -1 to go on, or CLI_USAGE. */
static int check(local_run *run)
{
    if (!run->model) {
        cli_error("give --local MODEL: a model folder or a GGUF file");
        return CLI_USAGE;
    }
    if (strcmp(run->compute, "fast") != 0 && strcmp(run->compute, "f32") != 0) {
        cli_error("--compute %s: expected f32 or fast", run->compute);
        return CLI_USAGE;
    }
    if (run->is_chat && !run->args.prompt) {
        cli_error("--chat needs --prompt TEXT: what the user says");
        return CLI_USAGE;
    }
    if (cli_sample_args_check(&run->args) != CLI_OK || find_mode(run) != CLI_OK)
        return CLI_USAGE;
    return -1;
}

static int run_command(int argc, char **argv, local_run *run, const char *usage,
                       const char *about)
{
    cli_option options[CLI_MAX_OPTIONS];
    const cli_option ours[] = {
        {"local", CLI_STRING, &run->model, "MODEL",
         "compute here: a model folder or GGUF file", 0, 0, NULL},
        {"adapter", CLI_STRING, &run->adapter_path, "DIR|TAR",
         "apply an adapter: the service's archive, packed or not", 0, 0, NULL},
        {"chat", CLI_FLAG, &run->is_chat, NULL, "the prompt is what a user says", 0, 0,
         NULL},
        {"chat-format", CLI_STRING, &run->chat_format, "NAME",
         "of the conversation (what the model's template says)", 0, 0, NULL},
        {"system", CLI_STRING, &run->system, "TEXT", "with --chat: the system message", 0,
         0, NULL},
        {"prompt-logprobs", CLI_FLAG, &run->wants_prompt_logprobs, NULL,
         "score the prompt too", 0, 0, NULL},
        {"topk-prompt-logprobs", CLI_INTEGER, &run->topk, "K",
         "the K likeliest tokens at each place of the prompt", 0, 1 << 20, NULL},
        {"no-stop", CLI_FLAG, &run->is_stopless, NULL,
         "go on after the model's end tokens", 0, 0, NULL},
        {"logprob-mode", CLI_STRING, &run->mode_name, "MODE",
         "raw, tempered or filtered (raw)", 0, 0, NULL},
        {"compute", CLI_STRING, &run->compute, "MODE", "f32 or fast (fast)", 0, 0, NULL},
        {"threads", CLI_INTEGER, &run->n_threads, "N", "threads that compute (all cores)",
         1, 64, NULL},
        {"max-memory", CLI_INTEGER, &run->max_memory_mib, "MIB",
         "use no more than that (what machine and cgroup allow)", 1, 1LL << 30, NULL},
    };
    const cli_syntax syntax = {usage, about, options, 0, 0};
    int status;

    cli_sample_options(&run->args,
                       cli_options_add(options, ours, sizeof ours / sizeof *ours));
    status = cli_parse(&syntax, argc, argv, NULL, NULL);
    if (status < 0)
        status = check(run);
    if (status < 0)
        status = run_all(run);
    tkx_local_adapter_unload(run->adapter);
    tkx_local_free(run->local);
    tkx_tokenizer_unref(run->tokenizer);
    cli_ids_clear(&run->ids);
    cli_list_clear(&run->args.stops);
    return status;
}

#define LOCAL_RUN_INIT                                                                   \
    {                                                                                    \
        .args = CLI_SAMPLE_ARGS_INIT, .compute = "fast", .mode_name = "raw"              \
    }

int cmd_sample_is_local(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--local") == 0 || strncmp(argv[i], "--local=", 8) == 0)
            return 1;
    }
    return 0;
}

int cmd_sample_local(int argc, char **argv)
{
    local_run run = LOCAL_RUN_INIT;

    return run_command(argc, argv, &run, "sample --local MODEL --prompt TEXT [options]",
                       "Let a model on this machine continue a prompt.");
}

int cmd_logprobs(int argc, char **argv)
{
    local_run run = LOCAL_RUN_INIT;

    run.is_scoring = 1;
    return run_command(argc, argv, &run, "logprobs --local MODEL --prompt TEXT [options]",
                       "Score the tokens of a prompt with a model on this machine.");
}
