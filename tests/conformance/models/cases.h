/* SPDX-License-Identifier: Apache-2.0 */
/* models/cases.h - the kinds of case that a folder of models holds. */
#ifndef TESTS_CONFORMANCE_MODELS_CASES_H
#define TESTS_CONFORMANCE_MODELS_CASES_H

#include "conformance.h"

/* A folder with config.json and ref/: every path, every adapter, damaged copies. */
void folder_case(const char *dir, conf_report *report);
/* X.gguf with X.ref.safetensors beside it: rows, sums, logits; or blocks alone. */
void gguf_case(const char *gguf, const char *ref, conf_report *report);
/* A ref.json that names a large GGUF, beside it or in $TKX_MODELS. */
void large_case(const char *ref_json, conf_report *report);

/* Copies with one name changed, or cut short, must not load (damage.c). */
void damaged_model_case(const char *name, const char *dir, conf_report *report);
void damaged_adapter_case(const char *name, const char *model, const char *adapter,
                          conf_report *report);

#endif
