/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sample_args.h - the prompt and the sampling parameters on a command line.
 */
#ifndef CLI_SAMPLE_ARGS_H
#define CLI_SAMPLE_ARGS_H

#include <tkx/types/sample.h>
#include <tkx/types/sample_response.h>

#include "args.h"
#include "prompt.h"
#include "text.h"

typedef struct cli_sample_args {
    cli_prompt prompt;
    const char *tokenizer; /* file */
    const char *seed;
    cli_list stops;
    long long max_tokens, top_k, num_samples;
    int has_max_tokens;
    double temperature, top_p;
    int as_json;
} cli_sample_args;

#define CLI_SAMPLE_ARGS_INIT                                                             \
    {                                                                                    \
        .top_k = -1, .num_samples = 1, .temperature = 1.0, .top_p = 1.0                  \
    }

/* Rows of prompt and parameters, or of the parameters alone. */
cli_option *cli_sample_options(cli_sample_args *args, cli_option *rows);
cli_option *cli_sample_params_options(cli_sample_args *args, cli_option *rows);

/* CLI_OK, or CLI_USAGE after saying what is wrong. */
int cli_sample_params_check(const cli_sample_args *args);

/* Fill in the request; chunk and ids are borrowed by it. */
int cli_sample_args_request(const cli_sample_args *args, const cli_ids *ids,
                            tkx_chunk *chunk, tkx_sample_request *request);

void cli_sample_args_clear(cli_sample_args *args);

/* One line for each sequence: its text, or {"text", "tokens", "logprobs", "stop_reason"}.
   Without a tokenizer text is null, and ids are printed instead. */
int cli_sample_print(const tkx_sample_response *response, const tkx_tokenizer *tokenizer,
                     int as_json);

#endif
