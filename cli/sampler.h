/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sampler.h - the options that say which model is sampled, there or here, and the sampler
 * made from them.
 */
#ifndef CLI_SAMPLER_H
#define CLI_SAMPLER_H

#include <tkx/sampler.h>

#include "connection.h"
#include "text.h"

typedef struct cli_sampler {
    cli_connection connection;
    const char *backend; /* --backend; NULL: local with a local model, else remote */
    const char *base_model;
    const char *model_path;
    const char *model; /* --local */
    cli_list adapters; /* --adapter: one at most */
    const char *adapter_path;
    const char *compute;
    const char *weight_type; /* --weights; NULL: as stored */
    long long n_threads;
    long long max_memory_mib;
    tkx_sampler_mode mode; /* set by cli_sampler_check() */
    tkx_local *local;
    tkx_local_adapter *adapter;
    tkx_sampler *sampler;
} cli_sampler;

#define CLI_SAMPLER_INIT                                                                 \
    {                                                                                    \
        .compute = "fast"                                                                \
    }

/* Rows of the local side, and of the service. */
cli_option *cli_sampler_local_options(cli_sampler *s, cli_option *rows);
cli_option *cli_sampler_remote_options(cli_sampler *s, cli_option *rows);

/* CLI_OK, or CLI_USAGE after saying what is wrong. */
int cli_sampler_check(cli_sampler *s);

/* Open what the mode needs.  CLI_OK, or CLI_FAILED after saying why. */
int cli_sampler_open(cli_sampler *s);
void cli_sampler_close(cli_sampler *s);

/* Where either side may answer: one line on stderr saying which did, and why. */
void cli_sampler_say(const cli_sampler *s, const tkx_sample_label *label);

/* The tokenizer: file if given, else the local model's, else the one of tkx/bytes. */
int cli_sampler_tokenizer(const cli_sampler *s, const char *file, tkx_tokenizer **out);

#endif
