/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_sample_local.c - tkx sample --local MODEL and tkx logprobs --local MODEL: the same
 * request computed on this machine, or with --backend auto where the service cannot.
 *
 * With --json one object is printed: the service's sample response with "backend",
 * "weight_type", "logprob_mode" and "reason" beside it.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tkx/chat.h>

#include "command.h"
#include "output.h"
#include "sample_args.h"
#include "sample_json.h"
#include "sampler.h"

typedef struct local_run {
    cli_sample_args args;
    cli_sampler side;
    const char *mode_name;
    const char *chat_format;
    const char *system;
    cli_list biases;
    cli_ids stops; /* that end an answer; with --chat */
    double min_p, repetition_penalty, frequency_penalty, presence_penalty;
    long long topk;
    long long last_n;
    int is_chat;
    int is_stopless;
    int wants_prompt_logprobs;
    int is_scoring; /* tkx logprobs */
    tkx_local_sample_options extras;
    int64_t *bias_ids;
    float *bias_values;
    tkx_tokenizer *tokenizer;
} local_run;

/* Needed for text that comes in; what goes out stays ids where the model has none. */
static int open_tokenizer(local_run *run)
{
    const cli_sample_args *args = &run->args;

    if (run->is_chat || args->tokenizer || args->prompt.text)
        return cli_sampler_tokenizer(&run->side, args->tokenizer, &run->tokenizer);
    if (!args->as_json && !run->is_scoring && run->side.model)
        (void)tkx_tokenizer_open(run->side.model, &run->tokenizer, NULL);
    return CLI_OK;
}

/* ---- the prompt ---- */

static int render_chat(local_run *run)
{
    tkx_chat_message messages[2];
    tkx_chat_rendering rendering;
    tkx_chat_format format;
    size_t n = 0;
    tkx_error *err = NULL;
    int status = cli_text_chat_format(run->tokenizer, run->chat_format, &format);

    if (status != CLI_OK)
        return status;
    if (run->system)
        messages[n++] = (tkx_chat_message){"system", run->system, NULL};
    messages[n++] = (tkx_chat_message){"user", run->args.prompt.text, NULL};
    if (tkx_chat_render(format, run->tokenizer, messages, n, NULL, &rendering, &err) !=
        TKX_OK)
        return cli_fail(err, "cannot render the conversation");
    for (size_t i = 0; i < rendering.n_ids && status == CLI_OK; i++)
        status = cli_ids_append(&run->args.prompt.ids, rendering.ids[i]);
    tkx_chat_rendering_clear(&rendering);
    if (status == CLI_OK)
        status = cli_text_chat_stops(run->tokenizer, format, &run->stops);
    return status;
}

/* ---- the answer ---- */

static int print_json(const local_run *run, const tkx_sampler_result *result)
{
    cJSON *object = cli_sample_json(result->response, run->tokenizer);

    if (!object)
        return CLI_FAILED;
    cli_label_json(object, &result->label, run->side.adapter_path);
    cli_json_line(object);
    return CLI_OK;
}

/* The row of a place; some services leave out the first. */
static const tkx_topk_row *topk_at(const tkx_topk *topk, size_t at, size_t n)
{
    if (!topk || topk->n_rows > n || at < n - topk->n_rows)
        return NULL;
    return &topk->rows[at + topk->n_rows - n];
}

static void print_score(int32_t id, float value, const tkx_topk_row *row)
{
    if (isnan(value))
        printf("%d\t-", id);
    else
        printf("%d\t%.6f", id, (double)value);
    for (size_t k = 0; row && row->tokens && k < row->count; k++)
        printf("\t%d %.6f", row->tokens[k], (double)row->logprobs[k]);
    putchar('\n');
}

static void print_scores(const local_run *run, const tkx_sample_response *r)
{
    const cli_ids *ids = &run->args.prompt.ids;
    size_t n_missing = ids->n_ids - r->n_prompt_logprobs;
    double sum = 0;

    for (size_t i = 0; i < ids->n_ids; i++) {
        float value = i < n_missing ? NAN : r->prompt_logprobs[i - n_missing];

        print_score(ids->ids[i], value, topk_at(r->topk_prompt_logprobs, i, ids->n_ids));
        sum += isnan(value) ? 0 : (double)value;
    }
    printf("sum\t%.6f\n", sum);
}

static int print(const local_run *run, tkx_sampler_result *result)
{
    if (run->is_scoring)
        result->response->n_sequences = 0; /* the service draws one token in any case */
    if (run->args.as_json)
        return print_json(run, result);
    cli_sampler_say(&run->side, &result->label);
    if (!run->is_scoring)
        return cli_sample_print(result->response, run->tokenizer, 0);
    if (result->response->n_prompt_logprobs > run->args.prompt.ids.n_ids) {
        cli_error("%zu scores came for %zu tokens", result->response->n_prompt_logprobs,
                  run->args.prompt.ids.n_ids);
        return CLI_FAILED;
    }
    print_scores(run, result->response);
    return CLI_OK;
}

/* ---- the run ---- */

static int fill_request(const local_run *run, tkx_chunk *chunk, tkx_sample_request *r)
{
    int status = cli_sample_args_request(&run->args, &run->args.prompt.ids, chunk, r);

    if (run->is_scoring) {
        r->params.has_max_tokens = true;
        r->params.max_tokens = run->side.mode == TKX_SAMPLER_LOCAL ? 0 : 1;
    }
    if (run->is_chat && r->params.stop_kind == TKX_STOP_DEFAULT) {
        r->params.stop_kind = TKX_STOP_TOKENS;
        r->params.stop_tokens = run->stops.ids;
        r->params.n_stop = run->stops.n_ids;
    }
    if (run->is_stopless) {
        r->params.stop_kind = TKX_STOP_TOKENS; /* an empty list: no stop at all */
        r->params.n_stop = 0;
    }
    r->prompt_logprobs = run->wants_prompt_logprobs || run->is_scoring;
    r->topk_prompt_logprobs = run->topk;
    if (run->last_n > 0)
        r->prompt_logprobs_last_n = run->last_n;
    return status;
}

static int compute(local_run *run)
{
    tkx_sample_request request = TKX_SAMPLE_REQUEST_INIT;
    const char *what = run->is_scoring ? "cannot score the prompt" : "cannot sample";
    tkx_sampler_result *result = NULL;
    tkx_future *future = NULL;
    tkx_error *err = NULL;
    tkx_chunk chunk;
    int status = fill_request(run, &chunk, &request);

    if (status != CLI_OK)
        return status;
    if (tkx_sampler_sample(run->side.sampler, &request, &run->extras, 0, &future, &err) !=
        TKX_OK)
        return cli_fail(err, "%s", what);
    status = cli_wait(&run->side.connection, future, 1, what);
    if (status == CLI_INTERRUPTED)
        tkx_future_cancel(future);
    if (status == CLI_OK &&
        tkx_future_take_sampler_result(future, &result, &err) != TKX_OK)
        status = cli_fail(err, "%s", what);
    if (status == CLI_OK)
        status = print(run, result);
    tkx_sampler_result_free(result);
    tkx_future_unref(future);
    return status;
}

static int run_all(local_run *run)
{
    int status = cli_prompt_load(&run->args.prompt);

    if (status == CLI_OK && run->is_chat && !run->args.prompt.text) {
        cli_error("--chat needs a text: what the user says, no token ids");
        status = CLI_USAGE;
    }
    if (status == CLI_OK)
        status = open_tokenizer(run);
    if (status == CLI_OK)
        status = run->is_chat ? render_chat(run)
                              : cli_prompt_encode(&run->args.prompt, run->tokenizer);
    if (status == CLI_OK)
        status = cli_sampler_open(&run->side);
    cli_catch_interrupts();
    return status == CLI_OK ? compute(run) : status;
}

/* ---- options ---- */

static int find_mode(local_run *run)
{
    static const char *const names[] = {"raw", "tempered", "filtered"};

    for (int i = 0; i < 3; i++) {
        if (strcmp(run->mode_name, names[i]) == 0) {
            run->extras.logprob_mode = (tkx_logprob_mode)i;
            return CLI_OK;
        }
    }
    cli_error("--logprob-mode %s: expected raw, tempered or filtered", run->mode_name);
    return CLI_USAGE;
}

/* "ID=VALUE" */
static int parse_bias(const char *text, int64_t *id, float *value)
{
    char *end;

    errno = 0;
    *id = strtoll(text, &end, 10);
    if (!errno && end != text && *end == '=' && end[1]) {
        *value = strtof(end + 1, &end);
        if (!*end)
            return CLI_OK;
    }
    cli_error("--logit-bias %s: expected ID=NUMBER", text);
    return CLI_USAGE;
}

static int set_extras(local_run *run)
{
    size_t n = run->biases.n_items;
    int status = CLI_OK;

    run->extras.min_p = (float)run->min_p;
    run->extras.repetition_penalty = (float)run->repetition_penalty;
    run->extras.frequency_penalty = (float)run->frequency_penalty;
    run->extras.presence_penalty = (float)run->presence_penalty;
    if (n == 0)
        return CLI_OK;
    run->bias_ids = calloc(n, sizeof *run->bias_ids);
    run->bias_values = calloc(n, sizeof *run->bias_values);
    if (!run->bias_ids || !run->bias_values) {
        cli_error("out of memory");
        return CLI_FAILED;
    }
    for (size_t i = 0; i < n && status == CLI_OK; i++)
        status =
            parse_bias(run->biases.items[i], &run->bias_ids[i], &run->bias_values[i]);
    run->extras.bias_tokens = run->bias_ids;
    run->extras.biases = run->bias_values;
    run->extras.n_biases = n;
    return status;
}

/* -1 to go on, or CLI_USAGE. */
static int check(local_run *run)
{
    int status = cli_sampler_check(&run->side);

    if (status == CLI_OK)
        status = cli_prompt_check(&run->args.prompt);
    if (status == CLI_OK)
        status = cli_sample_params_check(&run->args);
    if (status == CLI_OK && !run->is_chat && (run->chat_format || run->system)) {
        cli_error("%s is for --chat", run->system ? "--system" : "--chat-format");
        status = CLI_USAGE;
    }
    if (status == CLI_OK)
        status = find_mode(run);
    if (status == CLI_OK)
        status = set_extras(run);
    return status == CLI_OK ? -1 : status;
}

static cli_option *local_options(local_run *run, cli_option *rows)
{
    const cli_option ours[] = {
        {"chat", CLI_FLAG, &run->is_chat, NULL, "the prompt is what a user says", 0, 0,
         NULL},
        {"chat-format", CLI_STRING, &run->chat_format, "NAME",
         "of the conversation (what the model's template says)", 0, 0, NULL},
        {"system", CLI_STRING, &run->system, "TEXT", "with --chat: the system message", 0,
         0, NULL},
        {"prompt-logprobs", CLI_FLAG, &run->wants_prompt_logprobs, NULL,
         "score the prompt too", 0, 0, NULL},
        {"prompt-logprobs-last-n", CLI_INTEGER, &run->last_n, "N",
         "score the prompt's last N tokens only", 1, 1LL << 40, NULL},
        {"topk-prompt-logprobs", CLI_INTEGER, &run->topk, "K",
         "the K likeliest tokens at each place of the prompt", 0, 1 << 20, NULL},
        {"no-stop", CLI_FLAG, &run->is_stopless, NULL,
         "go on after the model's end tokens", 0, 0, NULL},
        {"logprob-mode", CLI_STRING, &run->mode_name, "MODE",
         "local: raw, tempered or filtered (raw)", 0, 0, NULL},
        {"min-p", CLI_NUMBER, &run->min_p, "P",
         "local: drop what is less likely than P times the best", 0, 0, NULL},
        {"repetition-penalty", CLI_NUMBER, &run->repetition_penalty, "X",
         "local: divide the logits of tokens that occurred", 0, 0, NULL},
        {"frequency-penalty", CLI_NUMBER, &run->frequency_penalty, "X",
         "local: subtract X for each occurrence", 0, 0, NULL},
        {"presence-penalty", CLI_NUMBER, &run->presence_penalty, "X",
         "local: subtract X once for a token that occurred", 0, 0, NULL},
        {"logit-bias", CLI_STRINGS, &run->biases, "ID=X",
         "local: add X to a token's logit; may be repeated", 0, 0, NULL},
    };

    return cli_options_add(rows, ours, sizeof ours / sizeof *ours);
}

static int run_command(int argc, char **argv, local_run *run, const char *usage,
                       const char *about)
{
    cli_option options[CLI_MAX_OPTIONS];
    const cli_syntax syntax = {usage, about, options, 0, 0};
    int status;

    cli_sampler_remote_options(
        &run->side,
        cli_sample_options(&run->args, local_options(run, cli_sampler_local_options(
                                                              &run->side, options))));
    status = cli_parse(&syntax, argc, argv, NULL, NULL);
    if (status < 0)
        status = check(run);
    if (status < 0)
        status = run_all(run);
    cli_sampler_close(&run->side);
    tkx_tokenizer_unref(run->tokenizer);
    cli_sample_args_clear(&run->args);
    cli_list_clear(&run->biases);
    cli_ids_clear(&run->stops);
    free(run->bias_ids);
    free(run->bias_values);
    return status;
}

#define LOCAL_RUN_INIT                                                                   \
    {                                                                                    \
        .args = CLI_SAMPLE_ARGS_INIT, .side = CLI_SAMPLER_INIT,                          \
        .extras = TKX_LOCAL_SAMPLE_OPTIONS_INIT, .mode_name = "raw"                      \
    }

int cmd_sample_is_local(int argc, char **argv)
{
    static const char *const names[] = {"--local", "--adapter", "--backend"};

    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        for (size_t j = 0; j < sizeof names / sizeof names[0]; j++) {
            size_t n = strlen(names[j]);

            if (strncmp(argv[i], names[j], n) == 0 && (!argv[i][n] || argv[i][n] == '='))
                return 1;
        }
    }
    return 0;
}

int cmd_sample_local(int argc, char **argv)
{
    local_run run = LOCAL_RUN_INIT;

    return run_command(
        argc, argv, &run,
        "sample --local MODEL [--backend auto (--base-model NAME | "
        "--model-path PATH)] --prompt TEXT [options]",
        "Let a model on this machine continue a prompt, or, with --backend "
        "auto, where the service cannot.");
}

int cmd_logprobs(int argc, char **argv)
{
    local_run run = LOCAL_RUN_INIT;

    run.is_scoring = 1;
    return run_command(argc, argv, &run, "logprobs --local MODEL --prompt TEXT [options]",
                       "Score the tokens of a prompt with a model on this machine, or of "
                       "the service (--backend).");
}
