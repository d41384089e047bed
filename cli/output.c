/* SPDX-License-Identifier: Apache-2.0 */
/* output.c - see output.h. */
#include "output.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

cJSON *cli_json_text(const char *text, size_t n)
{
    char *quoted = n < SIZE_MAX / 8 ? malloc(6 * n + 3) : NULL;
    char *at = quoted;
    cJSON *item;

    if (!quoted)
        return NULL;
    *at++ = '"';
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c == '\n') {
            at = stpcpy(at, "\\n");
        } else if (c < 0x20 || c == 0x7F) {
            at += sprintf(at, "\\u%04x", c);
        } else {
            if (c == '"' || c == '\\')
                *at++ = '\\';
            *at++ = (char)c;
        }
    }
    stpcpy(at, "\"");
    item = cJSON_CreateRaw(quoted);
    free(quoted);
    return item;
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
