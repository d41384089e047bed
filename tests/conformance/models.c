/* SPDX-License-Identifier: Apache-2.0 */
/*
 * models.c - the kind "models": walk a folder and run what is in it.
 *
 * What a folder holds tells the kind of case; see tests/data/models/README.md.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "kinds.h"
#include "models/cases.h"

static int is_there(const char *path)
{
    struct stat sb;

    return stat(path, &sb) == 0;
}

static int is_folder(const char *path)
{
    struct stat sb;

    return stat(path, &sb) == 0 && S_ISDIR(sb.st_mode);
}

static int ends_with(const char *text, const char *end)
{
    size_t n = strlen(text);
    size_t m = strlen(end);

    return n >= m && strcmp(text + n - m, end) == 0;
}

static int is_entry(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void walk(const char *dir, conf_report *report);

static void visit(const char *dir, const char *name, conf_report *report)
{
    char path[4096];
    char ref[4200];

    if ((size_t)snprintf(path, sizeof path, "%s/%s", dir, name) >= sizeof path)
        return;
    if (is_folder(path)) {
        walk(path, report);
    } else if (ends_with(name, ".gguf")) {
        snprintf(ref, sizeof ref, "%.*s.ref.safetensors", (int)(strlen(path) - 5), path);
        if (is_there(ref))
            gguf_case(path, ref, report);
    } else if (strcmp(name, "ref.json") == 0) {
        large_case(path, report);
    }
}

static void walk(const char *dir, conf_report *report)
{
    char config[4200];
    char ref[4200];
    struct dirent **entries;
    int n;

    snprintf(config, sizeof config, "%s/config.json", dir);
    snprintf(ref, sizeof ref, "%s/ref", dir);
    if (is_there(config) && is_folder(ref)) {
        folder_case(dir, report);
        return;
    }
    n = scandir(dir, &entries, is_entry, alphasort);
    if (n < 0) {
        conf_fail(report, dir, "cannot be read");
        return;
    }
    for (int i = 0; i < n; i++) {
        visit(dir, entries[i]->d_name, report);
        free(entries[i]);
    }
    free(entries);
}

int conf_models(const char *dir, const conf_options *options, conf_report *report)
{
    (void)options;
    walk(dir, report);
    return 0;
}
