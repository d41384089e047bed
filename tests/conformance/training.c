/* SPDX-License-Identifier: Apache-2.0 */
/*
 * training.c - tkx-conformance training DIR: the mock server's trainer against recorded
 * references.  What is in a folder tells the kind; tests/data/models/README.md has the
 * layout.
 */
#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "kinds.h"
#include "training_ref.h"

enum { MAX_PATH = 4096 };

/* A path too long is cut, and then not found. */
static void join(char out[MAX_PATH], const char *fmt, ...) TKX_PRINTF(2, 3);

static void join(char out[MAX_PATH], const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(out, MAX_PATH, fmt, args);
    va_end(args);
}

static bool exists(const char *fmt, const char *a, const char *b)
{
    char path[MAX_PATH];
    struct stat sb;

    join(path, fmt, a, b);
    return stat(path, &sb) == 0;
}

/* An architecture that is announced as later is a skip, anything else a failure. */
static bool open_base(train_world *w, const char *path)
{
    tkx_error *err = NULL;
    const nn_engine_options options = {.n_threads = 2};
    tkx_status st = nn_engine_new(&options, &w->engine, &err);

    if (st == TKX_OK)
        st = nn_engine_add_base(w->engine, "model", path, &err);
    if (st == TKX_OK) {
        w->base = nn_engine_base_at(w->engine, 0);
        return true;
    }
    if (st == TKX_ERR_UNSUPPORTED)
        conf_skip(w->report, w->name, "%s", tkx_error_message(err));
    else
        conf_fail(w->report, w->name, "%s", tkx_error_message(err));
    tkx_error_free(err);
    nn_engine_free(w->engine);
    return false;
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* Is an adapter laid out as this trainer has it?  (Experts by name or full are not.) */
static bool is_ours(const char *adapter_dir)
{
    char path[MAX_PATH];
    tkx__safetensors *file = NULL;
    bool ours = true;

    join(path, "%s/adapter_model.safetensors", adapter_dir);
    if (tkx__safetensors_open(path, &file, NULL) != TKX_OK)
        return false;
    for (size_t i = 0; i < tkx__safetensors_tensors(file)->n; i++) {
        const tkx__tensor *t = &tkx__safetensors_tensors(file)->items[i];

        if (strstr(t->name, ".experts.") &&
            (t->n_dims != 3 || (strstr(t->name, ".w1.lora_A.") && t->dims[0] != 1)))
            ours = false;
    }
    tkx__safetensors_free(file);
    return ours;
}

static void check_adapters(train_world *w)
{
    char dir[MAX_PATH], adapter[MAX_PATH], ref[MAX_PATH], part[MAX_PATH];
    struct dirent **entries = NULL;
    int n;

    join(dir, "%s/adapters", w->dir);
    n = scandir(dir, &entries, is_visible, alphasort);
    for (int i = 0; i < n; i++) {
        const char *name = entries[i]->d_name;

        join(adapter, "%s/%s", dir, name);
        join(ref, "%s/ref/%s.safetensors", w->dir, name);
        if (exists("%s%s", ref, "") && is_ours(adapter)) {
            join(part, "adapters/%s", name);
            train_check_logits(w, ref, "", adapter);
            train_report(w, part);
        }
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
}

static void check_model(const char *dir, conf_report *report, const char *name)
{
    train_world w = {.report = report, .name = name, .dir = dir};
    char path[MAX_PATH];

    if (!open_base(&w, dir))
        return;
    join(path, "%s/ref/base.safetensors", dir);
    if (exists("%s%s", path, "")) {
        train_check_logits(&w, path, "", NULL);
        train_report(&w, "base");
    }
    check_adapters(&w);
    if (exists("%s/%s", dir, "train/train.json"))
        train_check_steps(&w);
    nn_engine_free(w.engine);
}

/* X.gguf with X.ref.safetensors; the adapter r4 lies with the folder X starts with. */
static void check_gguf(const char *dir, const char *file, conf_report *report,
                       const char *name)
{
    char path[MAX_PATH], ref_path[MAX_PATH], adapter[MAX_PATH];
    train_world w = {.report = report, .name = name, .dir = dir};
    size_t stem = strlen(file) - strlen(".gguf"), model;
    train_ref ref;
    bool is_model = false;

    join(path, "%s/%s", dir, file);
    join(ref_path, "%s/%.*s.ref.safetensors", dir, (int)stem, file);
    if (train_ref_open(&ref, ref_path))
        is_model = train_find(&ref, "p7.logits") != NULL;
    train_ref_close(&ref);
    if (!is_model || !open_base(&w, path))
        return;
    train_check_logits(&w, ref_path, "", NULL);
    train_report(&w, "base");
    for (model = stem; model > 0 && file[model] != '-'; model--)
        ;
    join(adapter, "%s/../%.*s/adapters/r4", dir, (int)model, file);
    if (exists("%s/%s", adapter, "adapter_config.json")) {
        train_check_logits(&w, ref_path, "r4.", adapter);
        train_report(&w, "r4");
    }
    nn_engine_free(w.engine);
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);

    return n > m && strcmp(text + n - m, end) == 0;
}

/* A lone ref.json that names a GGUF. */
static void check_recorded(const char *dir, conf_report *report, const char *name)
{
    const char *models = getenv("TKX_MODELS");
    train_world w = {.report = report, .name = name, .dir = dir};
    char path[MAX_PATH];
    size_t size;
    char *text;
    cJSON *root;
    const char *file;

    join(path, "%s/ref.json", dir);
    text = train_read(path, &size);
    root = text ? cJSON_Parse(text) : NULL;
    file = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(root, "model"));
    if (!file) {
        conf_fail(report, name, "ref.json names no model");
    } else {
        join(path, "%s/%s", dir, file);
        if (!exists("%s%s", path, ""))
            join(path, "%s/%s", models ? models : dir, file);
        if (!exists("%s%s", path, "")) {
            conf_skip(report, name, "%s is neither beside ref.json nor in TKX_MODELS",
                      file);
        } else if (open_base(&w, path)) {
            train_check_recorded(&w, root);
            nn_engine_free(w.engine);
        }
    }
    cJSON_Delete(root);
    free(text);
}

static void walk(const char *dir, const char *name, conf_report *report)
{
    struct dirent **entries = NULL;
    int n;

    if (exists("%s/%s", dir, "config.json") &&
        (exists("%s/%s", dir, "ref") || exists("%s/%s", dir, "train/train.json"))) {
        const char *base = strrchr(dir, '/');

        check_model(dir, report, name[0] ? name : base ? base + 1 : dir);
        return;
    }
    if (exists("%s/%s", dir, "ref.json")) {
        check_recorded(dir, report, name[0] ? name : "ref.json");
        return;
    }
    n = scandir(dir, &entries, is_visible, alphasort);
    for (int i = 0; i < n; i++) {
        char path[MAX_PATH], child[MAX_PATH];
        struct stat sb;

        join(path, "%s/%s", dir, entries[i]->d_name);
        join(child, "%s%s%s", name, name[0] ? "/" : "", entries[i]->d_name);
        if (stat(path, &sb) == 0 && S_ISDIR(sb.st_mode))
            walk(path, child, report);
        else if (ends_with(path, ".gguf"))
            check_gguf(dir, entries[i]->d_name, report, child);
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
}

int conf_training(const char *dir, const conf_options *options, conf_report *report)
{
    (void)options;
    walk(dir, "", report);
    return 0;
}
