/* SPDX-License-Identifier: Apache-2.0 */
/*
 * args.h - options of a command, from a table that also prints its help.
 *
 * Accepts --name VALUE, --name=VALUE, flags, operands, and "--" before operands.  An
 * option with a name of one letter is written -o VALUE or -oVALUE; a second row with the
 * same value makes it another name of a longer one.
 */
#ifndef CLI_ARGS_H
#define CLI_ARGS_H

#include <stddef.h>

typedef enum cli_kind {
    CLI_FLAG,    /* int *: set to 1 */
    CLI_STRING,  /* const char ** */
    CLI_STRINGS, /* cli_list *: may be repeated */
    CLI_INTEGER, /* long long *: a whole number */
    CLI_NUMBER   /* double *: a finite number */
} cli_kind;

typedef struct cli_list {
    const char **items; /* freed by cli_list_clear() */
    size_t n_items;
} cli_list;

typedef struct cli_option {
    const char *name; /* without dashes; NULL ends the table */
    cli_kind kind;
    void *value;
    const char *argument; /* its name in the help; NULL for flags */
    const char *help;
    long long min, max; /* CLI_INTEGER: bounds, when max > min */
    int *is_given;      /* set to 1 when the option occurs; may be NULL */
} cli_option;

/* Enough rows for any command. */
#define CLI_MAX_OPTIONS 64

/* Copy rows to @p rows, and an end after them; returns the place of that end. */
cli_option *cli_options_add(cli_option *rows, const cli_option *more, size_t n_more);

typedef struct cli_syntax {
    const char *usage; /* after "usage: tkx " */
    const char *about;
    const cli_option *options;
    size_t min_operands;
    size_t max_operands;
} cli_syntax;

/*
 * Fill in the options; operands get argv's strings, in order (operands[max_operands]).
 * Returns -1 to go on, else the exit status (help was printed, or an error was said).
 */
int cli_parse(const cli_syntax *syntax, int argc, char **argv, const char **operands,
              size_t *n_operands);

/* The text is borrowed; 0 after saying that memory is short. */
int cli_list_add(cli_list *list, const char *text);
void cli_list_clear(cli_list *list);

#endif
