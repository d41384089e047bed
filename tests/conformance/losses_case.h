/* SPDX-License-Identifier: Apache-2.0 */
/* losses_case.h - the parts of the losses kind. */
#ifndef TESTS_CONFORMANCE_LOSSES_CASE_H
#define TESTS_CONFORMANCE_LOSSES_CASE_H

#include <stddef.h>

#include <cjson/cJSON.h>

/* Numbers of an array; SIZE_MAX when one is none, or there are more than max. */
size_t losses_numbers(const cJSON *array, double *out, size_t max);

/* NULL, or what is wrong (a literal, or written into why). */
const char *losses_run_loss(const cJSON *root, double tolerance, char *why, size_t size);

#endif
