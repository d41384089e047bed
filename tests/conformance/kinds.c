/* SPDX-License-Identifier: Apache-2.0 */
/* kinds.c - the table of kinds. */
#include "kinds.h"

#include <stddef.h>

const conf_kind conf_kinds[] = {
    {"losses", conf_losses},
    {"models", conf_models},
    {"training", conf_training},
    {"tokenizers", conf_tokenizers},
    {"fixtures", conf_fixtures},
    {"codecs", conf_codecs},
    {NULL, NULL},
};
