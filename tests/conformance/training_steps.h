/* SPDX-License-Identifier: Apache-2.0 */
/* training_steps.h - one training case, shared by its two files. */
#ifndef TESTS_CONFORMANCE_TRAINING_STEPS_H
#define TESTS_CONFORMANCE_TRAINING_STEPS_H

#include <cjson/cJSON.h>

#include "training_ref.h"

enum { MAX_DATUMS = 16, MAX_PARAMS = 8 };

typedef struct steps {
    train_world *w;
    train_ref ref;
    cJSON *json; /* train.json */
    size_t n_datums;
    nn_datum datums[MAX_DATUMS];
    void *blocks[MAX_DATUMS * 5];
    size_t n_blocks;
    char *init; /* bytes of the starting adapter */
    size_t init_size;
    nn_lora_options options;
} steps;

/* A fresh model with the starting adapter; NULL after train_differs(). */
nn_model *steps_new_model(steps *s);
/* forward or forward_backward; NULL after train_differs(). */
nn_loss_result *steps_run(steps *s, nn_model *model, const nn_datum *datums, size_t n,
                          const nn_loss *loss, bool with_gradient);
/* Gradients against directional differences of the model in double. */
void steps_check_differences(steps *s);

#endif
