/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/log.h - writing log lines.  A logger is set once and then only read.
 *
 * Never pass a credential: nothing here can recognise one.
 */
#ifndef TKX_BASE_LOG_H
#define TKX_BASE_LOG_H

#include <stdbool.h>

#include <tkx/log.h>

typedef struct tkx__log {
    tkx_log_fn *fn; /* NULL: silent */
    void *user_data;
    tkx_log_level max_level;
} tkx__log;

static inline bool tkx__log_wants(const tkx__log *log, tkx_log_level level)
{
    return log && log->fn && level <= log->max_level;
}

/* Lines are cut at 1,000 bytes. */
void tkx__log_write(const tkx__log *log, tkx_log_level level, const char *subject,
                    const char *fmt, ...) TKX_PRINTF(4, 5);

#endif
