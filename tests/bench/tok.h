/* SPDX-License-Identifier: Apache-2.0 */
/* tok.h - the tok:FILE test, for the engine's bench as well. */
#ifndef TESTS_BENCH_TOK_H
#define TESTS_BENCH_TOK_H

#include <tkx/tokenizer.h>

/* Print one line for the file; nonzero after a failure, which is said on stderr. */
int bench_tok_file(const tkx_tokenizer *tokenizer, const char *model, const char *path,
                   int reps);

#endif
