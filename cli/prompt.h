/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prompt.h - the prompt of a command: a text, ids, or a file that holds either.
 */
#ifndef CLI_PROMPT_H
#define CLI_PROMPT_H

#include "args.h"
#include "text.h"

typedef struct cli_prompt {
    const char *given_text;   /* --prompt */
    const char *given_tokens; /* --prompt-tokens: "1,2,3" */
    const char *file;         /* --prompt-file; "-": standard input */
    char *file_text;          /* what the file held, unless that were ids */
    const char *text;         /* set by cli_prompt_load(); NULL: ids were given */
    cli_ids ids;              /* of the prompt */
} cli_prompt;

cli_option *cli_prompt_options(cli_prompt *prompt, cli_option *rows);

/* One of the three is given, or CLI_USAGE after saying so. */
int cli_prompt_check(const cli_prompt *prompt);

/* Read the file, once: it may be a pipe.  CLI_OK, or the exit status after saying what
   is wrong. */
int cli_prompt_load(cli_prompt *prompt);

/* The ids of a text; nothing to do when ids were given. */
int cli_prompt_encode(cli_prompt *prompt, const tkx_tokenizer *tokenizer);

void cli_prompt_clear(cli_prompt *prompt);

#endif
