/* SPDX-License-Identifier: Apache-2.0 */
/* model/tokenizer/regex_rewrite.h - an expression as PCRE2 has to read it. */
#ifndef TKX_MODEL_TOKENIZER_REGEX_REWRITE_H
#define TKX_MODEL_TOKENIZER_REGEX_REWRITE_H

#include <stddef.h>

#include "base/buf.h"

/* From Oniguruma's Ruby syntax.  NULL when done, else what could not be rewritten. */
const char *tkx__regex_rewrite(const char *p, size_t n, tkx__buf *out);

#endif
