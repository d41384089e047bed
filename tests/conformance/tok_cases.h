/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tok_cases.h - the kinds of files of tkx-conformance tokenizers; each line is one case.
 */
#ifndef TESTS_CONFORMANCE_TOK_CASES_H
#define TESTS_CONFORMANCE_TOK_CASES_H

#include <stdio.h>

#include <tkx/tokenizer.h>

#include "base/arena.h"
#include "conformance.h"
#include "json/reader.h"

#define TOK_PATH 4096

/* texts: lines {"i", "text"}; lines: {"i", "ids", "decoded", "decoded_skip_special",
   "pieces"}. */
void tok_run_lines(tkx_tokenizer *tokenizer, const char *texts, const char *lines,
                   unsigned flags, conf_report *report);
/* lines: {"ids", "decoded"} */
void tok_run_decodes(tkx_tokenizer *tokenizer, const char *lines, conf_report *report);
/* base.inp, base.out */
void tok_run_inp(tkx_tokenizer *tokenizer, const char *base, conf_report *report);
/* dir/expected.jsonl; tokenizers in dir/../NAME */
void tok_run_chats(const char *dir, conf_report *report);

/* A whole file; NULL (after a failed case) when it cannot be read.  free() it. */
char *tok_read_file(const char *path, size_t *size, conf_report *report);

/* The next line of a text of JSON lines; 0 at the end.  *at moves on. */
int tok_next_line(const char *text, size_t size, size_t *at, tkx__json_text *line);

/* Fails a case unless both are equal; "what" names the comparison.  1: equal. */
int tok_same_ids(conf_report *report, const char *name, const char *what,
                 const int64_t *expected, size_t n_expected, const int64_t *got,
                 size_t n_got);
int tok_same_text(conf_report *report, const char *name, const char *what,
                  const tkx__json_text *expected, const char *got, size_t n_got);

#endif
