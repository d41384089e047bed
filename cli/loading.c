/* SPDX-License-Identifier: Apache-2.0 */
/* loading.c - see loading.h. */
#include "loading.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define MS_BETWEEN 100

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void cli_loading_begin(cli_loading *loading)
{
    *loading = (cli_loading){.is_live = isatty(STDERR_FILENO), .last_ms = now_ms()};
}

void cli_loading_report(tkx_local_stage stage, uint64_t done_bytes, uint64_t total_bytes,
                        void *user_data)
{
    cli_loading *loading = user_data;
    int64_t now = now_ms();

    /* only quantising takes long enough to be watched */
    if (!loading->is_live || stage != TKX_LOCAL_STAGE_QUANTISE || total_bytes == 0 ||
        now - loading->last_ms < MS_BETWEEN)
        return;
    loading->last_ms = now;
    loading->is_shown = 1;
    fprintf(stderr, "\r\033[Kquantising: %.1f of %.1f MB (%d %%)",
            (double)done_bytes / 1e6, (double)total_bytes / 1e6,
            (int)((double)done_bytes * 100 / (double)total_bytes));
    fflush(stderr);
}

void cli_loading_end(cli_loading *loading)
{
    if (loading->is_shown)
        fputs("\r\033[K", stderr);
    loading->is_shown = 0;
}
