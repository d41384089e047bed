/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_train_sft.c - tkx train sft: supervised fine-tuning of a LoRA adapter.
 *
 * One step is always submitted ahead of the one waited for, so that the service never
 * idles between steps.  Ctrl-C stops submitting, waits for what is under way and saves.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tkx/training.h>

#include "args.h"
#include "command.h"
#include "connection.h"
#include "output.h"
#include "progress.h"
#include "sft_data.h"
#include "text.h"

typedef struct sft_options {
    const char *data;
    const char *model;
    const char *save;
    const char *tokenizer;
    long long rank, n_steps, batch_size, shuffle_seed;
    int is_shuffled;
    double learning_rate;
    int as_json;
} sft_options;

/* One step under way. */
typedef struct sft_step {
    tkx_future *forward_backward;
    tkx_future *optim;
    tkx_datum *batch; /* [batch_size] */
    size_t n_tokens;
    double weight_sum;
} sft_step;

typedef struct sft_run {
    const sft_options *options;
    cli_connection *connection;
    tkx_training *training;
    cli_dataset dataset;
    tkx_tokenizer *tokenizer;
    sft_example *examples;
    cli_order order;
    cli_progress progress;
    sft_step steps[2]; /* the one waited for, and the one ahead */
} sft_run;

static int create_model(sft_run *run)
{
    tkx_lora_options lora = TKX_LORA_OPTIONS_INIT;
    tkx_future *future = NULL;
    tkx_error *err = NULL;
    int status;

    lora.base_model = run->options->model;
    lora.lora.rank = run->options->rank;
    if (tkx_service_create_lora(run->connection->service, &lora, &future, &err) != TKX_OK)
        return cli_fail(err, "creating a LoRA model of %s", run->options->model);
    status = cli_wait(run->connection, future, 1, "creating the LoRA model");
    if (status == CLI_OK &&
        tkx_future_take_training(future, &run->training, &err) != TKX_OK)
        status = cli_fail(err, "creating a LoRA model of %s", run->options->model);
    tkx_future_unref(future);
    return status;
}

static int prepare(sft_run *run)
{
    const tkx_model_info *info = tkx_training_info(run->training);
    const char *id = info ? info->model_data.tokenizer_id : NULL;

    if (!run->tokenizer &&
        cli_text_open(run->options->tokenizer, id, &run->tokenizer) != CLI_OK)
        return CLI_FAILED;
    run->examples = sft_examples_make(&run->dataset, run->tokenizer);
    if (!run->examples)
        return CLI_FAILED;
    for (size_t i = 0; i < 2; i++) {
        run->steps[i].batch =
            calloc((size_t)run->options->batch_size, sizeof *run->steps[i].batch);
        if (!run->steps[i].batch) {
            cli_error("out of memory");
            return CLI_FAILED;
        }
    }
    return cli_order_init(&run->order, run->dataset.n_pairs, run->options->is_shuffled,
                          (uint64_t)run->options->shuffle_seed);
}

static int submit(sft_run *run, sft_step *step)
{
    tkx_adam_params adam = TKX_ADAM_PARAMS_INIT;
    size_t n = (size_t)run->options->batch_size;
    tkx_error *err = NULL;

    step->n_tokens = 0;
    step->weight_sum = 0;
    for (size_t i = 0; i < n; i++) {
        const sft_example *example = &run->examples[cli_order_next(&run->order)];

        step->batch[i] = example->datum;
        step->n_tokens += example->n_tokens;
        step->weight_sum += example->weight_sum;
    }
    adam.learning_rate = run->options->learning_rate;
    if (tkx_training_forward_backward(run->training, step->batch, n,
                                      TKX_LOSS_CROSS_ENTROPY, NULL,
                                      &step->forward_backward, &err) != TKX_OK)
        return cli_fail(err, "forward_backward");
    if (tkx_training_optim_step(run->training, &adam, &step->optim, &err) != TKX_OK)
        return cli_fail(err, "optim_step");
    return CLI_OK;
}

/* The sum over datums of -logprob * weight, for servers that report no loss. */
static double loss_of_logprobs(const sft_step *step,
                               const tkx_forward_backward_output *output)
{
    double sum = 0;

    for (size_t i = 0; i < output->n_outputs; i++) {
        const tkx_tensor *logprobs =
            tkx_forward_backward_output_field(output, i, "logprobs");
        const tkx_tensor *weights = &step->batch[i].loss_fn_inputs[1].tensor;

        if (!logprobs || logprobs->dtype != TKX_DTYPE_FLOAT32 || logprobs->is_sparse ||
            logprobs->n_values != weights->n_values)
            return NAN;
        for (size_t j = 0; j < weights->n_values; j++)
            sum -= (double)logprobs->values.f32[j] * (double)weights->values.f32[j];
    }
    return output->n_outputs ? sum : NAN;
}

static double mean_loss(const sft_step *step, const tkx_forward_backward_output *output)
{
    const tkx_metric *metric =
        tkx_metric_find(output->metrics, output->n_metrics, "loss:sum");
    double sum = metric ? metric->value : loss_of_logprobs(step, output);

    return step->weight_sum > 0 ? sum / step->weight_sum : sum;
}

static void step_clear(sft_step *step)
{
    tkx_future_unref(step->forward_backward);
    tkx_future_unref(step->optim);
    step->forward_backward = NULL;
    step->optim = NULL;
}

static int finish(sft_run *run, sft_step *step, size_t number)
{
    tkx_forward_backward_output *output = NULL;
    tkx_error *err = NULL;
    int status = cli_wait(run->connection, step->forward_backward, 0, "forward_backward");

    if (status == CLI_OK)
        status = cli_wait(run->connection, step->optim, 0, "optim_step");
    if (status == CLI_OK &&
        tkx_future_take_forward_backward(step->forward_backward, &output, &err) != TKX_OK)
        status = cli_fail(err, "forward_backward");
    if (status == CLI_OK)
        cli_progress_step(&run->progress, number, mean_loss(step, output),
                          step->n_tokens);
    tkx_forward_backward_output_free(output);
    step_clear(step);
    return status;
}

/* All steps, one submitted ahead.  CLI_INTERRUPTED when Ctrl-C cut the run short. */
static int train(sft_run *run)
{
    size_t n_steps = (size_t)run->options->n_steps;
    size_t n_submitted = 0;
    int status = CLI_OK;

    cli_progress_init(&run->progress, n_steps, run->options->as_json);
    for (size_t n_done = 0; status == CLI_OK && n_done < n_steps; n_done++) {
        while (status == CLI_OK && n_submitted < n_steps && n_submitted < n_done + 2 &&
               !cli_is_interrupted()) {
            status = submit(run, &run->steps[n_submitted % 2]);
            n_submitted++;
        }
        if (n_done == n_submitted)
            break;
        if (status == CLI_OK)
            status = finish(run, &run->steps[n_done % 2], n_done + 1);
    }
    cli_progress_end(&run->progress);
    return status == CLI_OK && cli_is_interrupted() ? CLI_INTERRUPTED : status;
}

static int save(sft_run *run)
{
    tkx_future *future = NULL;
    tkx_save_weights_result *result = NULL;
    tkx_error *err = NULL;
    int status;

    if (tkx_training_save_weights_for_sampler(run->training, run->options->save, NULL,
                                              &future, &err) != TKX_OK)
        return cli_fail(err, "saving the weights as '%s'", run->options->save);
    status = cli_wait(run->connection, future, 0, "saving the weights");
    if (status == CLI_OK && tkx_future_take_save_weights(future, &result, &err) != TKX_OK)
        status = cli_fail(err, "saving the weights as '%s'", run->options->save);
    if (status == CLI_OK && run->options->as_json) {
        cJSON *object = cJSON_CreateObject();

        cJSON_AddStringToObject(object, "path", result->path ? result->path : "");
        cli_json_line(object);
    } else if (status == CLI_OK) {
        printf("saved %s\n", result->path ? result->path : "(unnamed)");
    }
    tkx_save_weights_result_free(result);
    tkx_future_unref(future);
    return status;
}

static int run_all(sft_run *run)
{
    int status = cli_dataset_load(run->options->data, &run->dataset);
    int save_status;

    if (status == CLI_OK && run->options->tokenizer)
        status = cli_text_open(run->options->tokenizer, NULL, &run->tokenizer);
    if (status == CLI_OK)
        status = cli_connection_open(run->connection);
    cli_catch_interrupts();
    if (status == CLI_OK)
        status = create_model(run);
    if (status == CLI_OK)
        status = prepare(run);
    if (status == CLI_OK) {
        status = train(run);
        if (status == CLI_OK || status == CLI_INTERRUPTED) {
            save_status = save(run);
            status = save_status == CLI_OK ? status : save_status;
        }
    }
    return status;
}

static void clear(sft_run *run)
{
    for (size_t i = 0; i < 2; i++)
        step_clear(&run->steps[i]);
    tkx_training_free(run->training);
    cli_connection_close(run->connection); /* from here nothing borrows the examples */
    for (size_t i = 0; i < 2; i++)
        free(run->steps[i].batch);
    sft_examples_free(run->examples, run->dataset.n_pairs);
    cli_order_clear(&run->order);
    cli_dataset_clear(&run->dataset);
    tkx_tokenizer_unref(run->tokenizer);
}

static int check(const sft_options *options)
{
    const char *missing = !options->data    ? "--data FILE"
                          : !options->model ? "--model NAME"
                                            : NULL;

    if (missing) {
        cli_error("train sft needs %s", missing);
        cli_hint("`tkx train sft --help` lists the options");
        return CLI_USAGE;
    }
    if (options->learning_rate < 0) {
        cli_error("--lr %g: expected 0 or more", options->learning_rate);
        return CLI_USAGE;
    }
    return CLI_OK;
}

int cmd_train_sft(int argc, char **argv)
{
    cli_connection connection = {0};
    sft_options o = {.save = "final",
                     .rank = 32,
                     .n_steps = 100,
                     .batch_size = 8,
                     .learning_rate = 1e-4};
    cli_option options[CLI_MAX_OPTIONS];
    const cli_option ours[] = {
        {"data", CLI_STRING, &o.data, "FILE.jsonl",
         "lines of {\"prompt\", \"completion\"}", 0, 0, NULL},
        {"model", CLI_STRING, &o.model, "NAME", "the base model", 0, 0, NULL},
        {"rank", CLI_INTEGER, &o.rank, "R", "LoRA rank (32)", 1, 1 << 20, NULL},
        {"steps", CLI_INTEGER, &o.n_steps, "N", "optimizer steps (100)", 1, 1000000000,
         NULL},
        {"lr", CLI_NUMBER, &o.learning_rate, "X", "learning rate (1e-4)", 0, 0, NULL},
        {"batch-size", CLI_INTEGER, &o.batch_size, "B", "pairs for each step (8)", 1,
         1 << 20, NULL},
        {"shuffle-seed", CLI_INTEGER, &o.shuffle_seed, "N",
         "shuffle each epoch (file order otherwise)", 0, 0, &o.is_shuffled},
        {"save", CLI_STRING, &o.save, "NAME", "name of the checkpoint (final)", 0, 0,
         NULL},
        {"tokenizer", CLI_STRING, &o.tokenizer, "FILE",
         "tokenizer.json, GGUF file or model folder", 0, 0, NULL},
        {"json", CLI_FLAG, &o.as_json, NULL, "one JSON object a line", 0, 0, NULL},
    };
    const cli_syntax syntax = {
        "train sft --data FILE.jsonl --model NAME [options]",
        "Fine-tune a LoRA adapter on pairs of texts and save it for sampling.", options,
        0, 0};
    sft_run run = {.options = &o, .connection = &connection};
    int status;

    cli_connection_options(&connection,
                           cli_options_add(options, ours, sizeof ours / sizeof *ours));
    status = cli_parse(&syntax, argc, argv, NULL, NULL);
    if (status >= 0)
        return status;
    status = check(&o);
    if (status != CLI_OK)
        return status;
    status = run_all(&run);
    clear(&run);
    return status;
}
