/* SPDX-License-Identifier: Apache-2.0 */
/* log.c - format one line and hand it on. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

void tkx__log_write(const tkx__log *log, tkx_log_level level, const char *subject,
                    const char *fmt, ...)
{
    char line[1000];
    va_list args;

    if (!tkx__log_wants(log, level))
        return;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    log->fn(level, subject, line, log->user_data);
}

const char *tkx_log_level_name(tkx_log_level level)
{
    static const char *const names[] = {"error", "warning", "info", "debug", "trace"};

    return (unsigned)level < sizeof names / sizeof *names ? names[level] : "unknown";
}
