/* SPDX-License-Identifier: Apache-2.0 */
/*
 * training_ref.h - what the parts of the training kind share: a model under test,
 * reference arrays, comparisons.
 */
#ifndef TESTS_CONFORMANCE_TRAINING_REF_H
#define TESTS_CONFORMANCE_TRAINING_REF_H

#include <cjson/cJSON.h>

#include "conformance.h"
#include "mock_server/nn/checkpoint.h"
#include "mock_server/nn/model.h"
#include "model/safetensors.h"

/* A model folder or GGUF file under test. */
typedef struct train_world {
    conf_report *report;
    const char *name; /* as reported */
    const char *dir;
    nn_engine *engine;
    const nn_base *base;
    char why[512]; /* what differs first; "" so far */
} train_world;

/* Remember the first difference only. */
void train_differs(train_world *w, const char *fmt, ...) TKX_PRINTF(2, 3);
/* Report the case NAME/part and forget. */
void train_report(train_world *w, const char *part);

/* A whole file; NULL when it cannot be read.  free(). */
char *train_read(const char *path, size_t *size);

/* An open reference file with its bytes decoded on demand. */
typedef struct train_ref {
    tkx__safetensors *file;
    const tkx__tensors *tensors;
} train_ref;

bool train_ref_open(train_ref *ref, const char *path);
void train_ref_close(train_ref *ref);
const tkx__tensor *train_find(const train_ref *ref, const char *fmt, ...)
    TKX_PRINTF(2, 3);
/* free(); NULL for NULL. */
float *train_floats(const tkx__tensor *t);
int64_t *train_ints(const tkx__tensor *t);

/* Largest |a - b|; absolute, or relative where the reference is above 1. */
double train_worst(const float *have, const float *want, size_t n);

/* The parts: training_logits.c and training_steps.c. */
/* prefix: before the tensor names ("" or "r4."); adapter_dir NULL: the bare base */
void train_check_logits(train_world *w, const char *ref_path, const char *prefix,
                        const char *adapter_dir);
void train_check_steps(train_world *w);
/* Recorded values of a real model: ref.json (training_recorded.c). */
void train_check_recorded(train_world *w, const cJSON *root);

#endif
