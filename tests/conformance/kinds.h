/* SPDX-License-Identifier: Apache-2.0 */
/* kinds.h - the table of kinds; each kind is one file (or folder) beside this one. */
#ifndef TESTS_CONFORMANCE_KINDS_H
#define TESTS_CONFORMANCE_KINDS_H

#include "conformance.h"

typedef struct conf_kind {
    const char *name; /* NULL ends the table */
    conf_kind_fn *run;
} conf_kind;

conf_kind_fn conf_codecs;
conf_kind_fn conf_fixtures;
conf_kind_fn conf_losses;
conf_kind_fn conf_models;
conf_kind_fn conf_tokenizers;
conf_kind_fn conf_training;

extern const conf_kind conf_kinds[];

#endif
