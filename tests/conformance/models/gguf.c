/* SPDX-License-Identifier: Apache-2.0 */
/* gguf.c - a GGUF file: decoded rows and sums of its tensors, then logits. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "models/cases.h"
#include "models/checks.h"

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* Equal, or one unit in the last place apart. */
static bool is_close(float got, float want)
{
    return got == want || (isnan(got) && isnan(want)) || got == nextafterf(want, got);
}

static bool rows_agree(const tkx__tensor *stored, const float *want, size_t n_want,
                       const size_t *rows, char *how, size_t size)
{
    size_t cols = stored->dims[stored->n_dims - 1];
    float *got = calloc(cols, sizeof *got);
    bool same = got != NULL;

    for (size_t i = 0; same && i < n_want; i++) {
        same = tkx__tensor_to_f32(stored, rows[i] * cols, cols, got, NULL) == TKX_OK;
        for (size_t j = 0; same && j < cols; j++) {
            if (is_close(got[j], want[i * cols + j]))
                continue;
            snprintf(how, size, "row %zu, element %zu: %a, expected %a", rows[i], j,
                     (double)got[j], (double)want[i * cols + j]);
            same = false;
        }
    }
    free(got);
    return same;
}

/* Rows 0, 1, n/2, n-1. */
static void check_rows(const tkx__tensor *stored, const tkx__tensor *want,
                       const char *name, conf_report *report)
{
    size_t cols = stored->n_dims ? stored->dims[stored->n_dims - 1] : 1;
    size_t n = stored->n_elements / cols;
    size_t rows[4] = {0, 1, n / 2, n - 1};
    char how[200] = "cannot be decoded";

    if (want->n_elements != 4 * cols)
        conf_fail(report, name, "%zu values recorded for four rows of %zu",
                  want->n_elements, cols);
    else if (rows_agree(stored, want->data, 4, rows, how, sizeof how))
        conf_pass(report, name);
    else
        conf_fail(report, name, "%s", how);
}

static void check_sums(const tkx__tensor *stored, const tkx__tensor *want,
                       const char *name, conf_report *report)
{
    float *values = calloc(stored->n_elements + 1, sizeof *values);
    double sums[3] = {0, 0, 0};
    double wanted[3];

    if (!values || want->size_bytes != sizeof wanted ||
        tkx__tensor_to_f32(stored, 0, stored->n_elements, values, NULL) != TKX_OK) {
        conf_fail(report, name, "cannot be decoded");
        free(values);
        return;
    }
    memcpy(wanted, want->data, sizeof wanted);
    for (size_t i = 0; i < stored->n_elements; i++) {
        sums[0] += (double)values[i];
        sums[1] += fabs((double)values[i]);
        sums[2] += (double)values[i] * (double)values[i];
    }
    free(values);
    for (size_t i = 0; i < 3; i++) {
        if (fabs(sums[i] - wanted[i]) <= 1e-6 * (i == 2 ? wanted[2] : wanted[1]))
            continue;
        conf_fail(report, name, "sum %zu is %.12g, expected %.12g", i, sums[i],
                  wanted[i]);
        return;
    }
    conf_pass(report, name);
}

static void check_stored(const tkx__gguf *gguf, const tkx__safetensors *ref,
                         const char *file, conf_report *report)
{
    const tkx__tensors *table = tkx__safetensors_tensors(ref);
    char name[512];

    for (size_t i = 0; i < table->n; i++) {
        const tkx__tensor *want = &table->items[i];
        bool is_rows = strncmp(want->name, "rows.", 5) == 0;
        const tkx__tensor *stored;

        if (!is_rows && strncmp(want->name, "sums.", 5) != 0)
            continue;
        snprintf(name, sizeof name, "%s %s", file, want->name);
        stored = tkx__tensors_find(tkx__gguf_tensors(gguf), want->name + 5);
        if (!stored)
            conf_fail(report, name, "the file has no such tensor");
        else if (is_rows)
            check_rows(stored, want, name, report);
        else
            check_sums(stored, want, name, report);
    }
}

/* "values.TYPE": all rows of the tensor of that type. */
static bool check_blocks(const tkx__gguf *gguf, const tkx__safetensors *ref,
                         const char *file, conf_report *report)
{
    const tkx__tensors *table = tkx__safetensors_tensors(ref);
    const tkx__tensors *stored = tkx__gguf_tensors(gguf);
    bool found = false;
    char name[512];
    char how[200] = "cannot be decoded";

    for (size_t i = 0; i < table->n; i++) {
        const tkx__tensor *t = NULL;

        if (strncmp(table->items[i].name, "values.", 7) != 0)
            continue;
        found = true;
        snprintf(name, sizeof name, "%s %s", file, table->items[i].name);
        for (size_t j = 0; j < stored->n && !t; j++) {
            if (strcmp(tkx__dtype_name(stored->items[j].dtype),
                       table->items[i].name + 7) == 0)
                t = &stored->items[j];
        }
        if (!t || t->n_elements != table->items[i].n_elements) {
            conf_fail(report, name, "the file has no tensor of this type and size");
        } else if (!tkx__dtype_is_weight(t->dtype)) {
            conf_skip(report, name, "this type is for a later version");
        } else {
            static const size_t rows[4] = {0, 1, 2, 3};

            if (t->n_dims == 2 && t->dims[0] == 4 &&
                rows_agree(t, table->items[i].data, 4, rows, how, sizeof how))
                conf_pass(report, name);
            else
                conf_fail(report, name, "%s", how);
        }
    }
    return found;
}

/* ---- logits ---- */

/* The folder this file was made from, when it is beside: ../NAME of NAME-TYPE.gguf. */
static bool find_adapter(const char *path, const char *adapter, char *out, size_t size)
{
    const char *file = base_name(path);
    const char *dash = strrchr(file, '-');
    struct stat sb;

    if (!dash)
        return false;
    snprintf(out, size, "%.*s../%.*s/adapters/%s", (int)(file - path), path,
             (int)(dash - file), file, adapter);
    return stat(out, &sb) == 0;
}

/* The length of "r4" in "r4.p7.logits"; 0 when the name is of no such values. */
static size_t adapter_length(const char *name)
{
    const char *end = strstr(name, ".logits");
    const char *dot = end;

    if (!end || end[7])
        return 0;
    while (dot > name && dot[-1] != '.')
        dot--;
    return dot > name && *dot == 'p' ? (size_t)(dot - 1 - name) : 0;
}

/* The i-th adapter whose values the file has; false: there are fewer. */
static bool adapter_at(const tkx__safetensors *ref, size_t i, char *out, size_t size)
{
    const tkx__tensors *table = tkx__safetensors_tensors(ref); /* by name */

    out[0] = '\0';
    for (size_t j = 0; j < table->n; j++) {
        const char *name = table->items[j].name;
        size_t n = adapter_length(name);

        if (n == 0 || n >= size || (strlen(out) == n && memcmp(out, name, n) == 0))
            continue;
        snprintf(out, size, "%.*s", (int)n, name);
        if (i-- == 0)
            return true;
    }
    return false;
}

static void check_values(const ref_case *c)
{
    if (c->r->path == RIG_F32)
        check_exact(c);
    else
        check_coarse(c);
}

/* With one adapter of the folder that the file was made from. */
static void check_adapter(rig *r, const char *path, const tkx__safetensors *ref,
                          const char *adapter, conf_report *report)
{
    char name[900];
    char prefix[136];
    char adapter_path[4400];
    tkx_error *err = NULL;
    ref_case c = {.r = r, .ref = ref, .name = name, .prefix = prefix, .report = report};

    snprintf(name, sizeof name, "%s %s %s", base_name(path), adapter,
             rig_path_name(r->path));
    snprintf(prefix, sizeof prefix, "%s.", adapter);
    if (!find_adapter(path, adapter, adapter_path, sizeof adapter_path))
        conf_skip(report, name, "no folder beside the file has this adapter");
    else if (rig_use(r, adapter_path, &err) != TKX_OK)
        conf_fail(report, name, "%s", tkx_error_message(err));
    else
        check_values(&c);
    tkx_error_free(err);
}

static void check_path(const char *path, const tkx__safetensors *ref, rig_path way,
                       conf_report *report)
{
    rig r;
    char name[600];
    char adapter[128];
    tkx_error *err = NULL;
    ref_case c = {.r = &r, .ref = ref, .name = name, .prefix = "", .report = report};

    snprintf(name, sizeof name, "%s %s", base_name(path), rig_path_name(way));
    if (rig_open(&r, path, way, &err) != TKX_OK) {
        conf_fail(report, name, "%s", tkx_error_message(err));
    } else {
        check_values(&c);
        for (size_t i = 0; adapter_at(ref, i, adapter, sizeof adapter); i++)
            check_adapter(&r, path, ref, adapter, report);
    }
    tkx_error_free(err);
    rig_close(&r);
}

void gguf_case(const char *path, const char *ref_path, conf_report *report)
{
    tkx__gguf *gguf = NULL;
    tkx__safetensors *ref = NULL;
    tkx_error *err = NULL;
    const char *file = base_name(path);
    const char *type;
    size_t n;

    if (tkx__gguf_open(path, &gguf, &err) != TKX_OK ||
        tkx__safetensors_open(ref_path, &ref, &err) != TKX_OK) {
        conf_fail(report, file, "%s", tkx_error_message(err));
    } else if (!check_blocks(gguf, ref, file, report)) {
        check_stored(gguf, ref, file, report);
        if (tkx__gguf_get_string(gguf, "general.architecture", &type, &n)) {
            for (int way = 0; way < RIG_N_PATHS; way++)
                check_path(path, ref, (rig_path)way, report);
        }
    }
    tkx_error_free(err);
    tkx__safetensors_free(ref);
    tkx__gguf_free(gguf);
}
