/* SPDX-License-Identifier: Apache-2.0 */
/* args.c - see args.h. */
#include "args.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "output.h"

cli_option *cli_options_add(cli_option *rows, const cli_option *more, size_t n_more)
{
    memcpy(rows, more, n_more * sizeof *rows);
    memset(rows + n_more, 0, sizeof *rows);
    return rows + n_more;
}

static const char *dashes(const cli_option *option)
{
    return option->name[1] ? "--" : "-";
}

static void print_help(const cli_syntax *syntax)
{
    printf("usage: tkx %s\n\n%s\n\n", syntax->usage, syntax->about);
    for (const cli_option *o = syntax->options; o->name; o++) {
        char left[64];

        snprintf(left, sizeof left, "%s%s%s%s", dashes(o), o->name,
                 o->argument ? " " : "", o->argument ? o->argument : "");
        printf("  %-28s %s\n", left, o->help);
    }
    puts("  --help                       print this");
}

static const cli_option *find(const cli_syntax *syntax, const char *name, size_t length)
{
    for (const cli_option *o = syntax->options; o->name; o++)
        if (strlen(o->name) == length && strncmp(o->name, name, length) == 0)
            return o;
    return NULL;
}

static int bad_value(const cli_option *option, const char *text, const char *expected)
{
    cli_error("%s%s %s: expected %s", dashes(option), option->name, text, expected);
    return CLI_USAGE;
}

static int store_integer(const cli_option *option, const char *text)
{
    char expected[96] = "a whole number";
    char *end;
    long long value;

    if (option->max > option->min)
        snprintf(expected, sizeof expected, "a whole number from %lld to %lld",
                 option->min, option->max);
    errno = 0;
    value = strtoll(text, &end, 10);
    if (errno || end == text || *end || text[0] == ' ')
        return bad_value(option, text, expected);
    if (option->max > option->min && (value < option->min || value > option->max))
        return bad_value(option, text, expected);
    *(long long *)option->value = value;
    return -1;
}

static int store_number(const cli_option *option, const char *text)
{
    char *end;
    double value;

    errno = 0;
    value = strtod(text, &end);
    if (end == text || *end || !isfinite(value) || text[0] == ' ')
        return bad_value(option, text, "a number");
    *(double *)option->value = value;
    return -1;
}

int cli_list_add(cli_list *list, const char *text)
{
    const char **items = realloc(list->items, (list->n_items + 1) * sizeof *items);

    if (!items) {
        cli_error("out of memory");
        return 0;
    }
    list->items = items;
    list->items[list->n_items++] = text;
    return 1;
}

static int store(const cli_option *option, const char *text)
{
    switch (option->kind) {
    case CLI_FLAG:
        *(int *)option->value = 1;
        return -1;
    case CLI_STRING:
        *(const char **)option->value = text;
        return -1;
    case CLI_STRINGS:
        return cli_list_add(option->value, text) ? -1 : CLI_FAILED;
    case CLI_INTEGER:
        return store_integer(option, text);
    case CLI_NUMBER:
        return store_number(option, text);
    }
    return -1;
}

static int usage_error(const cli_syntax *syntax)
{
    cli_hint("usage: tkx %s", syntax->usage);
    return CLI_USAGE;
}

/* One "--name", "--name=value", "-n" or "-nvalue" at argv[*at]; moves *at past a separate
   value. */
static int parse_option(const cli_syntax *syntax, int argc, char **argv, int *at)
{
    int is_short = argv[*at][1] != '-';
    const char *name = argv[*at] + (is_short ? 1 : 2);
    const char *equals = strchr(name, '=');
    size_t length = is_short ? 1 : equals ? (size_t)(equals - name) : strlen(name);
    const cli_option *option = find(syntax, name, length);
    const char *text = equals ? equals + 1 : NULL;

    if (is_short)
        text = name[1] ? name + 1 : NULL;
    if (!option || (option->name[1] == '\0') != is_short) {
        cli_error("unknown option '%s'", argv[*at]);
        return usage_error(syntax);
    }
    if (option->kind == CLI_FLAG && text) {
        cli_error("%s%s takes no value", dashes(option), option->name);
        return usage_error(syntax);
    }
    if (option->kind != CLI_FLAG && !text) {
        if (*at + 1 >= argc) {
            cli_error("%s%s needs a value: %s", dashes(option), option->name,
                      option->argument);
            return usage_error(syntax);
        }
        text = argv[++*at];
    }
    if (option->is_given)
        *option->is_given = 1;
    return store(option, text);
}

int cli_parse(const cli_syntax *syntax, int argc, char **argv, const char **operands,
              size_t *n_operands)
{
    int only_operands = 0;
    size_t n = 0;

    for (int i = 1; i < argc; i++) {
        int status = -1;

        if (!only_operands && strcmp(argv[i], "--") == 0) {
            only_operands = 1;
        } else if (!only_operands &&
                   (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)) {
            print_help(syntax);
            return CLI_OK;
        } else if (!only_operands && argv[i][0] == '-' && argv[i][1]) {
            status = parse_option(syntax, argc, argv, &i);
        } else if (n == syntax->max_operands) {
            cli_error("unexpected '%s'", argv[i]);
            return usage_error(syntax);
        } else {
            operands[n++] = argv[i];
        }
        if (status >= 0)
            return status;
    }
    if (n < syntax->min_operands) {
        cli_error("something is missing");
        return usage_error(syntax);
    }
    if (n_operands)
        *n_operands = n;
    return -1;
}

void cli_list_clear(cli_list *list)
{
    free(list->items);
    list->items = NULL;
    list->n_items = 0;
}
