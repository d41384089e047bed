/* SPDX-License-Identifier: Apache-2.0 */
/*
 * damage.c - copies with one tensor renamed, one dimension changed, or the end missing:
 * none may load, and the error must name the tensor.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "infer/adapter.h"
#include "model/mapped.h"
#include "models/cases.h"

typedef enum damage { RENAMED, RESHAPED, CUT, N_DAMAGES } damage;

static const char *const damage_names[] = {"renamed", "reshaped", "cut"};

/* What every layer's first norm and every adapter's tensors are called: names that are
   needed, unlike some that real folders hold besides. */
static const char *const needed[] = {"layers.0.input_layernorm.weight\"",
                                     ".lora_A.weight\"", ".lora_B.weight\""};

/* A needed tensor's quoted name in a safetensors header; its length to *n. */
static char *needed_name(char *bytes, size_t size, size_t *n)
{
    char *at = NULL;

    for (size_t i = 0; size > 8 && !at && i < sizeof needed / sizeof needed[0]; i++)
        at = strstr(bytes + 8,
                    needed[i]); /* the header has no NUL, the copy ends in one */
    if (!at)
        return NULL;
    while (at > bytes + 8 && at[-1] != '"')
        at--;
    *n = strcspn(at, "\"");
    return at;
}

/* Change a copy; the name that the error must have (or NULL for any) goes to `named`. */
static bool spoil(char *bytes, size_t *size, damage how, char *named, size_t named_size)
{
    size_t n;
    char *name = needed_name(bytes, *size, &n);
    char *shape = name ? strstr(name, "\"shape\"") : NULL;
    char *digit = shape ? strpbrk(shape, "0123456789") : NULL;

    if (!name || !digit)
        return false;
    named[0] = '\0';
    if (how == CUT) {
        *size -= 5;
    } else if (how == RENAMED) {
        name[n - 1] = name[n - 1] == 'x' ? 'y' : 'x';
        snprintf(named, named_size, "%.*s", (int)n - 1, name);
    } else {
        *digit = *digit == '9' ? '8' : (char)(*digit + 1);
        snprintf(named, named_size, "%.*s", (int)n, name);
    }
    return true;
}

static void judge(const char *name, damage how, tkx_status st, tkx_error *err,
                  const char *named, conf_report *report)
{
    char full[700];

    snprintf(full, sizeof full, "%s %s", name, damage_names[how]);
    if (st == TKX_OK)
        conf_fail(report, full, "it loaded");
    else if (!strstr(tkx_error_message(err), named))
        conf_fail(report, full, "the error does not name %s: %s", named,
                  tkx_error_message(err));
    else
        conf_pass(report, full);
}

static char *read_copy(const char *dir, const char *file, size_t *size)
{
    char path[4700];
    tkx__mapped mapped;
    char *copy;

    snprintf(path, sizeof path, "%s/%s", dir, file);
    if (tkx__mapped_open(&mapped, path, NULL) != TKX_OK)
        return NULL;
    copy = calloc(mapped.size + 1, 1);
    if (copy)
        memcpy(copy, mapped.data, mapped.size);
    *size = mapped.size;
    tkx__mapped_close(&mapped);
    return copy;
}

void damaged_adapter_case(const char *name, const char *model, const char *adapter,
                          conf_report *report)
{
    size_t config_size = 0;
    char *config = read_copy(adapter, "adapter_config.json", &config_size);
    tkx__weights *weights = NULL;

    if (!config || tkx__weights_open(model, &weights, NULL) != TKX_OK)
        conf_fail(report, name, "the adapter or its model cannot be read");
    for (damage how = RENAMED; weights && how < N_DAMAGES; how++) {
        size_t size = 0;
        char *bytes = read_copy(adapter, "adapter_model.safetensors", &size);
        char named[300];
        tkx__adapter *a = NULL;
        tkx_error *err = NULL;
        tkx_status st;

        if (bytes && spoil(bytes, &size, how, named, sizeof named)) {
            st = tkx__adapter_parse(config, config_size, bytes, size, "a damaged copy",
                                    weights, &a, &err);
            judge(name, how, st, err, named, report);
        } else {
            conf_fail(report, name, "no copy to damage");
        }
        tkx_error_free(err);
        tkx__adapter_unref(a);
        free(bytes);
    }
    tkx__weights_free(weights);
    free(config);
}

/* ---- models: in a folder of their own ---- */

static bool put(const char *dir, const char *file, const char *bytes, size_t n)
{
    char path[4400];
    FILE *f;
    bool ok;

    snprintf(path, sizeof path, "%s/%s", dir, file);
    f = fopen(path, "wb");
    if (!f)
        return false;
    ok = fwrite(bytes, 1, n, f) == n;
    return fclose(f) == 0 && ok;
}

static void drop(const char *dir, const char *file)
{
    char path[4400];

    snprintf(path, sizeof path, "%s/%s", dir, file);
    unlink(path);
}

void damaged_model_case(const char *name, const char *dir, conf_report *report)
{
    size_t config_size = 0;
    char *config = read_copy(dir, "config.json", &config_size);
    char folder[] = "/tmp/tkx-damaged-XXXXXX";

    if (!config || !mkdtemp(folder)) {
        conf_fail(report, name, "no folder for the copies");
        free(config);
        return;
    }
    for (damage how = RENAMED; how < N_DAMAGES; how++) {
        size_t size = 0;
        char *bytes = read_copy(dir, "model.safetensors", &size);
        char named[300];
        tkx__weights *weights = NULL;
        tkx_error *err = NULL;
        tkx_status st;

        if (bytes && spoil(bytes, &size, how, named, sizeof named) &&
            put(folder, "config.json", config, config_size) &&
            put(folder, "model.safetensors", bytes, size)) {
            st = tkx__weights_open(folder, &weights, &err);
            judge(name, how, st, err, named, report);
        } /* sharded: the unit tests damage the index */
        tkx_error_free(err);
        tkx__weights_free(weights);
        free(bytes);
    }
    drop(folder, "config.json");
    drop(folder, "model.safetensors");
    rmdir(folder);
    free(config);
}
