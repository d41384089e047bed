/* SPDX-License-Identifier: Apache-2.0 */
/*
 * output.h - results on stdout, errors on stderr as "Error: what" and a second line with
 * the cause or a hint.
 */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include <cjson/cJSON.h>

#include <tkx/error.h>

void cli_error(const char *fmt, ...) TKX_PRINTF(1, 2);
void cli_hint(const char *fmt, ...) TKX_PRINTF(1, 2);

/* "Error: what: message", the causes below.  Frees the error.  Always returns
   CLI_FAILED. */
int cli_fail(tkx_error *error, const char *fmt, ...) TKX_PRINTF(2, 3);

/* A JSON string of n bytes, which may hold NULs as decoded text does; NULL: no memory. */
cJSON *cli_json_text(const char *text, size_t n);

/* Print one JSON object on a line of its own and free it. */
void cli_json_line(cJSON *object);

/* Flush stdout; false (after saying so) when it could not be written. */
int cli_flush(void);

#endif
