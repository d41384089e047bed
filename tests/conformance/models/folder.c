/* SPDX-License-Identifier: Apache-2.0 */
/* folder.c - a Hugging Face folder: the base and each adapter on every path. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "models/cases.h"
#include "models/checks.h"

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

static void fail_error(conf_report *report, const char *name, tkx_error **err)
{
    conf_fail(report, name, "%s", tkx_error_message(*err));
    tkx_error_free(*err);
    *err = NULL;
}

static void check_file(rig *r, const char *dir, const char *values, const char *name,
                       conf_report *report)
{
    tkx__safetensors *ref;
    tkx_error *err = NULL;
    char path[4300];
    ref_case c = {.r = r, .name = name, .prefix = "", .report = report};

    snprintf(path, sizeof path, "%s/ref/%s.safetensors", dir, values);
    if (access(path, F_OK) != 0) {
        conf_skip(report, name, "no values are recorded for it");
        return;
    }
    if (tkx__safetensors_open(path, &ref, &err) != TKX_OK) {
        fail_error(report, name, &err);
        return;
    }
    c.ref = ref;
    if (r->path == RIG_F32)
        check_exact(&c);
    else
        check_coarse(&c);
    tkx__safetensors_free(ref);
}

/* What the base says to some tokens, before and after an adapter was in use. */
static void probe(rig *r, float *logits, conf_report *report, const char *name)
{
    static const int64_t tokens[] = {3, 1, 2};
    tkx_error *err = NULL;

    rig_restart(r);
    if (rig_feed(r, tokens, 3, logits, &err) != TKX_OK)
        fail_error(report, name, &err);
}

/* "r4.tar.gz" has the values of "r4"; a name may hold other dots. */
static size_t values_length(const char *entry)
{
    static const char *const ends[] = {".tar", ".tar.gz", ".tgz"};
    size_t n = strlen(entry);

    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        size_t m = strlen(ends[i]);

        if (n > m && strcmp(entry + n - m, ends[i]) == 0)
            return n - m;
    }
    return n;
}

/* One adapter: adapters/ENTRY, a folder or an archive, with the values of NAME. */
static void check_adapter(rig *r, const char *dir, const char *entry, conf_report *report)
{
    char path[4600];
    char values[256];
    char name[600];
    float *before = calloc(3 * r->vocab_size, sizeof *before);
    float *after = calloc(3 * r->vocab_size, sizeof *after);
    tkx_error *err = NULL;

    snprintf(path, sizeof path, "%s/adapters/%s", dir, entry);
    snprintf(values, sizeof values, "%.*s", (int)values_length(entry), entry);
    snprintf(name, sizeof name, "%s %s %s", base_name(dir), entry,
             rig_path_name(r->path));
    if (!before || !after) {
        conf_fail(report, name, "no memory");
    } else {
        probe(r, before, report, name);
        if (rig_use(r, path, &err) != TKX_OK)
            fail_error(report, name, &err);
        else
            check_file(r, dir, values, name, report);
        (void)rig_use(r, NULL, NULL);
        probe(r, after, report, name);
        strncat(name, " unloaded", sizeof name - strlen(name) - 1);
        if (memcmp(before, after, 3 * r->vocab_size * sizeof *before) == 0)
            conf_pass(report, name);
        else
            conf_fail(report, name,
                      "the base's logits are not those from before it was loaded");
    }
    free(after);
    free(before);
}

static int is_entry(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

typedef void adapter_fn(rig *r, const char *dir, const char *entry, conf_report *report);

static void for_adapters(rig *r, const char *dir, adapter_fn *fn, conf_report *report)
{
    char path[4300];
    struct dirent **entries;
    int n;

    snprintf(path, sizeof path, "%s/adapters", dir);
    n = scandir(path, &entries, is_entry, alphasort);
    for (int i = 0; i < n; i++) {
        fn(r, dir, entries[i]->d_name, report);
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
}

static void damage_adapter(rig *r, const char *dir, const char *entry,
                           conf_report *report)
{
    char path[4600];
    char name[600];
    struct stat sb;

    (void)r;
    snprintf(path, sizeof path, "%s/adapters/%s", dir, entry);
    snprintf(name, sizeof name, "%s %s damaged", base_name(dir), entry);
    if (stat(path, &sb) == 0 && S_ISDIR(sb.st_mode))
        damaged_adapter_case(name, dir, path, report);
}

static void check_path(const char *dir, rig_path way, conf_report *report,
                       int *is_skipped)
{
    rig r;
    char name[300];
    tkx_error *err = NULL;
    tkx_status st = rig_open(&r, dir, way, &err);

    snprintf(name, sizeof name, "%s %s", base_name(dir), rig_path_name(way));
    if (st == TKX_ERR_UNSUPPORTED && strstr(tkx_error_message(err), "later version")) {
        conf_skip(report, base_name(dir), "%s", tkx_error_message(err));
        tkx_error_free(err);
        *is_skipped = 1;
    } else if (st != TKX_OK) {
        fail_error(report, name, &err);
    } else {
        check_file(&r, dir, "base", name, report);
        for_adapters(&r, dir, check_adapter, report);
        if (way == RIG_F32)
            for_adapters(&r, dir, damage_adapter, report);
    }
    rig_close(&r);
}

void folder_case(const char *dir, conf_report *report)
{
    int is_skipped = 0;
    char name[300];

    for (int way = 0; way < RIG_N_PATHS && !is_skipped; way++)
        check_path(dir, (rig_path)way, report, &is_skipped);
    snprintf(name, sizeof name, "%s damaged", base_name(dir));
    if (!is_skipped)
        damaged_model_case(name, dir, report);
}
