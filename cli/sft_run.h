/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sft_run.h - one supervised run: what was asked for, and where it stands.
 */
#ifndef CLI_SFT_RUN_H
#define CLI_SFT_RUN_H

#include <tkx/training.h>

#include "connection.h"
#include "progress.h"
#include "run_dir.h"
#include "sft_data.h"

typedef struct sft_options {
    const char *data;
    const char *model;
    const char *save;
    const char *tokenizer;
    long long rank, n_steps, batch_size, shuffle_seed, seed, save_every;
    int is_shuffled, has_seed;
    double learning_rate;
    int as_json;
} sft_options;

/* One step under way. */
typedef struct sft_step {
    tkx_future *forward_backward; /* NULL: it was done before this start */
    tkx_future *optim;
    tkx_future *state; /* saved after it; NULL: not */
    tkx_datum *batch;  /* [batch_size] */
    size_t n_tokens;
    double weight_sum;
} sft_step;

typedef struct sft_run {
    const sft_options *options;
    cli_connection *connection;
    cli_run_dir dir;
    tkx_training *training;
    cli_dataset dataset;
    tkx_tokenizer *tokenizer;
    sft_example *examples;
    cli_order order;
    cli_progress progress;
    sft_step steps[2]; /* the one waited for, and the one ahead */
    size_t n_before;   /* steps done before this start */
    size_t n_done;
    int has_pass;      /* the pass of the next step was done before this start */
    size_t n_saved;    /* steps in the last saved state */
    char result[1024]; /* the last save was done before this start: where; or "" */
} sft_run;

/* Make the model, or go on with the run in the folder. */
int sft_run_begin(sft_run *run);
/* All steps that are left, one submitted ahead.  CLI_INTERRUPTED when Ctrl-C cut the run
   short. */
int sft_run_train(sft_run *run);
/* Keep where it stands, to go on later. */
int sft_run_save_state(sft_run *run);
/* The weights, for sampling; says where they are. */
int sft_run_save(sft_run *run);

#endif
