/* SPDX-License-Identifier: Apache-2.0 */
/* progress.c - see progress.h. */
#include "progress.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "output.h"

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void cli_progress_init(cli_progress *progress, size_t n_steps, size_t n_before,
                       int as_json)
{
    memset(progress, 0, sizeof *progress);
    progress->n_steps = n_steps;
    progress->n_before = n_before;
    progress->as_json = as_json;
    progress->is_live = !as_json && isatty(STDERR_FILENO);
    progress->started_ms = now_ms();
}

static void step_as_json(size_t step, double loss, size_t n_tokens)
{
    cJSON *object = cJSON_CreateObject();

    cJSON_AddNumberToObject(object, "step", (double)step);
    if (isfinite(loss))
        cJSON_AddNumberToObject(object, "loss", loss);
    else
        cJSON_AddNullToObject(object, "loss");
    cJSON_AddNumberToObject(object, "tokens", (double)n_tokens);
    cli_json_line(object);
}

void cli_progress_step(cli_progress *progress, size_t step, double loss, size_t n_tokens)
{
    double seconds = (double)(now_ms() - progress->started_ms) / 1000;
    double left = seconds / (double)(step - progress->n_before) *
                  (double)(progress->n_steps - step);

    progress->n_tokens += n_tokens;
    if (progress->as_json) {
        step_as_json(step, loss, n_tokens);
        return;
    }
    fprintf(progress->is_live ? stderr : stdout,
            "%sstep %zu/%zu  loss %.4f  %.0f tokens/s  ETA %d:%02d%s",
            progress->is_live ? "\r\033[K" : "", step, progress->n_steps, loss,
            seconds > 0 ? (double)progress->n_tokens / seconds : 0.0, (int)left / 60,
            (int)left % 60, progress->is_live ? "" : "\n");
    fflush(progress->is_live ? stderr : stdout);
}

void cli_progress_end(cli_progress *progress)
{
    if (progress->is_live)
        fputc('\n', stderr);
    progress->is_live = 0;
}
