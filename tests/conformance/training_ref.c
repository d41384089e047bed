/* SPDX-License-Identifier: Apache-2.0 */
/* training_ref.c - reading references, comparing, reporting. */
#include "training_ref.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void train_differs(train_world *w, const char *fmt, ...)
{
    va_list args;

    if (w->why[0])
        return;
    va_start(args, fmt);
    vsnprintf(w->why, sizeof w->why, fmt, args);
    va_end(args);
}

void train_report(train_world *w, const char *part)
{
    char name[512];

    snprintf(name, sizeof name, "%s/%s", w->name, part);
    if (w->why[0])
        conf_fail(w->report, name, "%s", w->why);
    else
        conf_pass(w->report, name);
    w->why[0] = '\0';
}

char *train_read(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    char *bytes = NULL;
    long n;

    if (!file)
        return NULL;
    if (fseek(file, 0, SEEK_END) == 0 && (n = ftell(file)) >= 0 &&
        fseek(file, 0, SEEK_SET) == 0 && (bytes = malloc((size_t)n + 1)) != NULL) {
        *size = fread(bytes, 1, (size_t)n, file);
        bytes[*size] = '\0';
    }
    fclose(file);
    return bytes;
}

bool train_ref_open(train_ref *ref, const char *path)
{
    *ref = (train_ref){0};
    if (tkx__safetensors_open(path, &ref->file, NULL) != TKX_OK)
        return false;
    ref->tensors = tkx__safetensors_tensors(ref->file);
    return true;
}

void train_ref_close(train_ref *ref)
{
    tkx__safetensors_free(ref->file);
    *ref = (train_ref){0};
}

const tkx__tensor *train_find(const train_ref *ref, const char *fmt, ...)
{
    char name[256];
    va_list args;

    va_start(args, fmt);
    vsnprintf(name, sizeof name, fmt, args);
    va_end(args);
    return tkx__tensors_find(ref->tensors, name);
}

float *train_floats(const tkx__tensor *t)
{
    float *out = t ? malloc((t->n_elements + 1) * sizeof *out) : NULL;

    if (out && tkx__tensor_to_f32(t, 0, t->n_elements, out, NULL) != TKX_OK) {
        free(out);
        out = NULL;
    }
    return out;
}

int64_t *train_ints(const tkx__tensor *t)
{
    int64_t *out = t ? malloc((t->n_elements + 1) * sizeof *out) : NULL;

    for (size_t i = 0; out && i < t->n_elements; i++) {
        int32_t v32;

        if (t->dtype == TKX__DTYPE_I32) {
            memcpy(&v32, (const char *)t->data + i * sizeof v32, sizeof v32);
            out[i] = v32;
        } else if (t->dtype == TKX__DTYPE_I64) {
            memcpy(&out[i], (const char *)t->data + i * sizeof out[i], sizeof out[i]);
        } else {
            free(out);
            return NULL;
        }
    }
    return out;
}

double train_worst(const float *have, const float *want, size_t n)
{
    double worst = 0;

    for (size_t i = 0; i < n; i++) {
        double size = fabs((double)want[i]), d = fabs((double)have[i] - (double)want[i]);

        if (isnan(want[i]) && isnan(have[i]))
            continue;
        d = size > 1 ? d / size : d;
        if (!(d <= worst))
            worst = isnan(d) ? INFINITY : d;
    }
    return worst;
}
