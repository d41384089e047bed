/* SPDX-License-Identifier: Apache-2.0 */
/* fixtures.c - walks the manifests of recorded wire bytes; one report per case. */
#include "fixtures.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kinds.h"

fixture_verdict fixture_differs(fixture *f, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(f->why, sizeof f->why, fmt, args);
    va_end(args);
    return FIXTURE_FAILED;
}

static char *read_file(tkx__arena *arena, const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    char *bytes = NULL;
    long n = -1;

    if (!file)
        return NULL;
    if (fseek(file, 0, SEEK_END) == 0)
        n = ftell(file);
    rewind(file);
    if (n >= 0)
        bytes = tkx__arena_alloc(arena, (size_t)n + 1, 1);
    if (bytes && fread(bytes, 1, (size_t)n, file) == (size_t)n) {
        bytes[n] = '\0';
        *size = (size_t)n;
    } else {
        bytes = NULL;
    }
    fclose(file);
    return bytes;
}

const char *fixture_file(fixture *f, const char *name, size_t *size)
{
    char path[4096];
    const char *bytes = NULL;

    *size = 0;
    snprintf(path, sizeof path, "%s/%s", f->dir, name ? name : "");
    if (name)
        bytes = read_file(f->arena, path, size);
    if (!bytes)
        fixture_differs(f, "cannot read %s", name ? name : "(no file named)");
    return bytes;
}

const char *fixture_text(const fixture *f, const jdom *from, const char *key)
{
    (void)f;
    return jdom_text(jdom_get(from, key));
}

typedef fixture_verdict run_fn(fixture *f);

static void run_case(const jdom *root, const char *dir, run_fn *run, bool only_codecs,
                     conf_report *report)
{
    tkx__arena arena;
    fixture f = {.root = root, .dir = dir, .arena = &arena, .only_codecs = only_codecs};
    const jdom *call = jdom_get(root, "call");

    tkx__arena_init(&arena, 1 << 16, SIZE_MAX / 4);
    f.name = jdom_text(jdom_get(root, "name"));
    f.group = jdom_text(jdom_get(root, "group"));
    f.op = jdom_text(jdom_get(call, "op"));
    f.context = jdom_get(call, "context");
    f.args = jdom_get(call, "args");
    if (!f.name || !f.op || !f.group) {
        conf_fail(report, f.name ? f.name : "(unnamed)",
                  "not a case: name, group or op missing");
    } else {
        switch (run(&f)) {
        case FIXTURE_PASSED:
            conf_pass(report, f.name);
            break;
        case FIXTURE_FAILED:
            conf_fail(report, f.name, "%s", f.why);
            break;
        case FIXTURE_NOT_HERE:
            if (!only_codecs)
                conf_fail(report, f.name, "op %s (%s) is not covered", f.op, f.group);
            break;
        }
    }
    tkx__arena_clear(&arena);
}

static int run_manifest(const char *dir, const char *part, run_fn *run, bool only_codecs,
                        conf_report *report)
{
    char folder[3000];
    char path[3100];
    tkx__arena arena;
    size_t size = 0;
    char *bytes;
    const jdom *root;
    const jdom *cases;

    tkx__arena_init(&arena, 1 << 20, SIZE_MAX / 4);
    snprintf(folder, sizeof folder, "%s/%s", dir, part);
    snprintf(path, sizeof path, "%s/manifest.json", folder);
    bytes = read_file(&arena, path, &size);
    root = bytes ? jdom_parse(&arena, bytes, size) : NULL;
    cases = jdom_get(root, "cases");
    if (!cases)
        fprintf(stderr, "tkx-conformance: cannot read %s\n", path);
    for (size_t i = 0; i < jdom_count(cases); i++)
        run_case(jdom_at(cases, i), folder, run, only_codecs, report);
    tkx__arena_clear(&arena);
    return cases ? 0 : 1;
}

static void run_sequence(const char *path, conf_report *report)
{
    tkx__arena arena;
    fixture f = {.arena = &arena};
    size_t size = 0;
    char *bytes;

    tkx__arena_init(&arena, 1 << 16, SIZE_MAX / 4);
    bytes = read_file(&arena, path, &size);
    f.root = bytes ? jdom_parse(&arena, bytes, size) : NULL;
    f.name = jdom_text(jdom_get(f.root, "name"));
    if (!f.name)
        conf_fail(report, path, "not a sequence");
    else if (fixture_run_sequence(&f) == FIXTURE_PASSED)
        conf_pass(report, f.name);
    else
        conf_fail(report, f.name, "%s", f.why);
    tkx__arena_clear(&arena);
}

static int is_json(const struct dirent *entry)
{
    size_t n = strlen(entry->d_name);

    return n > 5 && strcmp(entry->d_name + n - 5, ".json") == 0;
}

/* A set may be without. */
static void run_sequences(const char *dir, conf_report *report)
{
    struct dirent **entries = NULL;
    char folder[3000];
    char path[4000];
    int n;

    snprintf(folder, sizeof folder, "%s/sequences", dir);
    n = scandir(folder, &entries, is_json, alphasort);
    for (int i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        run_sequence(path, report);
        free(entries[i]);
    }
    free(entries);
}

static int run_all(const char *dir, bool only_codecs, conf_report *report)
{
    int failed = run_manifest(dir, "requests", fixture_run_request, only_codecs, report);

    return failed |
           run_manifest(dir, "responses", fixture_run_response, only_codecs, report);
}

int conf_fixtures(const char *dir, const conf_options *options, conf_report *report)
{
    int failed = run_all(dir, false, report);

    (void)options;
    run_sequences(dir, report);
    return failed;
}

/* The cases that codecs alone decide; the others are left to "fixtures". */
int conf_codecs(const char *dir, const conf_options *options, conf_report *report)
{
    (void)options;
    return run_all(dir, true, report);
}
