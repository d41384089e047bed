/* SPDX-License-Identifier: Apache-2.0 */
/*
 * progress.h - one line per training step: rewritten in place on a terminal, plain lines
 * otherwise, JSON objects with --json.
 */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stddef.h>
#include <stdint.h>

typedef struct cli_progress {
    int as_json;
    int is_live; /* stderr is a terminal, and not as_json */
    size_t n_steps;
    size_t n_before; /* steps of an earlier start */
    size_t n_tokens;
    int64_t started_ms;
} cli_progress;

void cli_progress_init(cli_progress *progress, size_t n_steps, size_t n_before,
                       int as_json);
/* step counts from 1; loss is the mean over the step's target tokens. */
void cli_progress_step(cli_progress *progress, size_t step, double loss, size_t n_tokens);
void cli_progress_end(cli_progress *progress);

#endif
