/* SPDX-License-Identifier: Apache-2.0 */
/* model/tokenizer/pre_names.h - the pre-tokenizers that GGUF files name. */
#ifndef TKX_MODEL_TOKENIZER_PRE_NAMES_H
#define TKX_MODEL_TOKENIZER_PRE_NAMES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

typedef struct tkx__pre {
    const char *const *expressions; /* NULL ends the list */
    bool ignores_merges;
    bool adds_bos; /* where the file does not say */
} tkx__pre;

/* False for a name that is not known. */
bool tkx__pre_find(const char *name, size_t n, tkx__pre *out);

/* All names, for an error message. */
void tkx__pre_list(tkx__buf *out);

#endif
