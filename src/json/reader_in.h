/* SPDX-License-Identifier: Apache-2.0 */
/* json/reader_in.h - what the parts of the reader share. */
#ifndef TKX_JSON_READER_IN_H
#define TKX_JSON_READER_IN_H

#include "json/reader.h"

static inline void tkx__json_blanks(tkx__json_reader *r)
{
    while (r->at < r->end &&
           (*r->at == ' ' || *r->at == '\n' || *r->at == '\t' || *r->at == '\r'))
        r->at++;
}

static inline bool tkx__json_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Takes word if it stands here. */
bool tkx__json_take_word(tkx__json_reader *r, const char *word);

/* A number written as text, or true and false as 1 and 0; takes nothing when it is none,
   or the reader is not lenient. */
bool tkx__json_lax_number(tkx__json_reader *r, tkx__json_number *out);
/* A flag written as a word, or as 0 or 1; the same. */
bool tkx__json_lax_bool(tkx__json_reader *r, bool *value);

#endif
