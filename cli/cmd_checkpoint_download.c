/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_checkpoint_download.c - tkx checkpoint download: a checkpoint as a folder. */
#include <stdio.h>

#include <tkx/checkpoint_download.h>

#include "command.h"
#include "connection.h"
#include "output.h"

typedef struct download_run {
    cli_connection connection;
    const char *directory;
    int is_forced;
    int as_json;
    tkx_rest *rest;
} download_run;

static void print(const download_run *run, const char *checkpoint_path,
                  const tkx_checkpoint_download_result *result)
{
    cJSON *object;

    if (!run->as_json) {
        printf("%s\n", result->path);
        return;
    }
    object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "checkpoint_path", checkpoint_path);
    cJSON_AddStringToObject(object, "destination", result->path);
    cJSON_AddNumberToObject(object, "file_size_bytes", (double)result->size_bytes);
    cli_json_line(object);
}

static int download(download_run *run, const char *path)
{
    tkx_checkpoint_download_options options = TKX_CHECKPOINT_DOWNLOAD_OPTIONS_INIT;
    tkx_checkpoint_download_result *result = NULL;
    tkx_future *future = NULL;
    tkx_error *err = NULL;
    int status;

    options.tinker_path = path;
    options.directory = run->directory;
    options.is_forced = run->is_forced;
    if (tkx_checkpoint_download(run->rest, &options, &future, &err) != TKX_OK) {
        tkx_status why = tkx_error_status(err);

        cli_fail(err, "cannot download %s", path);
        if (why == TKX_ERR_INVALID_STATE)
            cli_hint("--force replaces it");
        return why == TKX_ERR_INVALID_ARGUMENT ? CLI_USAGE : CLI_FAILED;
    }
    status = cli_wait(&run->connection, future, 1, "downloading");
    if (status != CLI_OK)
        tkx_future_cancel(future);
    if (status == CLI_OK &&
        tkx_future_take_checkpoint_download(future, &result, &err) != TKX_OK)
        status = cli_fail(err, "cannot download %s", path);
    if (status == CLI_OK)
        print(run, path, result);
    tkx_checkpoint_download_result_free(result);
    tkx_future_unref(future);
    return status;
}

int cmd_checkpoint_download(int argc, char **argv)
{
    download_run run = {.directory = "."};
    cli_option options[CLI_MAX_OPTIONS];
    const char *path = NULL;
    tkx_error *err = NULL;
    const cli_option ours[] = {
        {.name = "output",
         .kind = CLI_STRING,
         .value = &run.directory,
         .argument = "DIR",
         .help = "make the checkpoint's folder in it (here)"},
        {.name = "o",
         .kind = CLI_STRING,
         .value = &run.directory,
         .argument = "DIR",
         .help = "the same"},
        {.name = "force",
         .kind = CLI_FLAG,
         .value = &run.is_forced,
         .help = "replace a folder that exists"},
        {.name = "json",
         .kind = CLI_FLAG,
         .value = &run.as_json,
         .help = "one JSON object"},
    };
    const cli_syntax syntax = {
        "checkpoint download PATH [-o DIR] [--force] [options]",
        "Download a checkpoint (tinker://RUN/KIND/NAME) as an adapter's folder, "
        "DIR/RUN_KIND_NAME.",
        options, 1, 1};
    int status;

    cli_connection_options(&run.connection,
                           cli_options_add(options, ours, sizeof ours / sizeof *ours));
    status = cli_parse(&syntax, argc, argv, &path, NULL);
    if (status >= 0)
        return status;
    cli_catch_interrupts();
    status = cli_connection_open(&run.connection);
    if (status == CLI_OK &&
        tkx_rest_new(run.connection.context, NULL, &run.rest, &err) != TKX_OK)
        status = cli_fail(err, "cannot use the service");
    if (status == CLI_OK)
        status = download(&run, path);
    tkx_rest_free(run.rest);
    cli_connection_close(&run.connection);
    return status;
}
