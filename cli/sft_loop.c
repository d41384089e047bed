/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sft_loop.c - pass and step, one pair submitted ahead of the one waited for, so that the
 * service never idles between steps; saved states in the same line.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "output.h"
#include "sft_run.h"

/* --- one step -------------------------------------------------------------------- */

static void next_batch(sft_run *run, sft_step *step)
{
    step->n_tokens = 0;
    step->weight_sum = 0;
    for (size_t i = 0; i < (size_t)run->options->batch_size; i++) {
        const sft_example *example = &run->examples[cli_order_next(&run->order)];

        step->batch[i] = example->datum;
        step->n_tokens += example->n_tokens;
        step->weight_sum += example->weight_sum;
    }
}

static int begin_state(sft_run *run, size_t number, tkx_future **out)
{
    char name[32];
    tkx_error *err = NULL;

    snprintf(name, sizeof name, "step-%06zu", number);
    if (tkx_training_save_state(run->training, name, NULL, out, &err) != TKX_OK)
        return cli_fail(err, "saving the state as '%s'", name);
    run->n_saved = number;
    return CLI_OK;
}

static int is_state_due(const sft_run *run, size_t number)
{
    return run->dir.journal && run->options->save_every > 0 && number > 0 &&
           number % (size_t)run->options->save_every == 0 &&
           number < (size_t)run->options->n_steps && run->n_saved != number;
}

static int submit(sft_run *run, sft_step *step, size_t number)
{
    tkx_adam_params adam = TKX_ADAM_PARAMS_INIT;
    tkx_optim_options optim = TKX_OPTIM_OPTIONS_INIT;
    tkx_error *err = NULL;

    next_batch(run, step);
    adam.learning_rate = run->options->learning_rate;
    optim.adam = &adam;
    if (run->has_pass)
        run->has_pass = 0;
    else if (tkx_training_forward_backward(
                 run->training, step->batch, (size_t)run->options->batch_size,
                 TKX_LOSS_CROSS_ENTROPY, NULL, &step->forward_backward, &err) != TKX_OK)
        return cli_fail(err, "forward_backward");
    if (tkx_training_optim_step(run->training, &optim, &step->optim, &err) != TKX_OK)
        return cli_fail(err, "optim_step");
    return is_state_due(run, number) ? begin_state(run, number, &step->state) : CLI_OK;
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
    tkx_future_unref(step->state);
    step->forward_backward = step->optim = step->state = NULL;
}

/* A wait for an outcome that holds nothing of interest but whether it came. */
static int wait_state(sft_run *run, tkx_future *future)
{
    tkx_save_weights_result *result = NULL;
    tkx_error *err = NULL;
    int status = cli_wait(run->connection, future, 0, "saving the state");

    if (status == CLI_OK && tkx_future_take_save_weights(future, &result, &err) != TKX_OK)
        status = cli_fail(err, "saving the state");
    tkx_save_weights_result_free(result);
    return status;
}

static int finish(sft_run *run, sft_step *step, size_t number)
{
    tkx_forward_backward_output *output = NULL;
    tkx_error *err = NULL;
    double loss = NAN;
    int status = CLI_OK;

    if (step->forward_backward)
        status = cli_wait(run->connection, step->forward_backward, 0, "forward_backward");
    if (status == CLI_OK)
        status = cli_wait(run->connection, step->optim, 0, "optim_step");
    if (status == CLI_OK && step->forward_backward &&
        tkx_future_take_forward_backward(step->forward_backward, &output, &err) != TKX_OK)
        status = cli_fail(err, "forward_backward");
    if (status == CLI_OK && output)
        loss = mean_loss(step, output);
    if (status == CLI_OK)
        cli_progress_step(&run->progress, number, loss, step->n_tokens);
    tkx_forward_backward_output_free(output);
    if (status == CLI_OK && step->state)
        status = wait_state(run, step->state);
    step_clear(step);
    return status;
}

/* --- the loop -------------------------------------------------------------------- */

/* Past the examples of the steps that were done before. */
static void skip_examples(sft_run *run)
{
    size_t n = run->n_before * (size_t)run->options->batch_size;

    for (size_t i = 0; i < n; i++)
        cli_order_next(&run->order);
}

int sft_run_save_state(sft_run *run)
{
    tkx_future *future = NULL;
    int status = begin_state(run, run->n_done, &future);

    if (status == CLI_OK)
        status = wait_state(run, future);
    tkx_future_unref(future);
    return status;
}

int sft_run_train(sft_run *run)
{
    size_t n_steps = (size_t)run->options->n_steps;
    size_t n_submitted = run->n_before;
    int status = CLI_OK;

    skip_examples(run);
    cli_progress_init(&run->progress, n_steps, run->n_before, run->options->as_json);
    if (!run->has_pass && is_state_due(run, run->n_before)) /* cut off before its save */
        status = sft_run_save_state(run);
    while (status == CLI_OK && run->n_done < n_steps) {
        while (status == CLI_OK && n_submitted < n_steps &&
               n_submitted < run->n_done + 2 && !cli_is_interrupted()) {
            status = submit(run, &run->steps[n_submitted % 2], n_submitted + 1);
            n_submitted++;
        }
        if (run->n_done == n_submitted)
            break;
        if (status == CLI_OK)
            status = finish(run, &run->steps[run->n_done % 2], run->n_done + 1);
        run->n_done += status == CLI_OK;
    }
    cli_progress_end(&run->progress);
    for (size_t i = 0; i < 2; i++)
        step_clear(&run->steps[i]);
    return status == CLI_OK && cli_is_interrupted() ? CLI_INTERRUPTED : status;
}

/* --- the end --------------------------------------------------------------------- */

static int save_weights(sft_run *run)
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
    if (status == CLI_OK)
        snprintf(run->result, sizeof run->result, "%s",
                 result->path ? result->path : "(unnamed)");
    tkx_save_weights_result_free(result);
    tkx_future_unref(future);
    return status;
}

int sft_run_save(sft_run *run)
{
    int status = run->result[0] ? CLI_OK : save_weights(run);

    if (status != CLI_OK)
        return status;
    if (run->options->as_json) {
        cJSON *object = cJSON_CreateObject();

        cJSON_AddStringToObject(object, "path", run->result);
        cli_json_line(object);
    } else {
        printf("saved %s\n", run->result);
    }
    return CLI_OK;
}
