/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model/tokenizer/regex.h - an expression of a tokenizer's file, run by PCRE2.
 *
 * Files write for Oniguruma; what means something else to PCRE2 is rewritten (\s, \w, \b,
 * intervals, options) or refused (intersections).  Immutable: any thread.
 */
#ifndef TKX_MODEL_TOKENIZER_REGEX_H
#define TKX_MODEL_TOKENIZER_REGEX_H

#include <stddef.h>
#include <stdint.h>

#include <tkx/error.h>

typedef struct tkx__regex tkx__regex;

tkx_status tkx__regex_new(const char *expression, size_t n, tkx__regex **out,
                          tkx_error **err);
void tkx__regex_free(tkx__regex *regex);

/* The next match in valid UTF-8 text[at..end) that is not empty; *start = end: none. */
tkx_status tkx__regex_next(const tkx__regex *regex, const uint8_t *text, size_t at,
                           size_t end, size_t *start, size_t *stop, tkx_error **err);

#endif
