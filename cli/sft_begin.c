/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sft_begin.c - a new model, or the one of a run that was cut off.
 *
 * The calls of a run are pass, step, pass, step, ..., with states saved in between, so
 * what has been done is told by three numbers: steps, passes behind the last one, and the
 * step of the last state, which its name says.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "output.h"
#include "sft_run.h"

static int create_model(sft_run *run)
{
    tkx_lora_options lora = TKX_LORA_OPTIONS_INIT;
    tkx_future *future = NULL;
    tkx_error *err = NULL;
    int status;

    lora.base_model = run->options->model;
    lora.lora.rank = run->options->rank;
    lora.journal = run->dir.journal;
    if (run->options->has_seed)
        lora.lora.seed = tkx_seed_i64(run->options->seed);
    if (tkx_service_create_lora(run->connection->service, &lora, &future, &err) != TKX_OK)
        return cli_fail(err, "creating a LoRA model of %s", run->options->model);
    status = cli_wait(run->connection, future, 1, "creating the LoRA model");
    if (status == CLI_OK &&
        tkx_future_take_training(future, &run->training, &err) != TKX_OK)
        status = cli_fail(err, "creating a LoRA model of %s", run->options->model);
    tkx_future_unref(future);
    return status;
}

/* --- going on -------------------------------------------------------------------- */

static void tell(const sft_run *run, const tkx_resume_report *report)
{
    cJSON *object;

    if (!run->options->as_json) {
        fprintf(stderr,
                "resumed %s: %zu of %lld steps done; %zu calls on record, %zu settled "
                "now, %zu requests sent again\n",
                report->model_id, report->n_optim_steps, run->options->n_steps,
                report->n_confirmed, report->n_settled, report->n_resent);
        if (report->has_new_model)
            fprintf(stderr,
                    "the model was lost: made again from %s, %zu calls carried out "
                    "again\n",
                    report->from_path ? report->from_path : "its beginning",
                    report->n_replayed);
        return;
    }
    object = cJSON_CreateObject();
    cJSON_AddBoolToObject(object, "resumed", 1);
    cJSON_AddStringToObject(object, "model", report->model_id);
    cJSON_AddBoolToObject(object, "new_model", report->has_new_model);
    cJSON_AddNumberToObject(object, "steps", (double)report->n_optim_steps);
    cJSON_AddNumberToObject(object, "confirmed", (double)report->n_confirmed);
    cJSON_AddNumberToObject(object, "settled", (double)report->n_settled);
    cJSON_AddNumberToObject(object, "resent", (double)report->n_resent);
    cJSON_AddNumberToObject(object, "replayed", (double)report->n_replayed);
    cli_json_line(object);
}

/* The step in ".../step-000012"; 0: another name. */
static size_t step_of_path(const char *path)
{
    const char *name = path ? strrchr(path, '/') : NULL;
    unsigned long long step;

    return name && sscanf(name, "/step-%llu", &step) == 1 ? (size_t)step : 0;
}

static int ends_with_name(const char *path, const char *name)
{
    const char *last = path ? strrchr(path, '/') : NULL;

    return last && strcmp(last + 1, name) == 0;
}

static void take_over(sft_run *run, const tkx_resume_report *report)
{
    run->n_before = run->n_done = report->n_optim_steps;
    run->has_pass = report->n_pending_passes > 0;
    run->n_saved = step_of_path(report->state_path);
    if (run->n_before >= (size_t)run->options->n_steps &&
        ends_with_name(report->sampler_path, run->options->save))
        snprintf(run->result, sizeof run->result, "%s", report->sampler_path);
}

static int resume(sft_run *run, tkx_resume_mode mode, size_t *n_failed)
{
    tkx_resume_options options = TKX_RESUME_OPTIONS_INIT;
    tkx_resume_report *report = NULL;
    tkx_future *future = NULL;
    tkx_error *err = NULL;
    int status;

    options.mode = mode;
    if (tkx_training_resume(run->connection->service, run->dir.journal, &options, &future,
                            &err) != TKX_OK)
        return cli_fail(err, "resuming the run in %s", run->dir.folder);
    status = cli_wait(run->connection, future, 1, "resuming the run");
    if (status == CLI_OK &&
        tkx_future_take_resumed(future, &run->training, &report, &err) != TKX_OK)
        status = cli_fail(err, "resuming the run in %s", run->dir.folder);
    tkx_future_unref(future);
    if (status != CLI_OK)
        return status;
    *n_failed = report->n_failed;
    tell(run, report);
    take_over(run, report);
    tkx_resume_report_free(report);
    return CLI_OK;
}

int sft_run_begin(sft_run *run)
{
    size_t n_failed = 0;
    int status;

    if (!run->dir.journal || !tkx_journal_has_run(run->dir.journal))
        return create_model(run);
    status = resume(run, TKX_RESUME_REPLAY, &n_failed);
    if (status != CLI_OK || n_failed == 0)
        return status;
    /* The service failed a call, and the steps behind it went on without it. */
    tkx_training_free(run->training);
    run->training = NULL;
    return resume(run, TKX_RESUME_RESTART, &n_failed);
}
