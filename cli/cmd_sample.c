/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_sample.c - tkx sample: completions of one prompt by the service. */
#include <string.h>

#include <tkx/sampling.h>

#include "command.h"
#include "connection.h"
#include "output.h"
#include "sample_args.h"

typedef struct sample_run {
    cli_connection connection;
    cli_sample_args args;
    const char *base_model;
    const char *model_path;
    tkx_sampling *sampling;
    tkx_tokenizer *tokenizer;
} sample_run;

static int open_sampling(sample_run *run)
{
    tkx_sampling_options options = TKX_SAMPLING_OPTIONS_INIT;
    const char *name = run->model_path ? run->model_path : run->base_model;
    tkx_future *future = NULL;
    tkx_error *err = NULL;
    int status;

    options.base_model = run->base_model;
    options.model_path = run->model_path;
    if (tkx_service_create_sampling(run->connection.service, &options, &future, &err) !=
        TKX_OK)
        return cli_fail(err, "cannot sample %s", name);
    status = cli_wait(&run->connection, future, 1, "opening a sampling session");
    if (status == CLI_OK &&
        tkx_future_take_sampling(future, &run->sampling, &err) != TKX_OK)
        status = cli_fail(err, "cannot sample %s", name);
    tkx_future_unref(future);
    return status;
}

/* The tokenizer that belongs to the model, as far as it is known here. */
static int open_tokenizer(sample_run *run)
{
    const char *model = tkx_sampling_base_model(run->sampling);
    const char *id = model && strcmp(model, "tkx/bytes") == 0 ? "bytes" : model;

    if (!run->args.tokenizer && !run->args.prompt.text &&
        (!id || strcmp(id, "bytes") != 0))
        return CLI_OK; /* ids in, ids out */
    return cli_text_open(run->args.tokenizer, id, &run->tokenizer);
}

static int sample(sample_run *run)
{
    tkx_sample_request request = TKX_SAMPLE_REQUEST_INIT;
    tkx_sample_response *response = NULL;
    tkx_future *future = NULL;
    tkx_error *err = NULL;
    tkx_chunk chunk;
    int status =
        cli_sample_args_request(&run->args, &run->args.prompt.ids, &chunk, &request);

    if (status != CLI_OK)
        return status;
    if (tkx_sampling_sample(run->sampling, &request, 0, &future, &err) != TKX_OK)
        return cli_fail(err, "sampling");
    status = cli_wait(&run->connection, future, 1, "sampling");
    if (status == CLI_INTERRUPTED)
        tkx_future_cancel(future);
    if (status == CLI_OK && tkx_future_take_sample(future, &response, &err) != TKX_OK)
        status = cli_fail(err, "sampling");
    if (status == CLI_OK)
        status = cli_sample_print(response, run->tokenizer, run->args.as_json);
    tkx_sample_response_free(response);
    tkx_future_unref(future);
    return status;
}

static int run_all(sample_run *run)
{
    int status = cli_prompt_load(&run->args.prompt);

    if (status == CLI_OK)
        status = cli_connection_open(&run->connection);
    cli_catch_interrupts();
    if (status == CLI_OK)
        status = open_sampling(run);
    if (status == CLI_OK)
        status = open_tokenizer(run);
    if (status == CLI_OK)
        status = cli_prompt_encode(&run->args.prompt, run->tokenizer);
    if (status == CLI_OK)
        status = sample(run);
    return status;
}

/* -1 to go on, or CLI_USAGE. */
static int check(const sample_run *run)
{
    int status;

    if (!run->base_model == !run->model_path) {
        cli_error("give one of --base-model NAME and --model-path PATH");
        return CLI_USAGE;
    }
    status = cli_prompt_check(&run->args.prompt);
    if (status == CLI_OK)
        status = cli_sample_params_check(&run->args);
    return status == CLI_OK ? -1 : status;
}

int cmd_sample(int argc, char **argv)
{
    sample_run run = {.args = CLI_SAMPLE_ARGS_INIT};
    cli_option options[CLI_MAX_OPTIONS];
    const cli_option ours[] = {
        {"base-model", CLI_STRING, &run.base_model, "NAME", "sample a base model", 0, 0,
         NULL},
        {"model-path", CLI_STRING, &run.model_path, "PATH",
         "sample a checkpoint: tinker://...", 0, 0, NULL},
    };
    const cli_syntax syntax = {
        "sample (--base-model NAME | --model-path PATH | --local MODEL) --prompt TEXT "
        "[options]",
        "Let a model of the service continue a prompt (--local MODEL --help: one of this "
        "machine).",
        options, 0, 0};
    int status;

    if (cmd_sample_is_local(argc, argv))
        return cmd_sample_local(argc, argv);
    cli_connection_options(
        &run.connection,
        cli_sample_options(&run.args,
                           cli_options_add(options, ours, sizeof ours / sizeof *ours)));
    status = cli_parse(&syntax, argc, argv, NULL, NULL);
    if (status < 0)
        status = check(&run);
    if (status < 0)
        status = run_all(&run);
    tkx_sampling_free(run.sampling);
    cli_connection_close(&run.connection);
    tkx_tokenizer_unref(run.tokenizer);
    cli_sample_args_clear(&run.args);
    return status;
}
