/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_train_sft.c - tkx train sft: supervised fine-tuning of a LoRA adapter.
 *
 * Ctrl-C stops submitting, waits for what is under way and saves.  With --run-dir the
 * same command goes on where the last one stopped, however it stopped.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "command.h"
#include "output.h"
#include "sft_run.h"
#include "text.h"

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

/* --- the folder ------------------------------------------------------------------ */

static void set(cli_setting *to, const char *name, const char *format, ...)
    TKX_PRINTF(3, 4);

static void set(cli_setting *to, const char *name, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    to->name = name;
    vsnprintf(to->value, sizeof to->value, format, args);
    va_end(args);
}

/* Open it, and see that the command is the one that it was begun with. */
static int open_folder(sft_run *run)
{
    const sft_options *o = run->options;
    cli_setting settings[10] = {{.name = "data"}};
    size_t n = 1;
    int status = cli_run_dir_open(&run->dir);

    if (status != CLI_OK || !run->dir.journal)
        return status;
    status = cli_setting_of_file(&settings[0], o->data);
    set(&settings[n++], "model", "%s", o->model);
    set(&settings[n++], "rank", "%lld", o->rank);
    set(&settings[n++], "steps", "%lld", o->n_steps);
    set(&settings[n++], "lr", "%.17g", o->learning_rate);
    set(&settings[n++], "batch-size", "%lld", o->batch_size);
    set(&settings[n++], "save", "%s", o->save);
    set(&settings[n++], "tokenizer", "%s", o->tokenizer ? o->tokenizer : "(the model's)");
    if (o->is_shuffled)
        set(&settings[n++], "shuffle-seed", "%lld", o->shuffle_seed);
    else
        set(&settings[n++], "shuffle-seed", "(file order)");
    if (o->has_seed)
        set(&settings[n++], "seed", "%lld", o->seed);
    else
        set(&settings[n++], "seed", "(any)");
    return status == CLI_OK ? cli_run_dir_check(&run->dir, settings, n) : status;
}

/* --- all of it ------------------------------------------------------------------- */

static int end_run(sft_run *run, int status)
{
    int save_status;

    if (status == CLI_INTERRUPTED && run->dir.journal) {
        if (run->n_done == run->n_saved)
            return status;
        save_status = sft_run_save_state(run);
        if (save_status == CLI_OK)
            fprintf(stderr, "stopped after step %zu; run it again to go on\n",
                    run->n_done);
        return save_status == CLI_OK ? status : save_status;
    }
    if (status != CLI_OK && status != CLI_INTERRUPTED)
        return status;
    save_status = sft_run_save(run);
    if (save_status == CLI_OK)
        save_status = cli_run_dir_finish(&run->dir, run->result);
    return save_status == CLI_OK ? status : save_status;
}

static int run_all(sft_run *run)
{
    int status = cli_dataset_load(run->options->data, &run->dataset);

    if (status == CLI_OK)
        status = open_folder(run);
    if (status == CLI_OK)
        status = cli_run_dir_result(&run->dir, run->result, sizeof run->result);
    if (status == CLI_OK && run->result[0])
        return sft_run_save(run); /* finished before: says where */
    if (status == CLI_OK && run->options->tokenizer)
        status = cli_text_open(run->options->tokenizer, NULL, &run->tokenizer);
    if (status == CLI_OK)
        status = cli_connection_open(run->connection);
    cli_catch_interrupts();
    cli_catch_termination();
    if (status == CLI_OK)
        status = sft_run_begin(run);
    if (status == CLI_OK)
        status = prepare(run);
    if (status == CLI_OK)
        status = end_run(run, sft_run_train(run));
    return status;
}

static void clear(sft_run *run)
{
    tkx_training_free(run->training);
    cli_connection_close(run->connection); /* from here nothing borrows the examples */
    cli_run_dir_close(&run->dir);
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
                     .save_every = 100,
                     .learning_rate = 1e-4};
    sft_run run = {.options = &o, .connection = &connection};
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
        {"seed", CLI_INTEGER, &o.seed, "N", "of the adapter's first weights", 0, 0,
         &o.has_seed},
        {"run-dir", CLI_STRING, &run.dir.folder, "DIR",
         "keep the run there; the same command goes on with it", 0, 0, NULL},
        {"save-every", CLI_INTEGER, &o.save_every, "N",
         "with --run-dir: save a state each N steps (100; 0: never)", 0, 1000000000,
         NULL},
        {"json", CLI_FLAG, &o.as_json, NULL, "one JSON object a line", 0, 0, NULL},
    };
    const cli_syntax syntax = {
        "train sft --data FILE.jsonl --model NAME [options]",
        "Fine-tune a LoRA adapter on pairs of texts and save it for sampling.", options,
        0, 0};
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
