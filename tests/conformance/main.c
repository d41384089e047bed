/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - tkx-conformance KIND DIR: data-driven checks, so that a case is a file.
 *
 * Exit: 0 none failed and at least one passed; 1 otherwise; 2 usage or unreadable DIR.
 */
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "conformance.h"
#include "kinds.h"

void conf_pass(conf_report *report, const char *name)
{
    report->n_passed++;
    if (report->is_verbose)
        printf("PASS %s\n", name);
}

static void line(const char *verdict, const char *name, const char *fmt, va_list args)
{
    printf("%s %s: ", verdict, name);
    vprintf(fmt, args);
    putchar('\n');
}

void conf_fail(conf_report *report, const char *name, const char *fmt, ...)
{
    va_list args;

    report->n_failed++;
    va_start(args, fmt);
    line("FAIL", name, fmt, args);
    va_end(args);
}

void conf_skip(conf_report *report, const char *name, const char *fmt, ...)
{
    va_list args;

    report->n_skipped++;
    va_start(args, fmt);
    line("SKIP", name, fmt, args);
    va_end(args);
}

static int usage(void)
{
    fprintf(stderr,
            "usage: tkx-conformance KIND DIR [--vocab-dir DIR] [--verbose]\nkinds:");
    for (const conf_kind *kind = conf_kinds; kind->name; kind++)
        fprintf(stderr, " %s", kind->name);
    fputc('\n', stderr);
    return 2;
}

static int is_readable(const char *dir)
{
    DIR *handle = opendir(dir);

    if (!handle) {
        fprintf(stderr, "tkx-conformance: cannot read folder %s: %s\n", dir,
                strerror(errno));
        return 0;
    }
    closedir(handle);
    return 1;
}

int main(int argc, char **argv)
{
    conf_options options = {0};
    conf_report report = {0};
    const char *words[2] = {NULL, NULL};
    int n_words = 0;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--verbose") == 0)
            options.is_verbose = 1;
        else if (strcmp(argv[i], "--vocab-dir") == 0 && i + 1 < argc)
            options.vocab_dir = argv[++i];
        else if (argv[i][0] != '-' && n_words < 2)
            words[n_words++] = argv[i];
        else
            return usage();
    }
    if (n_words != 2)
        return usage();
    report.is_verbose = options.is_verbose;
    for (const conf_kind *kind = conf_kinds; kind->name; kind++) {
        if (strcmp(kind->name, words[0]) != 0)
            continue;
        if (!is_readable(words[1]) || kind->run(words[1], &options, &report) != 0)
            return 2;
        printf("%zu passed, %zu failed, %zu skipped\n", report.n_passed, report.n_failed,
               report.n_skipped);
        return report.n_failed == 0 && report.n_passed > 0 ? 0 : 1;
    }
    fprintf(stderr, "tkx-conformance: unknown kind '%s'\n", words[0]);
    return usage();
}
