/* SPDX-License-Identifier: Apache-2.0 */
/* output.c - see output.h. */
#include "output.h"

#include <stdarg.h>
#include <stdio.h>

#include "command.h"

static void line(const char *prefix, const char *fmt, va_list args)
{
    fputs(prefix, stderr);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
}

void cli_error(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    line("Error: ", fmt, args);
    va_end(args);
}

void cli_hint(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    line("  ", fmt, args);
    va_end(args);
}

int cli_fail(tkx_error *error, const char *fmt, ...)
{
    char what[512];
    va_list args;

    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    cli_error("%s: %s", what, tkx_error_message(error));
    for (const tkx_error *c = tkx_error_cause(error); c; c = tkx_error_cause(c))
        cli_hint("cause: %s", tkx_error_message(c));
    tkx_error_free(error);
    return CLI_FAILED;
}

void cli_json_line(cJSON *object)
{
    char *text = cJSON_PrintUnformatted(object);

    if (text)
        puts(text);
    fflush(stdout);
    cJSON_free(text);
    cJSON_Delete(object);
}

int cli_flush(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return 1;
    perror("Error: writing the output");
    return 0;
}
