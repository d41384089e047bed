/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loading.h - how far a local model's loading is: one line on a terminal, rewritten ten
 * times a second at most and gone when the model is ready; nothing elsewhere.
 */
#ifndef CLI_LOADING_H
#define CLI_LOADING_H

#include <stdint.h>

#include <tkx/local.h>

typedef struct cli_loading {
    int is_live;
    int is_shown;
    int64_t last_ms;
} cli_loading;

void cli_loading_begin(cli_loading *loading);
/* For tkx_local_options.on_progress; user_data is the cli_loading. */
tkx_local_progress_fn cli_loading_report;
/* Also after a failure: the line must not stand before its message. */
void cli_loading_end(cli_loading *loading);

#endif
