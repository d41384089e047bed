/* SPDX-License-Identifier: Apache-2.0 */
/* model/file_kind.h - what a file that is no weights file probably is. */
#ifndef TKX_MODEL_FILE_KIND_H
#define TKX_MODEL_FILE_KIND_H

#include <stddef.h>

/* What its first bytes say and what to do, such as "it is a ...; fetch ..."; NULL: they
   say nothing. */
const char *tkx__file_kind_hint(const void *bytes, size_t size);

#endif
